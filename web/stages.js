// The stages as a list that opens: the drawing's other half, made for telephones, screen readers and searching.

import {h, keep, setAttribute, setClass, setText} from './dom.js';
import {brief, percent, short} from './format.js';
import {heat, stageDetails, stageTime, summaryOf, takenIn} from './stage.js';

function makeItem() {
  const index = h('span', {class: 'index'}), name = h('span', {class: 'name'}), summary = h('span', {class: 'summary'});
  const elements = h('span', {class: 'number elements'}), time = h('span', {class: 'number time'}), bar = h('span', {class: 'bar'});
  const details = stageDetails();
  const item = h('details', {class: 'stage'},
    h('summary', null, index, name, summary, elements, h('span', {class: 'time-cell'}, bar, time)));
  item.parts = {index, name, summary, elements, time, bar, details};
  return item;
}

const fits = (stage, text) => !text || stage.name.toLowerCase().includes(text) || String(stage.index) === text ||
  (stage.transforms || []).some((transform) => (transform.name || '').toLowerCase().includes(text));

export class StagesTab {
  constructor() {
    this.search = h('input', {type: 'search', placeholder: 'Stage or transform', 'aria-label': 'Search stages and transforms', on: {
      input: () => this.#draw(),
    }});
    this.order = h('select', {'aria-label': 'Order', on: {change: () => this.#draw()}},
      h('option', {value: 'flow'}, 'data order'), h('option', {value: 'time'}, 'slowest first'), h('option', {value: 'waiting'}, 'most waiting first'));
    this.list = h('div', {class: 'stages'});
    this.empty = h('p', {class: 'empty', hidden: true});
    this.element = h('div', null, h('div', {class: 'toolbar'}, this.search, this.order), this.list, this.empty);
    this.context = null;
  }

  show() {}

  stop() {}

  update(context) {
    this.context = context;
    this.#draw();
  }

  #draw() {
    const {graph, times} = this.context || {};
    if (!graph) return;
    const text = this.search.value.trim().toLowerCase();
    const stages = (graph.stages || []).filter((stage) => fits(stage, text));
    if (this.order.value === 'time') stages.sort((a, b) => stageTime(b) - stageTime(a));
    if (this.order.value === 'waiting') stages.sort((a, b) => (b.elements_waiting || 0) - (a.elements_waiting || 0));
    keep(this.list, stages, (stage) => stage.index, makeItem, (item, stage) => this.#update(item, stage, times));
    this.empty.hidden = stages.length > 0;
    setText(this.empty, text ? 'No stage fits this search.' : 'This job has no stages yet.');
  }

  #update(item, stage, times) {
    const {index, name, summary, elements, time, bar, details} = item.parts;
    const spent = stageTime(stage), share = times.total_ms ? spent / times.total_ms : 0;
    setClass(item, 'stage', stage.state, heat(share), stage.bundles_failed > 0 && 'retried');
    setAttribute(item, 'data-stage', stage.index);
    setText(index, stage.index);
    setText(name, stage.name);
    setText(summary, summaryOf(stage, this.context.graph.is_live));
    setText(elements, `${short(takenIn(stage))} in`);
    setText(time, spent ? `${brief(spent)} ${percent(share)}` : '');
    bar.style.width = `${(share * 100).toFixed(1)}%`;
    if (item.open || details.element.parentNode) {
      if (!details.element.parentNode) item.append(details.element);
      details.update(stage, this.context);
    } else if (!item.listens) {
      item.listens = true;
      item.addEventListener('toggle', () => { if (item.open) this.#draw(); });
    }
  }
}
