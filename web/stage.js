// One fused stage in full: its state in figures, its transforms with their time, and what comes in and goes out. Shared by the drawing and the list.

import {h, keep, setAttribute, setClass, setText} from './dom.js';
import {slowestIn} from './findings.js';
import {brief, bytes, count, counted, percent, short, urnWord, watermark} from './format.js';

// Of the times of all transforms: {total_ms, most_ms}.
export function timesOf(graph) {
  const times = (graph.stages || []).flatMap((stage) => (stage.transforms || []).map((transform) => transform.time_ms || 0));
  return {total_ms: times.reduce((sum, time) => sum + time, 0), most_ms: Math.max(0, ...times)};
}

// How much a transform's share of the job's time is to catch the eye.
export const heat = (share) => share >= 0.5 ? 'hot' : share >= 0.2 ? 'warm' : 'cool';

export const stageTime = (stage) => (stage.transforms || []).reduce((sum, transform) => sum + (transform.time_ms || 0), 0);

// With what its running bundles have taken: the stage's own figure may be that of finished ones.
export const takenIn = (stage) => Math.max(stage.elements_in || 0, stage.transforms?.[0]?.elements_in || 0);

// What has gone through its slowest transform.
function passed(stage) {
  const most = slowestIn(stage);
  return most ? most.elements_in || most.elements_out || 0 : takenIn(stage);
}

// "4,711 in, 1.2 MiB"
export const intake = (stage) => `${short(takenIn(stage))} in${stage.bytes_in ? `, ${bytes(stage.bytes_in)}` : ''}`;

// Elements a second that go through each stage, over the last answers.
export class Rates {
  #seen = new Map();

  update(graph, now_ms) {
    for (const stage of graph.stages || []) {
      const seen = this.#seen.get(stage.index) || [];
      seen.push({at: now_ms, n: passed(stage)});
      while (seen.length > 2 && now_ms - seen[0].at > 10e3) seen.shift();
      this.#seen.set(stage.index, seen);
    }
  }

  // Null: not known yet.
  of(stage) {
    const seen = this.#seen.get(stage.index);
    if (!seen || seen.length < 2) return null;
    const first = seen[0], last = seen[seen.length - 1];
    return last.at > first.at ? Math.max(0, last.n - first.n) * 1000 / (last.at - first.at) : null;
  }
}

// "running, 3 bundles, 4,711 waiting": what a stage is about, in one line.
export function summaryOf(stage, isLive) {
  const running = !isLive ? 'not finished' : stage.bundles_running ? 'running' : 'idle';
  return [
    stage.state === 'running' ? running : stage.state,
    isLive && stage.bundles_running ? counted(stage.bundles_running, 'bundle') : '',
    stage.elements_waiting ? `${short(stage.elements_waiting)} waiting` : '',
    stage.bundles_failed ? `${count(stage.bundles_failed)} failed` : '',
  ].filter(Boolean).join(' · ');
}

function factsOf(stage, context) {
  const rate = context.rates.of(stage);
  return [
    ['State', `${summaryOf(stage, context.graph.is_live)}${stage.progress >= 0 && stage.state === 'running' ? ` · ${percent(stage.progress)}` : ''}`],
    ['Waits for', stage.waits_for],
    ['Taken in', `${counted(takenIn(stage), 'element')}${stage.bytes_in ? `, ${bytes(stage.bytes_in)}` : ''}`],
    ['Now', context.graph.is_live && rate != null && stage.state !== 'done' ? `${short(Math.round(rate))} elements a second` : ''],
    ['Bundles', [`${count(stage.bundles_done)} done`, stage.bundles_running && `${count(stage.bundles_running)} running`,
      stage.bundles_failed && `${count(stage.bundles_failed)} failed and run again`].filter(Boolean).join(', ')],
    ['Input watermark', watermark(stage.input_watermark, context.now_ms)],
    ['Output watermark', watermark(stage.output_watermark, context.now_ms)],
    ['Runs', stage.environment ? `in environment ${stage.environment}` : `in the engine (${stage.kind || 'built in'})`],
  ].filter((fact) => fact[1]);
}

function makeTransform() {
  const name = h('td', {class: 'name'}), urn = h('span', {class: 'urn'});
  const bar = h('span', {class: 'bar'}), text = h('span');
  const cells = ['in', 'out', 'bytes', 'each'].map((key) => h('td', {class: `number ${key}`}));
  const nameText = h('span');
  name.append(nameText, ' ', urn);
  const row = h('tr', null, name, h('td', {class: 'number time'}, bar, text), ...cells);
  row.parts = {nameText, urn, bar, text, cells};
  return row;
}

function updateTransform(row, transform, times) {
  const {nameText, urn, bar, text, cells} = row.parts;
  const share = times.total_ms ? (transform.time_ms || 0) / times.total_ms : 0;
  const elements = transform.elements_in || transform.elements_out || 0;
  setText(nameText, transform.name || transform.id);
  setText(urn, urnWord(transform.urn));
  setClass(row, heat(share));
  bar.style.width = `${(share * 100).toFixed(1)}%`;
  setText(text, transform.time_ms ? `${brief(transform.time_ms)} ${percent(share)}` : '');
  const each = elements && transform.time_ms ? transform.time_ms / elements : 0;
  const values = [short(transform.elements_in), short(transform.elements_out), bytes(transform.bytes_out),
    each >= 0.01 ? `${each.toFixed(each < 1 ? 2 : 1)} ms` : ''];
  cells.forEach((cell, i) => setText(cell, values[i]));
}

const edgeKey = (edge) => `${edge.from_stage} ${edge.to_stage} ${edge.pcollection} ${edge.is_side_input}`;

function updateEdges(list, edges, context, isInput) {
  const names = new Map((context.graph.stages || []).map((stage) => [stage.index, stage.name]));
  keep(list, edges, edgeKey, () => h('li', null, h('a'), ' ', h('span'), ' ', h('a', {class: 'to-samples'}, 'samples')), (item, edge) => {
    const other = isInput ? edge.from_stage : edge.to_stage;
    const [stage, text, sample] = item.children;
    setText(stage, `${other}: ${names.get(other) || '?'}`);
    setAttribute(stage, 'href', context.stageHref(other));
    const name = `${edge.is_side_input ? 'side input, ' : ''}${edge.pcollection_name || edge.pcollection}`;
    setText(text, `${name} · ${counted(edge.elements || 0, 'element')}, ${bytes(edge.bytes)}`);
    setAttribute(sample, 'href', context.sampleHref(edge.pcollection));
  });
}

// {element, update(stage, context)}; context: {graph, times, rates, now_ms, stageHref(index), sampleHref(pcollection)}
export function stageDetails() {
  const facts = h('dl', {class: 'facts-list'});
  const rows = h('tbody');
  const inputs = h('ul', {class: 'edges'}), outputs = h('ul', {class: 'edges'});
  const from = h('div', null, h('h4', null, 'From'), inputs), to = h('div', null, h('h4', null, 'To'), outputs);
  const heads = ['Transform', 'Time in its code', 'In', 'Out', 'Bytes out', 'Each'];
  const head = h('tr', null, heads.map((text, i) => h('th', {scope: 'col', class: i ? 'number' : ''}, text)));
  const table = h('table', {class: 'transforms'}, h('thead', null, head), rows);
  const element = h('div', {class: 'stage-details'}, facts, h('div', {class: 'scroll'}, table), from, to);
  return {
    element,
    update(stage, context) {
      keep(facts, factsOf(stage, context), (fact) => fact[0], (fact) => h('div', null, h('dt', null, fact[0]), h('dd')),
        (item, fact) => setText(item.lastChild, fact[1]));
      keep(rows, stage.transforms || [], (transform) => transform.id || transform.name, makeTransform,
        (row, transform) => updateTransform(row, transform, context.times));
      table.hidden = !(stage.transforms || []).length;
      const edges = context.graph.edges || [];
      const arriving = edges.filter((edge) => edge.to_stage === stage.index), leaving = edges.filter((edge) => edge.from_stage === stage.index);
      from.hidden = !arriving.length;
      to.hidden = !leaving.length;
      updateEdges(inputs, arriving, context, true);
      updateEdges(outputs, leaving, context, false);
    },
  };
}
