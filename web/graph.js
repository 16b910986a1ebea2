// The drawing of a job's stages. Boxes and edges are made once for a graph's shape; figures change in place with each answer.

import {h, setAttribute, setClass, setText, svg} from './dom.js';
import {brief, bytes, counted, duration, head, percent, short, tail, watermark} from './format.js';
import {slowest} from './findings.js';
import {layOut} from './layout.js';
import {PanZoom} from './panzoom.js';
import {heat, intake, stageDetails, stageTime, summaryOf} from './stage.js';

const WIDTH = 288, HEAD = 58, ROW = 19, PAD = 6, TIME_WIDTH = 92;
const MAP_FROM = 8;  // boxes
const FAR = 0.5;  // below this scale small letters cannot be read, and are left out
const NEAR = 0.75;  // from this scale on they are read with ease

const FONT = 'system-ui, sans-serif';

const measure = (() => {
  const context = document.createElement('canvas').getContext('2d');
  return (text, font) => {
    context.font = font;
    return context.measureText(text).width;
  };
})();

// As much of a name as fits into `width` pixels: its end, or, of a list of names, its beginning.
function fitted(name, width, font) {
  const cut = name.includes(' + ') ? head : tail;
  let size = Math.min(name.length, Math.floor(width / 3));
  while (size > 4 && measure(cut(name, size), font) > width) size--;
  return cut(name, size);
}

// The index, and what of the name fits behind it.
function titleOf(stage) {
  const font = `600 13px ${FONT}`, start = `${stage.index}: `;
  return start + fitted(stage.name, WIDTH - 20 - measure(start, font), font);
}

function drawRow(transform, y) {
  const bar = svg('rect', {class: 'bar', x: 4, y: y + 1, height: ROW - 2, width: 0});
  const time = svg('text', {class: 'time', x: WIDTH - 8, y: y + 13.5, 'text-anchor': 'end'});
  const name = svg('text', {class: 'name', x: 10, y: y + 13.5}, fitted(transform.name || transform.id, WIDTH - TIME_WIDTH - 18, `700 12px ${FONT}`));
  const group = svg('g', {class: 'row'}, svg('title', null, transform.name || transform.id), bar, name, time);
  return {group, bar, time};
}

function drawBox(stage, place, onClick) {
  const title = svg('text', {class: 'title', x: 10, y: 19}, titleOf(stage));
  const line1 = svg('text', {class: 'line', x: 10, y: 35}), line2 = svg('text', {class: 'line', x: 10, y: 50});
  const rows = (stage.transforms || []).map((transform, i) => drawRow(transform, HEAD + i * ROW));
  const label = svg('text', {class: 'label', x: WIDTH / 2, y: place.height / 2 + 9, 'text-anchor': 'middle'},
    fitted(stage.name, WIDTH - 20, `600 26px ${FONT}`));
  const heatBar = svg('rect', {class: 'stage-heat', x: 4, y: place.height - 5, height: 5, width: 0});
  const group = svg('g', {class: 'box', 'data-stage': stage.index, tabindex: 0, role: 'button', transform: `translate(${place.x} ${place.y})`, on: {
    click: () => onClick(stage.index),
    keydown: (event) => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      onClick(stage.index);
    },
  }}, svg('rect', {class: 'frame', width: place.width, height: place.height, rx: 5}), svg('rect', {class: 'stripe', width: 4, height: place.height, rx: 2}),
  title, line1, line2, rows.map((row) => row.group), heatBar, label);
  return {group, line1, line2, rows, heatBar};
}

function drawEdge(edge, link) {
  const line = svg('path', {class: 'line', d: link.path, 'marker-end': 'url(#arrow)'});
  const label = svg('text', {class: 'count', x: link.labelX + 5, y: link.labelY});
  const group = svg('g', {class: edge.is_side_input ? 'edge side' : 'edge'}, svg('title', null, ''), line, label);
  return {group, label, title: group.firstChild};
}

const shapeOf = (graph) => JSON.stringify([
  (graph.stages || []).map((stage) => [stage.index, stage.name, (stage.transforms || []).map((transform) => transform.name)]),
  (graph.edges || []).map((edge) => [edge.from_stage, edge.to_stage, edge.pcollection, edge.is_side_input]),
]);

export class GraphTab {
  #shape = '';
  #layout = null;
  #boxes = new Map();
  #edges = [];
  #context = null;
  #selected = null;
  #wanted = null;
  #isPlaced = false;
  #open;
  #resize;

  // open(index) selects a stage by the address; null: none
  constructor(open) {
    this.#open = open;
    this.drawing = svg('g', {class: 'drawing'});
    const help = 'Graph of stages. Arrow keys move it, plus and minus scale it, 0 shows all.';
    this.pane = svg('svg', {class: 'pane', tabindex: 0, role: 'group', 'aria-label': help},
      svg('defs', null, svg('marker', {id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto'},
        svg('path', {d: 'M0 0L8 4L0 8z'}))), this.drawing);
    this.seen = svg('rect', {class: 'seen'});
    this.map = svg('svg', {class: 'map', 'aria-hidden': 'true', on: {pointerdown: (event) => this.#jump(event)}});
    this.zoom = new PanZoom(this.pane, this.drawing, () => this.#moved());
    this.find = h('input', {type: 'search', placeholder: 'Find a transform', 'aria-label': 'Find a transform in the graph', on: {
      input: () => this.#mark(), keydown: (event) => { if (event.key === 'Enter') this.#next(); },
    }});
    const button = (text, label, click) => h('button', {type: 'button', 'aria-label': label, title: label, on: {click}}, text);
    this.details = stageDetails();
    this.heading = h('h3');
    this.aside = h('aside', {class: 'aside', 'aria-label': 'Stage', hidden: true},
      h('div', {class: 'aside-head'}, this.heading, button('×', 'Close', () => this.#open(null))), this.details.element);
    this.aside.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.#open(null); });
    this.empty = h('p', {class: 'empty'}, 'This job has no stages yet.');
    this.element = h('div', {class: 'graph'},
      h('div', {class: 'toolbar'}, this.find, button('+', 'Larger', () => this.zoom.in()), button('−', 'Smaller', () => this.zoom.out()),
        button('All', 'Show all of it', () => this.zoom.fit()), button('Slowest', 'Go to the transform that takes the most time', () => this.#toSlowest()),
        h('span', {class: 'legend'}, h('span', {class: 'key heat'}, 'share of time'), h('span', {class: 'key side'}, 'side input'))),
      h('div', {class: 'stage-area'}, h('div', {class: 'pane-frame'}, this.pane, this.map, this.empty), this.aside));
    this.#resize = new ResizeObserver(() => this.#placeFirst());
    this.#resize.observe(this.pane);
  }

  show(parts) {
    this.#wanted = parts[0] === undefined ? null : Number(parts[0]);
    if (this.#context) this.#select(this.#wanted, true);
  }

  stop() {
    this.#resize.disconnect();
  }

  update(context) {
    const isFirst = !this.#context;
    this.#context = context;
    const shape = shapeOf(context.graph);
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#draw(context.graph);
    }
    for (const stage of context.graph.stages || []) this.#updateBox(stage);
    (context.graph.edges || []).forEach((edge, i) => this.#updateEdge(edge, i));
    if (isFirst) this.#select(this.#wanted, false);
    this.#placeFirst();
    this.#updateAside();
  }

  #draw(graph) {
    const stages = graph.stages || [], edges = graph.edges || [];
    const boxes = stages.map((stage) => ({id: stage.index, width: WIDTH, height: HEAD + (stage.transforms || []).length * ROW + PAD}));
    this.#layout = layOut(boxes, edges.map((edge) => ({from: edge.from_stage, to: edge.to_stage})));
    this.#edges = edges.map((edge, i) => drawEdge(edge, this.#layout.links[i]));
    this.#boxes = new Map(stages.map((stage) => [stage.index, drawBox(stage, this.#layout.boxes.get(stage.index), (index) => this.#open(index))]));
    this.drawing.replaceChildren(...this.#edges.map((edge) => edge.group), ...[...this.#boxes.values()].map((box) => box.group));
    setAttribute(this.map, 'viewBox', `0 0 ${this.#layout.width} ${this.#layout.height}`);
    this.map.replaceChildren(...stages.map((stage) => {
      const place = this.#layout.boxes.get(stage.index);
      return svg('rect', {'data-stage': stage.index, x: place.x, y: place.y, width: place.width, height: place.height});
    }), this.seen);
    this.zoom.setSize(this.#layout.width, this.#layout.height);
    this.empty.hidden = stages.length > 0;
    this.#isPlaced = false;
  }

  // All of it, or, where that would be too small to read, the place that matters most.
  #placeFirst() {
    if (this.#isPlaced || !this.#layout || !this.pane.getBoundingClientRect().width) return;
    this.#isPlaced = true;
    this.zoom.fit();
    if (this.zoom.scale < NEAR) this.#centre(this.#selected ?? this.#foremost());
  }

  // What fails, what is slow, what runs, or the beginning.
  #foremost() {
    const {graph} = this.#context, slow = slowest(graph);
    const failed = !graph.is_live && graph.stages.find((stage) => stage.bundles_failed && stage.state !== 'done');
    const slowStage = slow?.share >= 0.2 ? slow.stage : null;
    return (failed || slowStage || graph.stages.find((stage) => stage.bundles_running) || graph.stages[0]).index;
  }

  #updateBox(stage) {
    const box = this.#boxes.get(stage.index), {times, now_ms} = this.#context;
    const spent = stageTime(stage), share = times.total_ms ? spent / times.total_ms : 0;
    const summary = summaryOf(stage, this.#context.graph.is_live);
    setText(box.line1, summary);
    const taken = intake(stage);
    const shown = stage.is_streaming && stage.input_watermark ? ` · ${watermark(stage.input_watermark, now_ms).replace(/^[^(]*\((.*)\)$/, '$1')}` : '';
    setText(box.line2, taken + shown);
    setClass(box.group, 'box', stage.state, heat(share), stage.bundles_failed > 0 && 'retried',
      stage.index === this.#selected && 'selected', box.isFound && 'found');
    setAttribute(box.group, 'aria-label', `Stage ${stage.index}, ${stage.name}: ${summary}, ${taken}, ${duration(spent)}`);
    setAttribute(box.heatBar, 'width', Math.round(share * (WIDTH - 4.5)));
    setClass(box.heatBar, 'stage-heat', heat(share));
    (stage.transforms || []).forEach((transform, i) => this.#updateRow(box.rows[i], transform, times));
    setClass(this.map.querySelector(`[data-stage="${Number(stage.index)}"]`), stage.state, heat(share));
  }

  #updateRow(row, transform, times) {
    const share = times.total_ms ? (transform.time_ms || 0) / times.total_ms : 0;
    setClass(row.group, 'row', heat(share));
    setAttribute(row.bar, 'width', Math.round(share * (WIDTH - 4.5)));
    setText(row.time, transform.time_ms ? `${brief(transform.time_ms)}${share >= 0.01 ? ` ${percent(share)}` : ''}` : '');
  }

  #updateEdge(edge, i) {
    setText(this.#edges[i].label, edge.elements ? short(edge.elements) : '');
    setText(this.#edges[i].title, `${edge.pcollection_name || edge.pcollection}: ${counted(edge.elements || 0, 'element')}, ${bytes(edge.bytes)}`);
  }

  #stage(index) {
    return (this.#context.graph.stages || []).find((stage) => stage.index === index);
  }

  #select(index, isFromAddress) {
    const before = this.#selected;
    this.#selected = this.#stage(index) ? index : null;
    this.aside.hidden = this.#selected === null;
    for (const one of [before, this.#selected]) if (one !== null && this.#stage(one)) this.#updateBox(this.#stage(one));
    if (this.#selected !== null && isFromAddress) this.#bringIn(this.#selected);
    this.#updateAside();
  }

  #updateAside() {
    if (this.#selected === null) return;
    const stage = this.#stage(this.#selected);
    setText(this.heading, `${stage.index}: ${stage.name}`);
    this.details.update(stage, this.#context);
  }

  #centre(index) {
    const place = this.#layout.boxes.get(index);
    if (place) this.zoom.centre(place.x + place.width / 2, place.y + place.height / 2, Math.max(this.zoom.scale, 0.85));
  }

  // Moved only if it is not to be seen, or not to be read.
  #bringIn(index) {
    const place = this.#layout.boxes.get(index), seen = this.zoom.seen();
    const isIn = place.x >= seen.x && place.x + place.width <= seen.x + seen.width &&
      place.y >= seen.y && place.y + Math.min(place.height, seen.height) <= seen.y + seen.height + 1;
    if (!isIn || this.zoom.scale < FAR) this.#centre(index);
  }

  #toSlowest() {
    const slow = slowest(this.#context?.graph);
    if (slow) this.#open(slow.stage.index);
  }

  #found() {
    const text = this.find.value.trim().toLowerCase();
    return !text ? [] : (this.#context?.graph.stages || []).filter((stage) =>
      stage.name.toLowerCase().includes(text) || (stage.transforms || []).some((transform) => (transform.name || '').toLowerCase().includes(text)));
  }

  #mark() {
    const found = new Set(this.#found().map((stage) => stage.index));
    setClass(this.drawing, 'drawing', this.find.value.trim() && 'finding');
    for (const stage of this.#context?.graph.stages || []) {
      this.#boxes.get(stage.index).isFound = found.has(stage.index);
      this.#updateBox(stage);
    }
  }

  #next() {
    const found = this.#found();
    if (!found.length) return;
    const at = found.findIndex((stage) => stage.index === this.#selected);
    this.#open(found[(at + 1) % found.length].index);
  }

  #jump(event) {
    const box = this.map.getBoundingClientRect();
    const scale = Math.min(box.width / this.#layout.width, box.height / this.#layout.height);
    const left = (box.width - this.#layout.width * scale) / 2, top = (box.height - this.#layout.height * scale) / 2;
    this.zoom.centre((event.clientX - box.x - left) / scale, (event.clientY - box.y - top) / scale);
  }

  #moved() {
    this.pane.classList.toggle('far', this.zoom.scale < FAR);
    const seen = this.zoom.seen();
    for (const name of ['x', 'y', 'width', 'height']) setAttribute(this.seen, name, Math.round(seen[name]));
    const isAllSeen = seen.x <= 0 && seen.y <= 0 && seen.x + seen.width >= this.#layout.width && seen.y + seen.height >= this.#layout.height;
    this.map.classList.toggle('needless', isAllSeen || this.#boxes.size < MAP_FROM);
  }
}
