// The daemon's JSON (proto/trestle_inspection.proto), asked with patience.
//
// `connection` says whether the daemon answers: an EventTarget with `isGone`, and an event `change`. A Poller repeats a task while the page is seen.

const RETRY_MS = [1000, 2000, 3000, 5000];

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

class Connection extends EventTarget {
  isGone = false;

  set(isGone) {
    if (this.isGone === isGone) return;
    this.isGone = isGone;
    this.dispatchEvent(new Event('change'));
  }
}

export const connection = new Connection();

// A path of the API: path('jobs', id, 'graph')
export const path = (...parts) => `api/v1/${parts.map(encodeURIComponent).join('/')}`;

function query(parameters) {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters || {})) {
    if (value !== '' && value != null && value !== false) pairs.set(name, value);
  }
  const text = pairs.toString();
  return text && `?${text}`;
}

async function refusal(response) {
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    const said = body.error?.message;
    if (said) return new ApiError(response.status, said);
  } catch { /* not JSON: what it is, as text */ }
  return new ApiError(response.status, text.slice(0, 1000) || `the daemon answered ${response.status}`);
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, {cache: 'no-store', credentials: 'same-origin', ...options});
  } catch (error) {
    if (error.name !== 'AbortError') connection.set(true);
    throw error;
  }
  connection.set(false);
  if (!response.ok) throw await refusal(response);
  return response.json();
}

export const get = (url, parameters, signal) => ask(url + query(parameters), {signal});

export const post = (url) => ask(url, {method: 'POST', headers: {'X-Trestle': '1', 'Content-Type': 'application/json'}, body: '{}'});

// Calls `task(signal)`, whose answer is the milliseconds until the next call, or null: none is needed. A hidden page asks nothing. A daemon that is gone
// is asked again, ever more slowly; an answer that is an error goes to `onError` and ends the polling until `soon`.
export class Poller {
  #task;
  #onError;
  #timer = 0;
  #abort = null;
  #failures = 0;
  #isStopped = false;
  #isDue = false;
  #onVisible = () => { if (!document.hidden && this.#isDue) this.soon(); };

  constructor(task, onError) {
    this.#task = task;
    this.#onError = onError || (() => {});
    document.addEventListener('visibilitychange', this.#onVisible);
    this.soon();
  }

  // At once, in place of a call that runs.
  soon() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    if (!this.#isStopped) this.#run();
  }

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#abort?.abort();
    document.removeEventListener('visibilitychange', this.#onVisible);
  }

  async #run() {
    const abort = this.#abort = new AbortController();
    let delay;
    try {
      delay = await this.#task(abort.signal);
      this.#failures = 0;
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error instanceof ApiError && error.status < 500) {
        this.#onError(error);
        delay = null;
      } else {
        if (!(error instanceof ApiError || error instanceof TypeError)) console.error(error);
        if (error instanceof ApiError) this.#onError(error);
        delay = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
      }
    }
    if (abort.signal.aborted) return;
    this.#abort = null;
    this.#isDue = delay != null;
    if (this.#isDue) this.#timer = setTimeout(() => { if (!document.hidden) this.#run(); }, delay);
  }
}
