// A job's messages: a page of them, then what comes. The daemon searches and filters.

import {Poller, get, path} from './api.js';
import {h, setAttribute, setText} from './dom.js';
import {clock, count, fullTime, isTerminal} from './format.js';

const PAGE = 500, MOST_LINES = 5000, FOLDED_LINES = 12;
const LEVELS = ['DEBUG', 'DETAILED', 'BASIC', 'WARNING', 'ERROR'];

function lineOf(message) {
  const text = message.text || '';
  const isLong = text.split('\n').length > FOLDED_LINES;
  const body = h('span', {class: isLong ? 'text folded' : 'text'}, message.state ? `→ ${message.state}${text ? ` ${text}` : ''}` : text);
  const more = isLong && h('button', {type: 'button', class: 'quiet', 'aria-expanded': 'false', on: {click: () => {
    const isFolded = body.classList.toggle('folded');
    setAttribute(more, 'aria-expanded', String(!isFolded));
    setText(more, isFolded ? 'All of it' : 'Less');
  }}}, 'All of it');
  return h('div', {class: `message ${message.state ? 'STATE' : message.importance || ''}`},
    h('time', {title: fullTime(message.time_ms)}, clock(message.time_ms)),
    h('span', {class: 'importance'}, (message.state ? 'state' : (message.importance || '')).toLowerCase()), h('span', {class: 'body'}, body, more));
}

export class LogsTab {
  #jobId;
  #poller = null;
  #lastSeq = 0;
  #isFresh = true;
  #job = null;
  #typing = 0;

  constructor(jobId) {
    this.#jobId = jobId;
    const again = () => this.#restart();
    this.search = h('input', {type: 'search', placeholder: 'Search the messages', 'aria-label': 'Search messages', on: {
      input: () => { clearTimeout(this.#typing); this.#typing = setTimeout(again, 200); },
    }});
    this.level = h('select', {'aria-label': 'Least importance', on: {change: again}},
      LEVELS.map((level) => h('option', {value: level, selected: level === 'BASIC'}, level === 'ERROR' ? 'errors' : `${level.toLowerCase()} and above`)));
    this.from = h('select', {'aria-label': 'Where to begin', on: {change: again}},
      h('option', {value: 'newest'}, 'the newest'), h('option', {value: 'first'}, 'from the start'));
    this.follow = h('input', {type: 'checkbox', checked: true});
    this.count = h('span', {class: 'muted', role: 'status'});
    this.lines = h('div', {class: 'messages', role: 'log', 'aria-live': 'off', tabindex: 0, 'aria-label': 'Messages', on: {scroll: () => this.#scrolled()}});
    this.element = h('div', {class: 'logs'},
      h('div', {class: 'toolbar'}, this.search, this.level, this.from, h('label', null, this.follow, ' follow'), this.count), this.lines);
  }

  show(parts) {
    const level = LEVELS.includes(parts[0]) ? parts[0] : null;
    const isNew = level && level !== this.level.value;
    if (level) this.level.value = level;
    if (!this.#poller) this.#poller = new Poller((signal) => this.#load(signal), (error) => setText(this.count, error.message));
    else if (isNew) this.#restart();
  }

  stop() {
    clearTimeout(this.#typing);
    this.#poller?.stop();
  }

  update(context) {
    const wasOver = this.#job && isTerminal(this.#job.summary.state);
    this.#job = context.job;
    if (!wasOver && isTerminal(this.#job.summary.state)) this.#poller?.soon();
  }

  #restart() {
    this.#lastSeq = 0;
    this.#isFresh = true;
    this.#poller.soon();
  }

  // Who scrolls up wants to read; who is at the end wants what comes.
  #scrolled() {
    const {scrollTop, scrollHeight, clientHeight} = this.lines;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 24;
    if (this.follow.checked !== isAtEnd && scrollHeight > clientHeight) this.follow.checked = isAtEnd;
  }

  async #load(signal) {
    const isNewest = this.#isFresh && this.from.value === 'newest';
    const answer = await get(path('jobs', this.#jobId, 'messages'),
      {after_seq: this.#lastSeq || null, limit: PAGE, min_importance: this.level.value, contains: this.search.value.trim(), newest: isNewest}, signal);
    if (this.#isFresh) this.lines.replaceChildren();
    this.#isFresh = false;
    this.#lastSeq = Math.max(this.#lastSeq, answer.last_seq || 0);
    const messages = answer.messages || [];
    const isFollowing = this.follow.checked;
    this.lines.append(...messages.map(lineOf));
    while (this.lines.childElementCount > MOST_LINES) this.lines.firstChild.remove();
    if (isFollowing && messages.length) this.lines.scrollTop = this.lines.scrollHeight;
    const shown = this.lines.childElementCount;
    setText(this.count, shown ? `${count(shown)} shown` : this.search.value.trim() ? 'no message fits' : 'no messages');
    const hasMore = answer.has_more && !isNewest;
    return hasMore ? 0 : this.#job && isTerminal(this.#job.summary.state) ? null : 1000;
  }
}
