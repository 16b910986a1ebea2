// Elements that the SDK sampled, of one PCollection or of all. Asked for on demand: each question goes to the workers.

import {get, path} from './api.js';
import {h, keep, setText} from './dom.js';
import {clock, count} from './format.js';

export class SamplesTab {
  #jobId;
  #href;
  #pcollection = '';
  #isAsked = false;
  #names = new Map();

  constructor(jobId, href) {
    this.#jobId = jobId;
    this.#href = href;
    const choose = () => { location.hash = this.#href('samples', ...[this.choice.value].filter(Boolean)); };
    this.choice = h('select', {'aria-label': 'PCollection', on: {change: choose}},
      h('option', {value: ''}, 'all collections'));
    this.note = h('p', {class: 'empty', role: 'status'});
    this.list = h('div', {class: 'samples'});
    this.element = h('div', null,
      h('div', {class: 'toolbar'}, this.choice, h('button', {type: 'button', on: {click: () => this.#load()}}, 'Ask again')), this.note, this.list);
  }

  show(parts) {
    const pcollection = parts[0] || '';
    if (this.#isAsked && pcollection === this.#pcollection) return;
    this.#pcollection = pcollection;
    this.#isAsked = true;
    this.choice.value = pcollection;
    this.#load();
  }

  stop() {}

  update(context) {
    const names = this.#names = new Map((context.graph?.edges || []).map((edge) => [edge.pcollection, edge.pcollection_name || edge.pcollection]));
    if (this.#pcollection && !names.has(this.#pcollection)) names.set(this.#pcollection, this.#pcollection);
    keep(this.choice, [['', 'all collections'], ...names], (entry) => entry[0], () => h('option'), (option, [id, name]) => {
      option.value = id;
      setText(option, name);
    });
    this.choice.firstElementChild && this.choice.value !== this.#pcollection && (this.choice.value = this.#pcollection);
  }

  async #load() {
    const asked = this.#pcollection;
    setText(this.note, 'Asking the workers …');
    try {
      const samples = (await get(path('jobs', this.#jobId, 'samples'), {pcollection: asked})).samples || [];
      if (asked !== this.#pcollection) return;
      this.list.replaceChildren(...samples.map((sample) => h('div', {class: sample.exception ? 'sample raised' : 'sample'},
        h('span', {class: 'muted'}, `${this.#names.get(sample.pcollection) || sample.pcollection}${sample.time_ms ? ` · ${clock(sample.time_ms)}` : ''}`),
        h('pre', null, sample.element), sample.exception && h('pre', {class: 'exception'}, sample.exception))));
      setText(this.note, samples.length ? `${count(samples.length)} sampled` : 'No element has been sampled yet.');
    } catch (error) {
      this.list.replaceChildren();
      setText(this.note, `No samples: ${error.message}`);
    }
  }
}
