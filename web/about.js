// What a job was submitted with: its history of states, its environments and the pipeline options.

import {h, keep, setText} from './dom.js';
import {duration, fullTime, urnWord} from './format.js';

function optionsOf(json) {
  let options;
  try {
    options = JSON.parse(json || '{}');
  } catch {
    return [['', json]];
  }
  const text = (value) => typeof value === 'string' ? value : JSON.stringify(value, null, 1);
  return Object.entries(options).map(([name, value]) => [name.replace(/^beam:option:/, '').replace(/:v\d+$/, ''), text(value)])
    .sort((a, b) => a[0] < b[0] ? -1 : 1);
}

function table(title, heads) {
  const rows = h('tbody');
  const element = h('section', null, h('h3', null, title),
    h('div', {class: 'scroll'}, h('table', {class: 'plain'}, h('thead', null, h('tr', null, heads.map((head) => h('th', {scope: 'col'}, head)))), rows)));
  return {
    element,
    set(values) {
      keep(rows, values, (row) => row.join('\n'), (row) => h('tr', null, row.map(() => h('td'))),
        (element, row) => row.forEach((cell, i) => setText(element.children[i], cell)));
    },
  };
}

export class AboutTab {
  #options = [];

  constructor() {
    this.states = table('History', ['State', 'At', 'For']);
    this.environments = table('Environments', ['Id', 'Kind', 'What', 'How it runs here', 'SDK']);
    this.options = table('Pipeline options', ['Option', 'Value']);
    this.search = h('input', {type: 'search', placeholder: 'Option or value', 'aria-label': 'Search options', on: {input: () => this.#drawOptions()}});
    this.options.element.firstChild.after(h('div', {class: 'toolbar'}, this.search));
    this.element = h('div', {class: 'about'}, this.states.element, this.environments.element, this.options.element);
  }

  show() {}

  stop() {}

  update({job}) {
    const states = job.states || [];
    this.states.element.hidden = !states.length;
    this.states.set(states.map((change, i) =>
      [change.state, fullTime(change.time_ms), states[i + 1] ? duration(states[i + 1].time_ms - change.time_ms) : '']));
    this.environments.set((job.environments || []).map((e) => [e.id, urnWord(e.urn), e.about || '', e.way || '', e.sdk || '']));
    this.#options = optionsOf(job.options_json);
    this.#drawOptions();
  }

  #drawOptions() {
    const text = this.search.value.trim().toLowerCase();
    this.options.set(this.#options.filter((option) => !text || option.join(' ').toLowerCase().includes(text)));
  }
}
