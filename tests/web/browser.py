"""Headless Chromium, driven by the DevTools protocol over a pipe: JSON with a NUL behind each message, on the child's file descriptors 3 and 4."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
         '--disable-sync', '--disable-extensions', '--disable-dev-shm-usage', '--hide-scrollbars', '--remote-debugging-pipe']


class Timeout(Exception):
  pass


class Browser:
  """One browser with one page. `console` has errors and exceptions (but for
  requests that the daemon refused: the page's own matter), `requests` the addresses of all requests."""

  def __init__(self, program='chromium'):
    self.profile = tempfile.mkdtemp(prefix='trestle-web-')
    to_child, self.out = os.pipe()
    self.input, from_child = os.pipe()

    def place():
      # Out of the way first: either may be the other's place.
      read, write = os.dup(to_child), os.dup(from_child)
      first, second = os.dup2(read, 103), os.dup2(write, 104)
      os.dup2(first, 3)
      os.dup2(second, 4)

    self.process = subprocess.Popen([program, *FLAGS, '--user-data-dir=' + self.profile, 'about:blank'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=place, start_new_session=True)
    os.close(to_child)
    os.close(from_child)
    self.buffer, self.last_id, self.session = b'', 0, None
    self.console, self.requests = [], []
    target = self.call('Target.createTarget', url='about:blank')['targetId']
    self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
    for domain in ('Page', 'Runtime', 'Network', 'Log'):
      self.call(domain + '.enable')

  def close(self):
    try:
      self.session = None
      self.call('Browser.close', wait_s=5)
      self.process.wait(10)
    except (Timeout, OSError, subprocess.TimeoutExpired):
      os.killpg(self.process.pid, 9)
      self.process.wait()
    os.close(self.out)
    os.close(self.input)
    shutil.rmtree(self.profile, ignore_errors=True)

  def receive(self, until):
    while b'\0' not in self.buffer:
      ready, _, _ = select.select([self.input], [], [], max(0, until - time.monotonic()))
      if not ready:
        raise Timeout('the browser said nothing more')
      data = os.read(self.input, 1 << 20)
      if not data:
        raise OSError('the browser is gone')
      self.buffer += data
    message, self.buffer = self.buffer.split(b'\0', 1)
    return json.loads(message)

  def note(self, message):
    method, parameters = message.get('method'), message.get('params', {})
    if method == 'Network.requestWillBeSent':
      self.requests.append(parameters['request']['url'])
    elif method == 'Runtime.exceptionThrown':
      self.console.append(json.dumps(parameters['exceptionDetails'].get('exception', {}).get('description') or parameters['exceptionDetails']['text']))
    elif method == 'Runtime.consoleAPICalled' and parameters['type'] in ('error', 'assert'):
      self.console.append(json.dumps([a.get('value') or a.get('description') for a in parameters['args']]))
    elif method == 'Log.entryAdded' and parameters['entry']['level'] == 'error' and '/api/v1/' not in parameters['entry'].get('url', ''):
      self.console.append('%s %s' % (parameters['entry']['text'], parameters['entry'].get('url', '')))

  def call(self, method, wait_s=30, **parameters):
    self.last_id += 1
    message = {'id': self.last_id, 'method': method, 'params': parameters}
    if self.session:
      message['sessionId'] = self.session
    os.write(self.out, json.dumps(message).encode() + b'\0')
    until = time.monotonic() + wait_s
    while True:
      answer = self.receive(until)
      if answer.get('id') == self.last_id:
        if 'error' in answer:
          raise RuntimeError('%s: %s' % (method, answer['error']))
        return answer.get('result', {})
      self.note(answer)

  def run(self, expression):
    """The value of a JavaScript expression; a promise's is awaited."""
    result = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
    if 'exceptionDetails' in result:
      raise RuntimeError('%s: %s' % (expression, result['exceptionDetails'].get('exception', {}).get('description')))
    return result['result'].get('value')

  def wait(self, expression, wait_s=15):
    """Until the expression is true: the page itself looks after each frame."""
    value = self.run('new Promise((resolve) => { const end = Date.now() + %d; const look = () => { let value; try { value = (%s); } catch { value = false; } '
                     'if (value || Date.now() > end) resolve(Boolean(value)); else setTimeout(look, 20); }; look(); })' % (wait_s * 1000, expression))
    if not value:
      raise Timeout('never true: %s\n%s' % (expression, (self.run('document.body.innerText') or '')[:1500]))
    return value

  def open(self, url, width=1280, height=900, is_phone=False, scheme='light'):
    self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=is_phone)
    self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])
    self.call('Page.navigate', url='about:blank')
    self.call('Page.navigate', url=url)
    self.wait('document.readyState === "complete" && document.querySelector("main").childElementCount')

  def click(self, selector):
    self.run('(() => { const e = document.querySelector(%s); if (!e) throw new Error("none"); e.scrollIntoView({block: "center"}); '
             'e.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true})); })()' % json.dumps(selector))

  def type(self, selector, text):
    self.run('(() => { const e = document.querySelector(%s); e.focus(); e.value = %s; e.dispatchEvent(new Event("input", {bubbles: true})); })()' %
             (json.dumps(selector), json.dumps(text)))

  def press(self, key):
    for kind in ('keyDown', 'keyUp'):
      self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key, windowsVirtualKeyCode={'Enter': 13, 'Tab': 9, 'Escape': 27}.get(key, 0),
                **({'text': '\r'} if key == 'Enter' and kind == 'keyDown' else {}))

  def screenshot(self, file):
    data = self.call('Page.captureScreenshot', format='png')['data']
    with open(file, 'wb') as f:
      f.write(base64.b64decode(data))
