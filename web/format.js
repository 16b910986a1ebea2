// Numbers, sizes and times as people read them. All functions take what the API gives (milliseconds, bytes) and cope with its absence.

const GROUPED = new Intl.NumberFormat('en-US');
const THIN = '\u202f';

export const count = (n) => GROUPED.format(n || 0);

// "1 bundle", "2 bundles"
export const counted = (n, noun) => `${count(n)} ${noun}${n === 1 ? '' : 's'}`;

function scaled(n, step, units) {
  let i = 0;
  while (n >= step && i < units.length - 1) {
    n /= step;
    i++;
  }
  return (i === 0 ? String(Math.round(n)) : n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0)) + units[i];
}

// Exact up to 99,999, then three digits.
export const short = (n) => (n || 0) < 100000 ? count(n) : scaled(n, 1000, ['', `${THIN}k`, `${THIN}M`, `${THIN}G`, `${THIN}T`]);

export const bytes = (n) => scaled(n || 0, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB']);

// "1.17 of 3.81 GiB"
export function bytesOf(used, limit) {
  const [a, b] = [bytes(used).split(' '), bytes(limit).split(' ')];
  return a[1] === b[1] ? `${a[0]} of ${b.join(' ')}` : `${a.join(' ')} of ${b.join(' ')}`;
}

export const percent = (share) => `${share > 0 && share < 0.01 ? '<1' : Math.floor(share * 100)}${THIN}%`;

const two = (n) => String(n).padStart(2, '0');

// "340 ms", "12.3 s", "4 min 05 s", "3 h 20 min", "2 d 4 h"
export function duration(ms) {
  if (!(ms > 0)) return '0 s';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const s = Math.floor(ms / 1000);
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

// In three digits: "340 ms", "12.3 s", "4.5 min", "3.3 h", "2.1 d"
export function brief(ms) {
  if (!(ms >= 60000)) return duration(ms);
  const [n, unit] = ms < 3600e3 ? [ms / 60e3, 'min'] : ms < 86400e3 ? [ms / 3600e3, 'h'] : [ms / 86400e3, 'd'];
  return `${n.toFixed(n < 100 ? 1 : 0)} ${unit}`;
}

export function clock(ms) {
  const t = new Date(ms);
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

const day = (t) => `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;

export const fullTime = (ms) => ms ? `${day(new Date(ms))} ${clock(ms)}` : '';

// The time of day if it was today.
export const time = (ms, now) => !ms ? '' : day(new Date(ms)) === day(new Date(now || Date.now())) ? clock(ms) : fullTime(ms).slice(0, 16);

// A watermark, and how far it is behind now_ms where that says something (a year at most).
export function watermark(text, now_ms) {
  if (!text) return '';
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return text;
  const behind = now_ms - ms;
  const when = text.replace('T', ' ').replace(/\.000Z$/, 'Z');
  return behind > 0 && behind < 366 * 86400e3 ? `${when} (${duration(behind)} behind)` : when;
}

// The last parts of a transform's unique name, as many as fit into `size` characters.
export function tail(name, size) {
  if (name.length <= size) return name;
  const parts = name.split('/');
  let text = parts.pop();
  while (parts.length && text.length + parts[parts.length - 1].length + 3 <= size) text = `${parts.pop()}/${text}`;
  return text.length + 2 <= size ? `…/${text}` : `…${text.slice(text.length - size + 1)}`;
}

// The beginning of a text, where that says more than its end.
export const head = (text, size) => text.length <= size ? text : `${text.slice(0, size - 1).replace(/[\s+]+$/, '')}…`;

// A worker's id without the job's, and without most of its random end.
export function workerName(id, jobId) {
  const name = id.startsWith(`${jobId}-`) ? id.slice(jobId.length + 1) : id;
  return name.replace(/([0-9a-f]{6})[0-9a-f]{10,}$/, '$1…');
}

// beam:transform:pardo:v1 -> pardo
export const urnWord = (urn) => (urn || '').replace(/^beam:(transform|runner|env|coder|metric):/, '').replace(/:v\d+$/, '');

const TERMINAL = new Set(['DONE', 'FAILED', 'CANCELLED', 'UPDATED', 'DRAINED']);
export const isTerminal = (state) => TERMINAL.has(state);
