// A job's metrics: the user's first, those of the system below, both searchable.

import {Poller, get, path} from './api.js';
import {h, keep, setText} from './dom.js';
import {count, isTerminal, urnWord} from './format.js';

const isUsers = (metric) => !/^beam:/.test(metric.name || '') && !/^beam:/.test(metric.namespace || '');
const key = (metric) => [metric.namespace, metric.name, metric.transform, metric.pcollection, metric.type].join('\n');
const nameOf = (metric) => metric.namespace && isUsers(metric) ? `${metric.namespace}: ${metric.name}` : urnWord(metric.name);

const CELLS = ['name', 'where', 'muted', 'value', 'value muted'];

const makeRow = () => h('tr', null, CELLS.map((name) => h('td', {class: name})));

function updateRow(row, metric) {
  const values = [nameOf(metric), metric.transform || metric.pcollection, (metric.type || '').replace(/_/g, ' '), metric.attempted,
    metric.committed && metric.committed !== metric.attempted ? metric.committed : ''];
  values.forEach((value, i) => setText(row.children[i], value));
}

function section(title, isOpen) {
  const rows = h('tbody'), number = h('span', {class: 'muted'});
  const heads = ['Name', 'Transform or collection', 'Type', 'Value', 'Committed, if other'].map((text) => h('th', {scope: 'col'}, text));
  const element = h('details', {class: 'metrics', open: isOpen}, h('summary', null, h('h3', null, title), ' ', number),
    h('div', {class: 'scroll'}, h('table', null, h('thead', null, h('tr', null, heads)), rows)));
  return {
    element,
    set(metrics) {
      keep(rows, metrics, key, makeRow, updateRow);
      setText(number, count(metrics.length));
    },
  };
}

export class MetricsTab {
  #jobId;
  #poller = null;
  #job = null;
  #metrics = [];

  constructor(jobId) {
    this.#jobId = jobId;
    this.search = h('input', {type: 'search', placeholder: 'Name or transform', 'aria-label': 'Search metrics', on: {input: () => this.#draw()}});
    this.users = section("The pipeline's own", true);
    this.system = section("Beam's and the runner's", false);
    this.note = h('p', {class: 'empty', hidden: true});
    this.element = h('div', null, h('div', {class: 'toolbar'}, this.search), this.note, this.users.element, this.system.element);
  }

  show() {
    this.#poller ||= new Poller((signal) => this.#load(signal), (error) => this.#say(error.message));
  }

  stop() {
    this.#poller?.stop();
  }

  update(context) {
    const wasOver = this.#job && isTerminal(this.#job.summary.state);
    this.#job = context.job;
    if (!wasOver && isTerminal(this.#job.summary.state)) this.#poller?.soon();
  }

  #say(text) {
    setText(this.note, text);
    this.note.hidden = !text;
  }

  #draw() {
    const text = this.search.value.trim().toLowerCase();
    const fitting = this.#metrics.filter((metric) =>
      !text || [metric.namespace, metric.name, metric.transform, metric.pcollection].some((part) => (part || '').toLowerCase().includes(text)));
    const users = fitting.filter(isUsers), system = fitting.filter((metric) => !isUsers(metric));
    this.users.set(users);
    this.system.set(system);
    this.users.element.hidden = !users.length;
    this.system.element.hidden = !system.length;
    if (text && !users.length && system.length) this.system.element.open = true;
    this.#say(fitting.length ? '' : text ? 'No metric fits this search.' : 'No metrics yet.');
  }

  async #load(signal) {
    this.#metrics = (await get(path('jobs', this.#jobId, 'metrics'), null, signal)).metrics || [];
    if (!this.#metrics.some(isUsers) && this.#metrics.length) this.system.element.open = true;
    this.#draw();
    return this.#job && isTerminal(this.#job.summary.state) ? null : 2000;
  }
}
