// The list of jobs: newest first, filtered by state and text, live.

import {Poller, get, path} from './api.js';
import {h, keep, setAttribute, setText} from './dom.js';
import {count, duration, fullTime, isTerminal, percent, time} from './format.js';

const PAGE = 100, MOST = 1000;
const HEADS = [['State', 'state-cell'], ['Job', 'job'], ['Progress', 'progress-cell'], ['Submitted', 'submitted'],
  ['Took', 'took number'], ['SDK', 'sdk'], ['Error', 'error']];
const FILTERS = [
  ['All', ''],
  ['Active', 'STARTING,RUNNING,DRAINING,CANCELLING,UPDATING,STOPPED'],
  ['Failed', 'FAILED'],
  ['Done', 'DONE,DRAINED,UPDATED'],
  ['Cancelled', 'CANCELLED'],
];

export const jobHref = (id, ...rest) => `#/${['jobs', id, ...rest].map(encodeURIComponent).join('/')}`;

// A word with a mark that is told apart without colour too.
export function stateBadge() {
  const element = h('span', {class: 'state'});
  return {
    element,
    set(state, isQueued) {
      setAttribute(element, 'data-state', isQueued ? 'QUEUED' : state);
      setText(element, (isQueued ? 'queued' : state || '').toLowerCase());
    },
  };
}

export function progressBar() {
  const bar = h('progress', {max: 1, 'aria-label': 'progress'});
  const text = h('span');
  const element = h('span', {class: 'progress'}, bar, text);
  return {
    element,
    set(job) {
      const isKnown = job.progress >= 0 && !job.is_streaming;
      const isOver = isTerminal(job.state), isQueued = job.queue_place > 0;
      bar.hidden = isOver || isQueued || !isKnown;
      setAttribute(bar, 'value', isKnown ? job.progress : 0);
      const running = isKnown ? percent(job.progress) : job.is_streaming ? 'stream' : '';
      setText(text, isOver ? '' : isQueued ? `place ${count(job.queue_place)} in the queue` : running);
    },
  };
}

// While it runs, or ran, without its time in the queue.
export function runningTime(job, now_ms) {
  const start = job.started_ms || (isTerminal(job.state) ? 0 : job.submitted_ms);
  return start ? duration((job.ended_ms || now_ms) - start) : '';
}

function makeRow() {
  const badge = stateBadge(), progress = progressBar();
  const name = h('a', {class: 'name'});
  const cells = {id: h('span', {class: 'id'}), submitted: h('td', {class: 'submitted'}), took: h('td', {class: 'took number'}),
    sdk: h('td', {class: 'sdk'}), error: h('td', {class: 'error'})};
  const row = h('tr', null, h('td', {class: 'state-cell'}, badge.element), h('td', {class: 'job'}, name, ' ', cells.id),
    h('td', {class: 'progress-cell'}, progress.element),
    cells.submitted, cells.took, cells.sdk, cells.error);
  row.parts = {badge, progress, name, ...cells};
  return row;
}

function updateRow(row, job, now_ms) {
  const {badge, progress, name, id, submitted, took, sdk, error} = row.parts;
  badge.set(job.state, job.queue_place > 0);
  progress.set(job);
  setText(name, job.name || job.id);
  setAttribute(name, 'href', jobHref(job.id));
  setText(id, job.name && job.name !== job.id ? job.id : '');
  setText(submitted, time(job.submitted_ms, now_ms));
  setAttribute(submitted, 'title', fullTime(job.submitted_ms));
  setText(took, runningTime(job, now_ms));
  setText(sdk, job.sdk);
  setAttribute(sdk, 'title', job.sdk || null);
  setText(error, job.error);
  setAttribute(error, 'title', job.error || null);
}

export class JobsView {
  #server;
  #poller = null;
  #states = '';
  #contains = '';
  #limit = PAGE;
  #typing = 0;

  constructor(server) {
    this.#server = server;
    this.filters = FILTERS.map(([label, states]) =>
      h('button', {type: 'button', 'data-states': states, on: {click: () => this.#go({states})}}, label));
    this.search = h('input', {type: 'search', placeholder: 'Name or id', 'aria-label': 'Search jobs by name or id', on: {input: () => this.#type()}});
    this.total = h('span', {class: 'muted', role: 'status'});
    this.rows = h('tbody');
    this.more = h('button', {type: 'button', class: 'more', hidden: true, on: {click: () => this.#showMore()}}, 'Show more');
    this.empty = h('p', {class: 'empty', hidden: true});
    this.table = h('table', {class: 'jobs'},
      h('thead', null, h('tr', null, HEADS.map(([text, name]) => h('th', {scope: 'col', class: name}, text)))),
      this.rows);
    this.element = h('section', {class: 'view', 'aria-label': 'Jobs'},
      h('div', {class: 'toolbar'}, h('h1', null, 'Jobs'), h('div', {class: 'segments', role: 'group', 'aria-label': 'Filter by state'}, this.filters),
        this.search, this.total),
      this.table, this.empty, this.more);
    server.title('');
  }

  show(parts, parameters) {
    this.#states = parameters.get('states') || '';
    this.#contains = parameters.get('contains') || '';
    if (document.activeElement !== this.search) this.search.value = this.#contains;
    for (const button of this.filters) setAttribute(button, 'aria-pressed', String(button.dataset.states === this.#states));
    this.#limit = PAGE;
    if (this.#poller) this.#poller.soon();
    else this.#poller = new Poller((signal) => this.#load(signal), (error) => this.#say(error.message));
  }

  stop() {
    clearTimeout(this.#typing);
    this.#poller.stop();
  }

  #go(change) {
    const all = new URLSearchParams({states: this.#states, contains: this.#contains, ...change});
    for (const name of ['states', 'contains']) if (!all.get(name)) all.delete(name);
    const text = all.toString();
    location.hash = text ? `#/?${text}` : '#/';
  }

  #type() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#go({contains: this.search.value.trim()}), 200);
  }

  #showMore() {
    this.#limit = Math.min(this.#limit * 2, MOST);
    this.#poller.soon();
  }

  #say(text) {
    setText(this.empty, text);
    this.empty.hidden = !text;
  }

  async #load(signal) {
    const answer = await get(path('jobs'), {limit: this.#limit, states: this.#states, contains: this.#contains}, signal);
    const jobs = answer.jobs || [], now_ms = this.#server.now_ms();
    keep(this.rows, jobs, (job) => job.id, makeRow, (row, job) => updateRow(row, job, now_ms));
    const total = answer.total || jobs.length;
    setText(this.total, total > jobs.length ? `${count(jobs.length)} of ${count(total)}` : count(total));
    this.table.hidden = jobs.length === 0;
    const isFiltered = this.#states || this.#contains;
    const endpoint = this.#server.data?.endpoint || 'HOST:PORT';
    this.#say(jobs.length ? '' : isFiltered ? 'No job fits this filter.' :
      `No job yet. Submit one with --runner=PortableRunner --job_endpoint=${endpoint}, and it is listed here.`);
    this.more.hidden = !answer.has_more || jobs.length >= MOST;
    return jobs.some((job) => !isTerminal(job.state)) ? 1000 : 5000;
  }
}
