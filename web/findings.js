// What stands out in a job or on the machine, in words, the worst first: what somebody who was called out of bed wants to know. Pure functions of the API's
// messages. A finding is {id, level: 'error' | 'warning' | 'note', title, text, links: [{text, to}]}; `to` is the rest of the job's address.

import {bytes, bytesOf, count, counted, duration, head, isTerminal, percent, short, tail, workerName} from './format.js';

const SILENT_MS = 30e3;         // without a sign of life: worth a word
const SLOW_SHARE = 0.5;         // of the time of all transforms
const SLOW_MS = 5000;           // below this nobody waits for it
const LATE_MS = 15e3;           // until the first worker is there
const WAITS_SHOWN = 4;
const NEARLY_FULL = 0.85, FULL = 0.98;
const LOW_SPACE_BYTES = 1 << 30, NO_SPACE_BYTES = 16 << 20;
const DISK_WORDS = /no space left on device|ENOSPC|disk (quota|limit|space)|disk\.(total|per_job)|disk is full/i;

export function serverFindings(server) {
  const found = [];
  if (server.state_size_bytes && server.state_free_bytes < LOW_SPACE_BYTES) {
    const isFull = server.state_free_bytes < NO_SPACE_BYTES;
    found.push({
      id: 'state', level: isFull ? 'error' : 'warning', title: isFull ? 'The disk is full' : 'The disk is nearly full',
      text: `${bytes(server.state_free_bytes)} are free where ${server.state_directory} is. Without room jobs are refused, and those fail that store data. ` +
        'Make room there; nothing has to be restarted.',
      links: [],
    });
  }
  const disk = server.disk_limit_bytes ? server.disk_bytes / server.disk_limit_bytes : 0;
  if (disk >= NEARLY_FULL) {
    found.push({
      id: 'disk', level: disk >= FULL ? 'error' : 'warning',
      title: disk >= FULL ? 'The disk space for job data is full' : 'The disk space for job data is nearly full',
      text: `${bytesOf(server.disk_bytes, server.disk_limit_bytes)} are taken by data that did not fit into memory. A job that needs more fails. ` +
        'End a job that holds much, or raise disk.total in the configuration.',
      links: [],
    });
  }
  const memory = server.memory_limit_bytes ? server.memory_bytes / server.memory_limit_bytes : 0;
  if (memory >= 0.95) {
    found.push({
      id: 'memory', level: 'warning', title: 'The memory for job data is taken',
      text: `${bytesOf(server.memory_bytes, server.memory_limit_bytes)}. Jobs store on disk what does not fit, and wait for that.`, links: [],
    });
  }
  return found;
}

// Of a stage's transforms the one that took the most time; null: none took any.
export const slowestIn = (stage) =>
  (stage?.transforms || []).reduce((best, transform) => (transform.time_ms || 0) > (best?.time_ms || 0) ? transform : best, null);

// Where the time of a silent bundle's stage goes, in words, unless it is not that of its silence: a worker that is stopped reports none.
function whereOf(graph, bundle) {
  const most = slowestIn((graph?.stages || []).find((stage) => stage.name === bundle.stage));
  return most?.time_ms >= bundle.silent_ms / 2 ? ` The time of that stage goes into ${tail(most.name, 80)}.` : '';
}

function silences(job, graph) {
  const found = [];
  for (const worker of job.workers || []) {
    const silent = (worker.bundles || []).filter((bundle) => bundle.silent_ms >= SILENT_MS).sort((a, b) => b.silent_ms - a.silent_ms);
    if (silent.length) {
      const first = silent[0];
      const others = silent.length > 1 ? `, and ${counted(silent.length - 1, 'more bundle')}` : '';
      found.push({
        id: `silent ${worker.id}`, level: 'error', title: `Worker ${workerName(worker.id, job.summary.id)} has been silent for ${duration(first.silent_ms)}`,
        text: `No progress and no data from bundle ${first.id} of ${head(first.stage, 80)}, ` +
          `which has run for ${duration(first.running_ms)}${others}.${whereOf(graph, first)} ` +
          (worker.has_status ? 'The status dump shows what each of its threads is doing.' :
            'It has no status stream; where it hangs can be seen on its machine, by py-spy or jstack.'),
        links: [{text: worker.has_status ? 'Status dump' : 'Workers', to: ['workers', worker.id]}],
      });
    }
  }
  return found;
}

// None of the job's workers is there yet, and that is taking long.
function absence(job, now_ms) {
  const workers = job.workers || [], waited = now_ms - job.summary.started_ms;
  if (job.summary.state !== 'RUNNING' || !workers.length || !(waited >= LATE_MS) || workers.some((worker) => worker.state !== 'starting')) return [];
  return [{
    id: 'absent', level: 'warning', title: `No worker has connected in ${duration(waited)}`,
    text: `${counted(workers.length, 'worker')} ${workers.length === 1 ? 'is' : 'are'} starting. The logs tell of those that could not, ` +
      'and trestle doctor, on the machine, of interpreters and addresses.',
    links: [{text: 'Warnings', to: ['logs', 'WARNING']}],
  }];
}

// {transform, stage, share, time_ms, per_element_ms}: the one that takes the most of a job's time; null without one.
export function slowest(graph) {
  let total = 0, best = null, bestStage = null;
  for (const stage of graph?.stages || []) {
    for (const transform of stage.transforms || []) {
      total += transform.time_ms || 0;
      if ((transform.time_ms || 0) > (best?.time_ms || 0)) [best, bestStage] = [transform, stage];
    }
  }
  if (!best) return null;
  const elements = best.elements_in || best.elements_out || 0;
  return {transform: best, stage: bestStage, share: best.time_ms / total, time_ms: best.time_ms, per_element_ms: elements ? best.time_ms / elements : 0};
}

// Whether a worker hangs in the stage: what its transforms took says nothing of their speed.
const isSilent = (job, stage) =>
  (job.workers || []).some((worker) => (worker.bundles || []).some((bundle) => bundle.stage === stage.name && bundle.silent_ms >= SILENT_MS));

function slowness(job, graph) {
  const slow = slowest(graph);
  const transforms = (graph?.stages || []).reduce((sum, stage) => sum + (stage.transforms || []).filter((t) => t.time_ms).length, 0);
  if (!slow || transforms < 2 || slow.share < SLOW_SHARE || slow.time_ms < SLOW_MS || isSilent(job, slow.stage)) return [];
  const each = slow.per_element_ms >= 0.1 ? `, ${slow.per_element_ms.toFixed(slow.per_element_ms < 10 ? 1 : 0)} ms an element` : '';
  const waiting = slow.stage.elements_waiting ? ` ${short(slow.stage.elements_waiting)} elements wait in front of its stage.` : '';
  return [{
    id: 'slow', level: 'note', title: `${percent(slow.share)} of the time goes into ${tail(slow.transform.name, 80)}`,
    text: `${duration(slow.time_ms)} over ${short(slow.transform.elements_in || slow.transform.elements_out)} elements${each}.${waiting}`,
    links: [{text: 'Show it', to: ['graph', String(slow.stage.index)]}],
  }];
}

function waiting(job) {
  const text = (job.waits_for || '').trim();
  if (!text || isTerminal(job.summary.state)) return [];
  const all = text.split('\n'), telling = all.filter((line) => !line.includes('nothing waits in it'));
  const lines = telling.length ? telling : all, more = lines.length - WAITS_SHOWN;
  const shown = more > 1 ? [...lines.slice(0, WAITS_SHOWN), `and ${counted(more, 'more stage')}`] : lines;
  return [{id: 'waits', level: 'note', title: 'What it waits for', text: shown.join('\n'), links: more > 1 ? [{text: 'Stages', to: ['stages']}] : []}];
}

function queued(job) {
  const place = job.summary.queue_place;
  return place ? [{
    id: 'queued', level: 'note', title: place === 1 ? 'Next to run' : `In the queue, place ${count(place)}`,
    text: 'It starts when a running job ends.', links: [],
  }] : [];
}

function retries(job) {
  const n = job.summary.retries || 0;
  return n ? [{
    id: 'retries', level: 'note', title: `${counted(n, 'bundle')} ${n === 1 ? 'was' : 'were'} run again`,
    text: 'Their first attempts failed; the reasons are in the logs.', links: [{text: 'Warnings', to: ['logs', 'WARNING']}],
  }] : [];
}

// Whether a job's error is of a disk without space: the machine's matter rather than the pipeline's.
export const isDiskError = (text) => DISK_WORDS.test(text || '');

// `graph` may be null: not known yet.
export function jobFindings(job, graph, now_ms) {
  return [...silences(job, graph), ...absence(job, now_ms), ...queued(job), ...slowness(job, graph), ...waiting(job), ...retries(job)];
}
