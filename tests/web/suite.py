"""What the page's test programs share: a browser that looks at one origin, and a loop over cases that count themselves."""
import json
import time
import traceback

import browser as browsers


def check(is_so, what, *more):
  if not is_so:
    raise AssertionError(' '.join([what] + [repr(m) for m in more]))


class Page:
  """A browser at `base`, and short ways to look at what it shows."""

  def __init__(self, base):
    self.base = base
    self.browser = browsers.Browser()

  def close(self):
    self.browser.close()

  def open(self, hash_part, ready, wait_s=15, **options):
    self.browser.open(self.base + hash_part, **options)
    self.browser.wait(ready, wait_s)

  def text(self, selector):
    return self.browser.run('document.querySelector(%s)?.innerText' % json.dumps(selector))

  def wait_text(self, selector, part, wait_s=15):
    self.browser.wait('(document.querySelector(%s)?.innerText || "").includes(%s)' % (json.dumps(selector), json.dumps(part)), wait_s)

  def count(self, selector):
    return self.browser.run('document.querySelectorAll(%s).length' % json.dumps(selector))


class Suite:
  """Cases in the order in which they are declared with @suite.case. One fails by an exception, by an error on the browser's console, or by a request
  that leaves the origin."""

  def __init__(self):
    self.cases = []

  def case(self, function):
    self.cases.append(function)
    return function

  def run_one(self, page, function):
    page.browser.console.clear()
    page.browser.requests.clear()
    function(page)
    page.browser.run('1')  # what the browser has said until now has been read
    check(page.browser.console == [], 'errors on the console', page.browser.console)
    strange = [url for url in page.browser.requests if not url.startswith((page.base, 'about:', 'data:'))]
    check(strange == [], 'requests that leave the origin', strange)

  def run(self, page, names):
    """Prints a line for each case and the totals; returns how many failed."""
    passed = failed = 0
    for function in [c for c in self.cases if not names or c.__name__ in names]:
      started = time.monotonic()
      try:
        self.run_one(page, function)
        passed += 1
        print('ok      %-62s %5.1f s' % (function.__name__, time.monotonic() - started), flush=True)
      except Exception:  # pylint: disable=broad-except
        failed += 1
        print('FAILED  %s\n%s' % (function.__name__, traceback.format_exc(limit=3)), flush=True)
    print('%d passed, %d failed, 0 skipped' % (passed, failed))
    return failed
