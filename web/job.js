// One job: its state and what is wrong with it on top, then its tabs.

import {AboutTab} from './about.js';
import {Poller, get, path, post} from './api.js';
import {confirm, h, keep, setAttribute, setText} from './dom.js';
import {isDiskError, jobFindings} from './findings.js';
import {bytes, count, fullTime, isTerminal, time} from './format.js';
import {GraphTab} from './graph.js';
import {jobHref, progressBar, runningTime, stateBadge} from './jobs.js';
import {LogsTab} from './logs.js';
import {MetricsTab} from './metrics.js';
import {showFindings} from './notices.js';
import {SamplesTab} from './samples.js';
import {Rates, timesOf} from './stage.js';
import {StagesTab} from './stages.js';
import {readTrace, traceBlock} from './trace.js';
import {WorkersTab} from './workers.js';

const NARROW = '(max-width: 700px)';
const DISK_HINT = 'The machine has no disk space left for the data of jobs; the pipeline is not at fault. End jobs that hold much, make room where state_dir ' +
  'is, or raise disk.total or disk.per_job in the configuration; then run it again.';
const GRAPH_TABS = new Set(['graph', 'stages']);

function factsOf(job, now_ms) {
  const summary = job.summary;
  return [
    ['submitted', time(summary.submitted_ms, now_ms), fullTime(summary.submitted_ms)],
    [isTerminal(summary.state) ? 'took' : 'runs for', runningTime(summary, now_ms)],
    ['SDK', summary.sdk],
    ['memory', job.memory_bytes || job.peak_memory_bytes ? `${bytes(job.memory_bytes)}, at most ${bytes(job.peak_memory_bytes)}` : ''],
    ['disk', job.disk_bytes ? bytes(job.disk_bytes) : ''],
    ['workers', (job.workers || []).length ? count(job.workers.length) : ''],
    ['priority', summary.priority ? String(summary.priority) : ''],
    ['warnings', job.warnings ? count(job.warnings) : ''],
  ].filter((fact) => fact[1]);
}

// The error, the cause and the user's own line in large, the whole trace below. Made anew only when the text changed.
// `stepHref(step)` is the address of the stage that holds a step; null: not known
function showError(parent, job, stepHref) {
  const text = job.summary.state === 'FAILED' || job.error ? job.error || job.summary.error || 'It failed, and nothing says why. The logs may.' : '';
  const read = readTrace(text), href = stepHref(read.step);
  if (parent.shownText === text + href) return;
  parent.shownText = text + href;
  parent.hidden = !text;
  if (!text) return;
  const first = job.summary.error || text.split('\n')[0];
  const cause = read.cause || first;
  const isNews = ![cause, text].includes(first) && read.lines[0].kind !== 'foreign';
  const facts = [['Step', href ? h('a', {href}, read.step) : read.step], ['Your code', read.where], ['Reported as', isNews && first]].filter((fact) => fact[1]);
  parent.replaceChildren(
    h('h2', null, cause),
    ...(isDiskError(text) ? [h('p', {class: 'hint'}, DISK_HINT)] : []),
    facts.length ? h('dl', {class: 'facts-list'}, facts.map((fact) => h('div', null, h('dt', null, fact[0]), h('dd', null, fact[1])))) : '',
    ...(text === cause ? [] : [traceBlock(text)]));
}

export class JobView {
  #id;
  #server;
  #job = null;
  #graph = null;
  #rates = new Rates();
  #tabs = new Map();
  #tabName = null;
  #pollers = [];

  constructor(id, server) {
    this.#id = id;
    this.#server = server;
    this.badge = stateBadge();
    this.progress = progressBar();
    this.title = h('h1', null, id);
    this.facts = h('div', {class: 'facts'});
    this.cancel = h('button', {type: 'button', class: 'danger', hidden: true, on: {click: () => this.#end('cancel')}}, 'Cancel');
    this.drain = h('button', {type: 'button', hidden: true, on: {click: () => this.#end('drain')}}, 'Drain');
    this.answer = h('p', {class: 'notice error', role: 'alert', hidden: true});
    this.error = h('section', {class: 'failure', 'aria-label': 'Error', hidden: true});
    this.notices = h('div', {class: 'notices'});
    this.nav = h('nav', {class: 'tabs', 'aria-label': 'Parts of the job'});
    this.body = h('div', {class: 'tab'});
    this.element = h('section', {class: 'view job', 'aria-label': 'Job'},
      h('div', {class: 'job-head'}, this.title, this.badge.element, this.progress.element, h('span', {class: 'id'}, id),
        h('span', {class: 'buttons'}, this.drain, this.cancel)),
      this.facts, this.answer, this.error, this.notices, this.nav, this.body);
    this.#pollers = [
      new Poller((signal) => this.#loadJob(signal), (error) => this.#fail(error)),
      new Poller((signal) => this.#loadGraph(signal)),
    ];
  }

  #href = (...parts) => jobHref(this.#id, ...parts);

  #tab(name) {
    const make = {
      graph: () => new GraphTab((index) => { location.hash = index === null ? this.#href('graph') : this.#href('graph', index); }),
      stages: () => new StagesTab(),
      workers: () => new WorkersTab(this.#id, this.#href),
      logs: () => new LogsTab(this.#id),
      metrics: () => new MetricsTab(this.#id),
      samples: () => new SamplesTab(this.#id, this.#href),
      about: () => new AboutTab(),
    };
    if (!this.#tabs.has(name)) this.#tabs.set(name, make[name]());
    return this.#tabs.get(name);
  }

  show(parts) {
    const [name, ...rest] = parts;
    const known = ['graph', 'stages', 'workers', 'logs', 'metrics', 'samples', 'about'];
    const tabName = known.includes(name) ? name : matchMedia(NARROW).matches ? 'stages' : 'graph';
    if (tabName !== this.#tabName) {
      this.#leaveTab();
      this.#tabName = tabName;
      this.body.replaceChildren(this.#tab(tabName).element);
      this.#drawNav();
      if (GRAPH_TABS.has(tabName)) this.#pollers[1].soon();
    }
    this.#tab(tabName).show(rest);
    this.#updateTab();
  }

  // A tab that asks the daemon by itself does so only while it is shown.
  #leaveTab() {
    if (!['logs', 'metrics'].includes(this.#tabName)) return;
    this.#tabs.get(this.#tabName).stop();
    this.#tabs.delete(this.#tabName);
  }

  stop() {
    this.#pollers.forEach((poller) => poller.stop());
    for (const tab of this.#tabs.values()) tab.stop();
  }

  #drawNav() {
    const job = this.#job;
    const tabs = [['graph', 'Graph'], ['stages', 'Stages', this.#graph?.stages?.length], ['workers', 'Workers', job?.workers?.length], ['logs', 'Logs'],
      ['metrics', 'Metrics'], ['samples', 'Samples'], ['about', 'Options']];
    keep(this.nav, tabs, (tab) => tab[0], (tab) => h('a', {href: this.#href(tab[0])}, tab[1], h('span', {class: 'muted'})), (a, tab) => {
      setText(a.lastChild, tab[2] ? ` ${count(tab[2])}` : '');
      setAttribute(a, 'aria-current', tab[0] === this.#tabName ? 'page' : null);
    });
  }

  #context() {
    return {
      job: this.#job, graph: this.#graph, rates: this.#rates, now_ms: this.#server.now_ms(), times: this.#graph && timesOf(this.#graph),
      stageHref: (index) => this.#href(this.#tabName === 'stages' ? 'graph' : this.#tabName, index),
      sampleHref: (pcollection) => this.#href('samples', pcollection),
    };
  }

  #updateTab() {
    if (!this.#job || (GRAPH_TABS.has(this.#tabName) && !this.#graph)) return;
    this.#tab(this.#tabName).update(this.#context());
  }

  // SDKs call a step by its unique name, or by the id that they made of that.
  #stepHref(step) {
    const name = step.replace(/-ptransform-\d+$/, '');
    const holds = (transform) => transform.id === step || transform.name === name;
    const stage = name && (this.#graph?.stages || []).find((one) => (one.transforms || []).some(holds));
    return stage ? this.#href('graph', stage.index) : null;
  }

  #update() {
    const job = this.#job, summary = job.summary, now_ms = this.#server.now_ms();
    this.#server.title(`${summary.name || this.#id}: ${(summary.state || '').toLowerCase()}`);
    setText(this.title, summary.name || this.#id);
    this.badge.set(summary.state, summary.queue_place > 0);
    this.progress.set(summary);
    keep(this.facts, factsOf(job, now_ms), (fact) => fact[0], (fact) => h('span', {class: 'fact'}, `${fact[0]} `, h('b')), (child, fact) => {
      setText(child.lastChild, fact[1]);
      setAttribute(child, 'title', fact[2]);
    });
    const isOver = isTerminal(summary.state);
    this.cancel.hidden = isOver;
    this.drain.hidden = isOver || !summary.is_streaming;
    this.cancel.disabled = summary.state === 'CANCELLING';
    this.drain.disabled = ['DRAINING', 'CANCELLING'].includes(summary.state);
    showError(this.error, job, (step) => this.#stepHref(step));
    showFindings(this.notices, jobFindings(job, this.#graph, now_ms), (to) => this.#href(...to));
    this.#drawNav();
    this.#updateTab();
  }

  async #loadJob(signal) {
    const job = await get(path('jobs', this.#id), null, signal);
    job.summary ||= {id: this.#id, state: ''};
    const hasEnded = this.#job && !isTerminal(this.#job.summary.state) && isTerminal(job.summary.state);
    this.#job = job;
    this.#update();
    if (hasEnded) this.#pollers[1].soon();
    return isTerminal(job.summary.state) ? null : 1000;
  }

  async #loadGraph(signal) {
    const graph = await get(path('jobs', this.#id, 'graph'), null, signal);
    this.#graph = graph;
    this.#rates.update(graph, Date.now());
    if (this.#job) this.#update();
    if (this.#job && isTerminal(this.#job.summary.state)) return null;
    return GRAPH_TABS.has(this.#tabName) ? 1000 : 5000;
  }

  #fail(error) {
    setText(this.answer, error.status === 404 ? `There is no job ${this.#id}: ${error.message}` : error.message);
    this.answer.hidden = false;
  }

  async #end(how) {
    const name = this.#job?.summary.name || this.#id;
    const isSure = how === 'cancel' ?
      await confirm('Cancel this job?', `${name} stops at once; what it has not finished is lost.`, 'Cancel the job') :
      await confirm('Drain this job?', `${name} takes nothing new from its sources, finishes what it has taken, and ends.`, 'Drain the job');
    if (!isSure) return;
    this.answer.hidden = true;
    try {
      await post(path('jobs', this.#id, how));
    } catch (error) {
      this.#fail(error);
    }
    this.#pollers[0].soon();
  }
}
