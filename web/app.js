// The page: which view the address shows, the line about the daemon, and whether it answers.
//
//   #/?states=FAILED&contains=TEXT     the list of jobs
//   #/jobs/ID                          a job; /graph/STAGE, /stages, /workers/WORKER, /logs, /metrics, /samples, /about are its tabs
//
// A view is {element, show(parts), stop()}; `show` is called with the rest of the address each time that changes.

import {connection} from './api.js';
import {setText} from './dom.js';
import {JobView} from './job.js';
import {JobsView} from './jobs.js';
import {ServerLine} from './server.js';

const main = document.getElementById('main');
const server = new ServerLine(document.getElementById('server'));
let view = null, viewKey = null;

function parse(hash) {
  const [path, search] = hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return {parts, parameters: new URLSearchParams(search || '')};
}

function route() {
  const {parts, parameters} = parse(location.hash);
  const id = parts[0] === 'jobs' ? parts[1] : undefined;
  const key = id === undefined ? 'list' : `job ${id}`;
  if (key !== viewKey) {
    view?.stop();
    view = id === undefined ? new JobsView(server) : new JobView(id, server);
    viewKey = key;
    main.replaceChildren(view.element);
    window.scrollTo(0, 0);
  }
  view.show(parts.slice(2), parameters);
}

connection.addEventListener('change', () => {
  const line = document.getElementById('connection');
  setText(line, connection.isGone ? 'The daemon does not answer. What is shown is the last that it said; this page asks again by itself.' : '');
  line.hidden = !connection.isGone;
});
window.addEventListener('hashchange', route);
route();
