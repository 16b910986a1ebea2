#!/usr/bin/env python3
"""The web page as the daemon serves it, with jobs of the Python SDK.

  test_daemon.py TRESTLE PYTHON [CASE...]     PYTHON has apache-beam

Closes with `N passed, N failed, N skipped`.
"""
import os
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import urllib.request

from suite import Page, Suite, check

HERE = os.path.dirname(os.path.abspath(__file__))
WEB = os.path.join(HERE, '..', '..', 'web')
WAIT_S = 60

suite = Suite()


class Daemon:
  """A daemon on ports of the system's choice, and the pipelines that were submitted to it; all of it ends with close()."""

  def __init__(self, program):
    self.home = tempfile.mkdtemp(prefix='trestle-web-')
    config = os.path.join(self.home, 'trestle.yaml')
    with open(config, 'w', encoding='utf-8') as f:
      f.write('http:\n  listen: "127.0.0.1:0"\n')
    self.process = subprocess.Popen([program, 'serve', '--listen', '127.0.0.1:0', '--state-dir', os.path.join(self.home, 'state'), '--config', config],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    self.clients = []
    try:
      self.endpoint, self.page = self.await_addresses()
    except BaseException:
      self.close()
      raise

  def await_addresses(self):
    """Both are said within the first lines, in either order."""
    said = b''
    with selectors.DefaultSelector() as selector:
      selector.register(self.process.stdout, selectors.EVENT_READ)
      while True:
        endpoint, page = re.search(rb'listening on (\S+)\n', said), re.search(rb'web page on (http://\S+)\n', said)
        if endpoint and page:
          return endpoint[1].decode(), page[1].decode().rstrip('/') + '/'
        data = os.read(self.process.stdout.fileno(), 65536) if selector.select(WAIT_S) else b''
        if not data:
          raise RuntimeError('the daemon did not say its addresses: %r' % said)
        said += data

  def submit(self, python, kind):
    client = subprocess.Popen([python, os.path.join(HERE, 'pipeline.py'), kind, self.endpoint], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    self.clients.append(client)
    return client

  def close(self):
    for client in self.clients:
      client.kill()
      client.communicate()
    self.process.terminate()
    try:
      self.process.communicate(timeout=WAIT_S)
    except subprocess.TimeoutExpired:
      self.process.kill()
      self.process.communicate()
    shutil.rmtree(self.home, ignore_errors=True)


@suite.case
def every_file_of_the_page_is_served(page):
  for file in [f for f in os.listdir(WEB) if f.endswith(('.html', '.js', '.css', '.svg'))]:
    with urllib.request.urlopen(page.base + ('' if file == 'index.html' else file)) as answer, open(os.path.join(WEB, file), 'rb') as f:
      check(answer.read() == f.read(), 'served as it is', file)
      check("default-src 'self'" in answer.headers['Content-Security-Policy'], 'with a policy', file, dict(answer.headers))


@suite.case
def without_a_job_the_page_says_how_to_submit_one(page):
  page.open('', '!document.querySelector(".empty").hidden')
  check('--job_endpoint=%s' % page.daemon.endpoint in page.text('.empty'), 'the endpoint', page.text('.empty'))
  page.open('#/jobs/nobody', '/There is no job nobody/.test(document.body.innerText)')


def open_job(page, state):
  """The newest job's page, once the list has it in that state."""
  page.open('', '/%s/.test(document.querySelector(".jobs tbody tr .state").innerText)' % state, WAIT_S)
  page.browser.run('location.hash = document.querySelector(".jobs .name").getAttribute("href")')
  page.wait_text('.job-head .state', state)


@suite.case
def a_job_that_fails_shows_the_users_line(page):
  page.daemon.submit(page.python, 'fail').communicate(timeout=WAIT_S)
  open_job(page, 'failed')
  check(page.text('.failure h2') == "ValueError: invalid literal for int() with base 10: 'order_id'", 'the cause', page.text('.failure h2'))
  check(re.search(r'Parse\b.*pipeline\.py, line \d+, in process', page.text('.failure dl'), re.DOTALL), "the step and the user's line", page.text('.failure dl'))
  page.browser.run('location.hash += "/logs/WARNING"')
  page.wait_text('.messages', 'order_id')


@suite.case
def a_slow_job_shows_its_transform_and_is_cancelled(page):
  client = page.daemon.submit(page.python, 'slow')
  open_job(page, 'running')
  page.wait_text('.view > .notices', 'of the time goes into Call service', WAIT_S)
  check(page.browser.run('[...document.querySelectorAll(".row.hot .name")].map((e) => e.textContent)') == ['Call service'], 'one row is hot')
  page.browser.run('location.hash = location.hash.split("/").slice(0, 3).join("/") + "/workers"')
  page.browser.wait('document.querySelectorAll(".worker").length > 0')
  page.browser.run('location.hash = location.hash.split("/").slice(0, 3).join("/") + "/metrics"')
  page.wait_text('.metrics', 'orders: parsed')
  page.browser.click('.job-head .danger')
  page.browser.wait('document.querySelector("dialog[open]")')
  page.browser.click('dialog button[value="yes"]')
  page.wait_text('.job-head .state', 'cancelled')
  client.communicate(timeout=WAIT_S)


def main():
  program, python, names = sys.argv[1], sys.argv[2], sys.argv[3:]
  daemon = Daemon(program)
  try:
    page = Page(daemon.page)
    page.daemon, page.python = daemon, python
    try:
      failed = suite.run(page, names)
    finally:
      page.close()
  finally:
    daemon.close()
  sys.exit(1 if failed else 0)


if __name__ == '__main__':
  main()
