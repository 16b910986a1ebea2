// The line about the daemon at the top of each view, and what is wrong with the machine as a whole. An event `change` comes with each answer.

import {Poller, get, path} from './api.js';
import {h, keep, setAttribute, setText} from './dom.js';
import {serverFindings} from './findings.js';
import {bytes, bytesOf, count, duration} from './format.js';
import {showFindings} from './notices.js';

// A small bar from 0 to 1 with a text behind it.
function meter(name) {
  const bar = h('meter', {min: 0, max: 1, high: 0.8, low: 0.6, optimum: 0, 'aria-label': name});
  const text = h('span');
  const element = h('span', {class: 'gauge'}, `${name} `, bar, ' ', text);
  return {
    element,
    set(used, limit) {
      bar.hidden = !limit;
      setAttribute(bar, 'value', limit ? Math.min(used / limit, 1) : 0);
      setText(text, limit ? bytesOf(used, limit) : bytes(used));
    },
  };
}

function factsOf(server) {
  const up = server.started_ms ? [['up', duration(server.now_ms - server.started_ms)]] : [];
  const warm = server.warm_workers ? ` (${count(server.warm_workers)} idle)` : '';
  return [
    ...up,
    ['jobs', `${count(server.running_jobs)} running, ${count(server.queued_jobs)} queued`],
    ['workers', `${count(server.workers)}${warm}`],
    ['bundles', count(server.bundles)],
    ['process', bytes(server.resident_bytes)],
  ];
}

export class ServerLine extends EventTarget {
  data = null;
  #skew_ms = 0;

  constructor(element) {
    super();
    const version = h('a', {class: 'brand', href: '#/'}, 'Trestle');
    const endpoint = h('span', {class: 'endpoint', title: 'What to give to an SDK as --job_endpoint'});
    const facts = h('span', {class: 'facts'});
    const memory = meter('memory'), disk = meter('disk');
    const notices = h('div', {class: 'notices'});
    element.append(h('div', {class: 'line'}, version, endpoint, facts, h('span', {class: 'gauges'}, memory.element, disk.element)), notices);
    new Poller(async (signal) => {
      const server = await get(path('server'), null, signal);
      this.data = server;
      this.#skew_ms = server.now_ms ? server.now_ms - Date.now() : 0;
      setText(version, `Trestle ${server.version || ''}`);
      setText(endpoint, server.endpoint);
      keep(facts, factsOf(server), (fact) => fact[0], (fact) => h('span', {class: `fact fact-${fact[0]}`}, `${fact[0]} `, h('b')),
        (child, fact) => setText(child.lastChild, fact[1]));
      memory.set(server.memory_bytes, server.memory_limit_bytes);
      disk.set(server.disk_bytes, server.disk_limit_bytes);
      showFindings(notices, serverFindings(server));
      this.dispatchEvent(new Event('change'));
      return server.running_jobs || server.queued_jobs ? 1000 : 5000;
    });
  }

  // The daemon's clock, which the reader's may differ from.
  now_ms() {
    return Date.now() + this.#skew_ms;
  }

  title(text) {
    document.title = text ? `${text} – Trestle` : 'Trestle';
  }
}
