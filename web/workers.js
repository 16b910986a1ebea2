// The harnesses of a job: what they run, how long they have been silent, and what they say of themselves.

import {get, path} from './api.js';
import {h, keep, setAttribute, setClass, setText} from './dom.js';
import {clock, count, duration, workerName} from './format.js';
import {readTrace, traceBlock} from './trace.js';

const QUIET_MS = 10e3, SILENT_MS = 30e3;

function makeBundle() {
  const cells = ['number', 'name', 'number', 'number silence', 'number'].map((name) => h('td', {class: name}));
  const row = h('tr', null, cells);
  row.parts = cells;
  return row;
}

function updateBundle(row, bundle) {
  const [id, stage, running, silent, attempt] = row.parts;
  setText(id, bundle.id);
  setText(stage, bundle.stage);
  setText(running, duration(bundle.running_ms));
  setText(silent, duration(bundle.silent_ms));
  setText(attempt, count(bundle.attempt || 1));
  setClass(row, bundle.silent_ms >= SILENT_MS ? 'silent' : bundle.silent_ms >= QUIET_MS ? 'quiet-for-long' : bundle.attempt > 1 && 'again');
}

export class WorkersTab {
  #jobId;
  #href;
  #asked = null;
  #wanted = null;

  // href(...parts): the address of a part of this job
  constructor(jobId, href) {
    this.#jobId = jobId;
    this.#href = href;
    this.list = h('div', {class: 'workers'});
    this.empty = h('p', {class: 'empty', hidden: true}, 'No worker is connected for this job.');
    this.element = h('div', null, this.list, this.empty);
  }

  show(parts) {
    this.#wanted = parts[0];
  }

  stop() {}

  update(context) {
    const workers = context.job.workers || [];
    keep(this.list, workers, (worker) => worker.id, (worker) => this.#make(worker), (element, worker) => this.#update(element, worker));
    this.empty.hidden = workers.length > 0;
    const wanted = workers.find((worker) => worker.id === this.#wanted);
    if (wanted && this.#asked !== wanted.id) {
      this.#asked = wanted.id;
      const element = this.list.keptChildren.get(wanted.id);
      element.scrollIntoView({block: 'nearest'});
      if (wanted.has_status) this.#dump(element, wanted.id);
    }
  }

  #make(worker) {
    const state = h('span', {class: 'state'}), about = h('span', {class: 'muted'}), rows = h('tbody');
    const button = h('button', {type: 'button', on: {click: () => this.#dump(element, worker.id)}}, 'Status dump');
    const dump = h('div', {class: 'dump', 'aria-live': 'polite'});
    const heads = ['Bundle', 'Stage', 'Runs for', 'Silent for', 'Attempt'].map((text, i) => h('th', {scope: 'col', class: i === 1 ? '' : 'number'}, text));
    const table = h('table', {class: 'bundles'}, h('thead', null, h('tr', null, heads)), rows);
    const idle = h('p', {class: 'muted idle'}, 'No bundle runs on it.');
    const element = h('section', {class: 'worker', 'aria-label': `Worker ${worker.id}`},
      h('div', {class: 'worker-head'}, h('h3', {title: worker.id}, workerName(worker.id, this.#jobId)), state, about, button),
      h('div', {class: 'scroll'}, table), idle, dump);
    element.parts = {state, about, rows, button, dump, table, idle};
    return element;
  }

  #update(element, worker) {
    const {state, about, rows, button, table, idle} = element.parts;
    const bundles = worker.bundles || [];
    const silence = Math.max(0, ...bundles.map((bundle) => bundle.silent_ms || 0));
    setText(state, silence >= SILENT_MS ? `silent for ${duration(silence)}` : worker.state);
    setAttribute(state, 'data-state', silence >= SILENT_MS ? 'FAILED' : worker.state === 'connected' ? 'RUNNING' : 'STARTING');
    setText(about, [`environment ${worker.environment}`, worker.slots ? `${count(bundles.length)} of ${count(worker.slots)} slots` : '',
      worker.connected_ms ? `since ${clock(worker.connected_ms)}` : ''].filter(Boolean).join(' · '));
    button.disabled = !worker.has_status;
    setAttribute(button, 'title', worker.has_status ? 'What each of its threads is doing now' : 'It has no status stream');
    keep(rows, [...bundles].sort((a, b) => b.silent_ms - a.silent_ms), (bundle) => bundle.id, makeBundle, updateBundle);
    table.hidden = !bundles.length;
    idle.hidden = bundles.length > 0;
  }

  async #dump(element, id) {
    const {dump, button} = element.parts;
    button.disabled = true;
    dump.replaceChildren(h('p', {class: 'muted'}, 'Asking the worker …'));
    try {
      const status = await get(path('jobs', this.#jobId, 'workers', id, 'status'));
      const text = status.text || 'It said nothing.', {where} = readTrace(text);
      const what = where ? ', in your own code: ' : '. No thread is in code that is neither an SDK nor an interpreter.';
      dump.replaceChildren(
        h('p', {class: 'muted'}, `At ${clock(Date.now())}${what}`, h('strong', null, where)),
        traceBlock(text));
    } catch (error) {
      dump.replaceChildren(h('p', {class: 'notice error'}, `No status: ${error.message}`));
    }
    button.disabled = false;
    if (location.hash !== this.#href('workers', id)) history.replaceState(null, '', this.#href('workers', id));
  }
}
