#!/usr/bin/env python3
"""The web page in headless Chromium, against a stand-in for the daemon (mock.py).

  test_page.py [--screenshots DIR] [CASE...]

Closes with `N passed, N failed, N skipped`.
"""
import argparse
import functools
import json
import os
import re
import sys

import fixtures
import mock as mocks
from suite import Page, Suite, check

SHOT = {'width': 1200, 'height': 720}
PHONE = {'width': 390, 'height': 844, 'is_phone': True}
TABS = ['graph', 'stages', 'workers', 'logs', 'metrics', 'samples', 'about']
MOST_BYTES = 150 * 1024


suite = Suite()


class MockedPage(Page):
  def __init__(self, mock):
    super().__init__('http://127.0.0.1:%d/' % mock.port)
    self.mock = mock

  def close(self):
    super().close()
    self.mock.close()


def case(function):
  """A case that finds the stand-in as it was at first."""
  @functools.wraps(function)
  def run(page):
    page.mock.change = lambda world: None
    page.mock.acted.clear()
    function(page)
  return suite.case(run)


# ---- the list


@case
def the_list_shows_jobs_with_state_progress_and_error(page):
  page.open('', 'document.querySelectorAll(".jobs tbody tr").length >= 100')
  rows = page.browser.run('[...document.querySelectorAll(".jobs tbody tr")].slice(0, 6).map((r) => r.innerText)')
  check('queued' in rows[0] and 'place 1' in rows[0], 'the queued job is first and says its place', rows[0])
  check('43' in rows[1] and 'running' in rows[1] and 'Python 2.77.0' in rows[1], 'a running job has its progress', rows[1])
  check('stream' in rows[3], 'a stream is called one', rows[3])
  check('failed' in rows[4] and 'bundle 41 failed 4 times' in rows[4], 'a failed job shows the first line of its error', rows[4])
  check('3 running, 1 queued' in page.text('#server'), 'the line of the server', page.text('#server'))


@case
def the_list_is_filtered_searched_and_paged(page):
  page.open('', 'document.querySelectorAll(".jobs tbody tr").length === 100')
  page.browser.click('.more')
  page.browser.wait('document.querySelectorAll(".jobs tbody tr").length === 158')
  page.browser.click('[data-states="FAILED"]')
  page.browser.wait('document.querySelectorAll(".jobs tbody tr").length === 3')
  check('states=FAILED' in page.browser.run('location.hash'), 'the filter is in the address')
  page.browser.type('input[type="search"]', 'sessions')
  page.browser.wait('document.querySelectorAll(".jobs tbody tr").length === 1')
  page.browser.type('input[type="search"]', 'no such job')
  page.wait_text('.empty', 'No job fits')


@case
def an_empty_server_says_how_to_begin(page):
  page.mock.change = lambda world: world['jobs'].clear()
  page.open('', '!document.querySelector(".empty").hidden')
  page.wait_text('.empty', 'No job yet')


# ---- the four situations


@case
def a_failed_job_has_the_cause_and_the_users_line_on_top(page):
  page.open('#/jobs/fail-03de', '!document.querySelector(".failure").hidden')
  check(page.text('.failure h2') == "ValueError: invalid literal for int() with base 10: 'order_id'", 'the cause', page.text('.failure h2'))
  check('/home/ada/orders/orders/parse.py, line 23, in parse_order' in page.text('.failure dl'), "the user's line", page.text('.failure dl'))
  check('Parse lines/ParDo(ParseOrder)' in page.text('.failure dl'), 'the step')
  page.browser.wait('document.querySelector(".failure dl a")?.getAttribute("href") === "#/jobs/fail-03de/graph/2"')
  own = page.browser.run('[...document.querySelectorAll(".trace .own")].map((e) => e.innerText)')
  check(len(own) == 2 and all('/home/ada/' in line for line in own), "frames of the user's code are marked, and no others", own)
  where = page.browser.run('(() => { const y = (s) => document.querySelector(s).getBoundingClientRect(); return [y(".failure").top, y(".failure .cause").bottom, '
                           'y(".tabs").top, innerHeight]; })()')
  check(where[0] < 200 and where[1] < where[3] and where[1] < where[2], 'all of it is seen without scrolling, above the rest', where)


@case
def traces_of_java_and_go_are_read(page):
  page.open('', 'document.querySelector(".jobs tbody tr")')
  for text, cause, where in [(fixtures.JAVA_TRACE, 'java.lang.IllegalStateException: bad order', 'com.acme.Orders$ParseFn.process (Orders.java:44)'),
                             (fixtures.GO_TRACE, 'panic: bad order', '/home/ada/orders/main.go, line 31'), ('out of luck', '', '')]:
    read = page.browser.run('import("/trace.js").then((trace) => trace.readTrace(%s))' % json.dumps(text))
    check([read['cause'], read['where']] == [cause, where], 'the cause and the line', read['cause'], read['where'])


@case
def a_slow_transform_stands_out(page):
  page.open('#/jobs/slow-52b0', 'document.querySelectorAll(".box").length === 5')
  page.wait_text('.notices .note', 'of the time goes into Enrich/CallService')
  hot = page.browser.run('[...document.querySelectorAll(".row.hot")].map((e) => e.textContent)')
  check(len(hot) == 1 and 'Enrich/CallService' in hot[0], 'one row is hot', hot)
  widths = page.browser.run('[...document.querySelectorAll(".row .bar")].map((e) => Number(e.getAttribute("width"))).sort((a, b) => b - a)')
  check(widths[0] > 5 * max(1, widths[1]), 'its bar is the longest by far', widths)
  page.browser.click('.view > .notices .links a')
  page.browser.wait('!document.querySelector(".aside").hidden')
  check('Enrich/CallService' in page.text('.aside') and 'waiting' in page.text('.aside'), 'details', page.text('.aside'))


@case
def a_worker_that_hangs_is_named_with_its_stack(page):
  page.open('#/jobs/hang-91c3', 'document.querySelector(".notice.error .links a")')
  check(re.search('Worker sdk-worker-1 has been silent for 5 min', page.text('.view > .notices')), 'the notice', page.text('.view > .notices'))
  page.browser.click('.notice.error .links a')
  page.wait_text('.dump .own', '/home/ada/orders/enrich.py", line 88')
  check('/home/ada/orders/enrich.py, line 88, in call_service' in page.text('.dump strong'), 'where it hangs', page.text('.dump'))
  check(page.count('.bundles tr.silent') == 1, 'one bundle is silent')
  check(page.browser.run('document.querySelector("[aria-label=\\"Worker sdk-worker-3\\"] button").disabled'), 'a worker without status cannot be asked')


@case
def a_full_disk_is_told_everywhere(page):
  page.mock.change = lambda world: world['server'].update(disk_bytes=40 << 30)
  page.open('', 'document.querySelector("#server .notice.error")')
  check('disk space for job data is full' in page.text('#server'), 'on the list', page.text('#server'))
  page.mock.change = lambda world: world['server'].update(state_directory='/srv/trestle', state_free_bytes=4096, state_size_bytes=40 << 30)
  page.wait_text('#server .notice.error', 'The disk is full')
  check('where /srv/trestle is' in page.text('#server'), 'which one', page.text('#server'))
  page.open('#/jobs/disk-b2b2', '!document.querySelector(".failure").hidden')
  check('the pipeline is not at fault' in page.text('.failure') and 'disk.total' in page.text('.failure'), 'in the job', page.text('.failure'))


# ---- the drawing

GEOMETRY = '''(() => {
  const boxes = [...document.querySelectorAll('.box')].map((e) => { const m = e.transform.baseVal.consolidate().matrix, f = e.querySelector('.frame');
    return {id: e.dataset.stage, x: m.e, y: m.f, width: f.width.baseVal.value, height: f.height.baseVal.value}; });
  const overlaps = [];
  for (const a of boxes) for (const b of boxes)
    if (a.id < b.id && a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height) overlaps.push([a.id, b.id]);
  const through = [];
  for (const [i, path] of [...document.querySelectorAll('.edge .line')].entries()) {
    const length = path.getTotalLength();
    if (length < 10) through.push([i, 'is not drawn']);
    for (let at = 2; at < length - 2; at += 16) {
      const p = path.getPointAtLength(at);
      for (const b of boxes) if (p.x > b.x + 1 && p.x < b.x + b.width - 1 && p.y > b.y + 1 && p.y < b.y + b.height - 1) through.push([i, b.id]);
    }
  }
  document.querySelector('.pane').classList.remove('far');
  const wide = [...document.querySelectorAll('.box')].flatMap((e) => [...e.querySelectorAll('text:not(.label)')].filter((t) => {
    const box = t.getBBox(); return box.x < 0 || box.x + box.width > e.querySelector('.frame').width.baseVal.value; }).map((t) => t.textContent));
  const struck = [...document.querySelectorAll('.row')].filter((row) => { const name = row.querySelector('.name').getBBox(), time = row.querySelector('.time').getBBox();
    return time.width && name.x + name.width > time.x; }).map((row) => row.textContent);
  return {boxes: boxes.length, edges: document.querySelectorAll('.edge').length, rows: document.querySelectorAll('.row').length, overlaps, through: through.slice(0, 5), wide, struck};
})()'''


@case
def three_hundred_transforms_are_drawn_without_overlap(page):
  graph = fixtures.large_graph(300, 0)
  page.open('#/jobs/large-300/graph', 'document.querySelectorAll(".box").length === %d' % len(graph['stages']))
  found = page.browser.run(GEOMETRY)
  check(found['rows'] == 300 and found['edges'] == len(graph['edges']), 'all transforms and edges are there', found)
  check(found['overlaps'] == [], 'boxes overlap', found['overlaps'])
  check(found['through'] == [], 'edges go through boxes', found['through'])
  check(found['wide'] == [], 'text is wider than its box', found['wide'])
  check(found['struck'] == [], 'a name runs into its time', found['struck'])
  seen = page.browser.run('document.querySelector("[data-stage=\\"37\\"]").getBoundingClientRect().toJSON()')
  check(0 < seen['x'] < 1280 and 0 < seen['y'] < 900 and seen['width'] > 150, 'the slowest is in sight, and large enough to read', seen)


@case
def odd_graphs_are_drawn(page):
  def change(world):
    stages = [fixtures.stage(i, 'S%d' % i, [fixtures.transform(i, 'T')]) for i in range(60)]
    circle = [fixtures.edge(0, 1), fixtures.edge(1, 0), fixtures.edge(2, 2), fixtures.edge(3, 99), fixtures.edge(0, 1)]
    world['jobs']['slow-52b0']['graph'] = {'stages': stages, 'edges': circle + [fixtures.edge(4, i) for i in range(5, 60)], 'is_live': True}
  page.mock.change = change
  page.open('#/jobs/slow-52b0/graph', 'document.querySelectorAll(".box").length === 60')
  found = page.browser.run(GEOMETRY)
  check(found['overlaps'] == [] and all(hit[1] == 'is not drawn' for hit in found['through']), 'circles, loops, loose ends and a fan of 55', found)


@case
def the_drawing_moves_scales_and_finds(page):
  page.open('#/jobs/large-300/graph', 'document.querySelectorAll(".box").length > 50')
  transform = 'document.querySelector(".drawing").getAttribute("transform")'
  before = page.browser.run(transform)
  page.browser.run('document.querySelector(".pane").focus()')
  page.browser.press('ArrowDown')
  page.browser.wait(transform + ' !== ' + json.dumps(before))
  page.browser.click('[aria-label="Show all of it"]')
  check(page.browser.run('document.querySelector(".pane").classList.contains("far")'), 'small letters are left out when all is shown')
  page.browser.type('.graph input[type="search"]', 'deduplicate')
  page.browser.wait('document.querySelectorAll(".box.found").length > 1 && document.querySelectorAll(".box:not(.found)").length > 1')
  page.browser.press('Enter')
  page.browser.wait('!document.querySelector(".aside").hidden && location.hash.split("/").length === 5')
  check(page.count('.map rect') > 50, 'the small map')


@case
def a_stage_is_opened_and_closed_by_keys(page):
  page.open('#/jobs/slow-52b0/graph', 'document.querySelectorAll(".box").length === 5')
  page.browser.run('document.querySelector("[data-stage=\\"2\\"].box").focus()')
  page.browser.press('Enter')
  page.browser.wait('!document.querySelector(".aside").hidden')
  check(page.browser.run('location.hash') == '#/jobs/slow-52b0/graph/2', 'the stage is in the address')
  page.browser.run('document.querySelector(".aside button").focus()')
  page.browser.press('Escape')
  page.browser.wait('document.querySelector(".aside").hidden')


# ---- the other tabs


@case
def figures_change_in_place(page):
  page.open('#/jobs/slow-52b0/stages', 'document.querySelectorAll(".stage").length === 5')
  page.browser.run('window.kept = document.querySelector(".stage[data-stage=\\"2\\"]"); kept.open = true')
  page.browser.wait('kept.querySelector(".transforms")')
  before = page.text('.stage[data-stage="2"]')
  page.browser.wait('kept.innerText !== %s' % json.dumps(before))
  check(page.browser.run('kept.isConnected && kept.open'), 'what was opened stays open')
  page.browser.wait('/\\d elements a second/.test(kept.innerText)')


@case
def logs_are_searched_filtered_and_followed(page):
  page.open('#/jobs/slow-52b0/logs', 'document.querySelectorAll(".message").length > 40')
  check(page.count('.message.DEBUG') == 0, 'debug messages are left out at first')
  check(page.browser.run('(() => { const e = document.querySelector(".messages"); return e.scrollHeight - e.scrollTop - e.clientHeight < 30; })()'), 'the newest is in sight')
  page.browser.type('.logs input[type="search"]', 'bundle 39 ')
  page.browser.wait('document.querySelectorAll(".message").length === 1')
  page.browser.type('.logs input[type="search"]', '')
  page.browser.run('(() => { const s = document.querySelector(".logs select"); s.value = "WARNING"; s.dispatchEvent(new Event("change")); })()')
  page.browser.wait('document.querySelectorAll(".message").length > 1 && !document.querySelector(".message.BASIC")')
  later = {'seq': 500, 'time_ms': fixtures.START_MS, 'importance': 'ERROR', 'text': 'the newest of all', 'state': ''}
  page.mock.change = lambda world: world['jobs']['slow-52b0']['messages'].append(later)
  page.wait_text('.messages', 'the newest of all')


@case
def metrics_samples_and_options_are_shown(page):
  page.open('#/jobs/slow-52b0/metrics', 'document.querySelectorAll(".metrics tbody tr").length === 4')
  check('bad_lines' in page.text('.metrics'), "the user's metrics are first", page.text('.metrics'))
  page.browser.type('.tab input[type="search"]', 'latency')
  page.browser.wait('document.querySelectorAll(".metrics tbody tr").length === 1')
  page.open('#/jobs/slow-52b0/samples', 'document.querySelectorAll(".sample").length === 2')
  page.browser.run('location.hash = "#/jobs/slow-52b0/samples/pc_2_3"')
  page.browser.wait('document.querySelectorAll(".sample").length === 1')
  page.open('#/jobs/slow-52b0/about', '/use_sdf_read/.test(document.querySelector(".about").innerText)')
  check('native' in page.text('.about') and 'STARTING' in page.text('.about'), 'environments and history', page.text('.about'))
  page.open('#/jobs/hang-91c3/samples', '/enable_data_sampling/.test(document.querySelector(".tab").innerText)')


# ---- what can be done


@case
def cancel_and_drain_ask_before_they_act(page):
  page.open('#/jobs/large-300', '[...document.querySelectorAll(".job-head button")].some((b) => b.innerText === "Drain" && !b.hidden)')
  page.browser.click('.job-head .danger')
  page.browser.wait('document.querySelector("dialog[open]")')
  page.browser.click('dialog button[value="no"]')
  page.browser.wait('!document.querySelector("dialog")')
  check(page.mock.acted == [], 'nothing was done without a yes', page.mock.acted)
  page.browser.click('.job-head .buttons button:not(.danger)')
  page.browser.wait('document.querySelector("dialog[open]")')
  page.browser.click('dialog button[value="yes"]')
  page.browser.wait('!document.querySelector("dialog")')
  page.browser.click('.job-head .danger')
  page.browser.wait('document.querySelector("dialog[open]")')
  page.browser.click('dialog button[value="yes"]')
  page.wait_text('.job-head .state', 'cancelled')
  check(page.mock.acted == [('jobs', 'large-300', 'drain'), ('jobs', 'large-300', 'cancel')], 'what was done', page.mock.acted)
  check(page.browser.run('document.querySelector(".job-head .danger").hidden'), 'a job that is over cannot be cancelled')


# ---- anywhere


@case
def markup_in_data_stays_text(page):
  page.open('', 'document.querySelectorAll(".jobs tbody tr").length >= 100')
  check(fixtures.PROBE in page.browser.run('[...document.querySelectorAll(".jobs .name")].map((e) => e.textContent)'), 'the name in the list')
  for tab in TABS:
    page.open('#/jobs/xss-1/' + tab, 'document.querySelector("h1").textContent === %s && document.querySelector(".tab").innerText.length > 10' % json.dumps(fixtures.PROBE))
  page.open('#/jobs/xss-1/workers/' + ''.join('%%%02X' % b for b in fixtures.PROBE.encode()), '/onerror/.test(document.querySelector(".dump .trace")?.innerText)')
  page.open('#/jobs/xss-1/graph/0', '!document.querySelector(".aside").hidden')
  check(page.browser.run('window.pwned') is None and page.count('main img, main script, main iframe') == 0, 'nothing of it became an element')


@case
def telephones_need_no_scrolling_sideways(page):
  for hash_part in ['', '#/jobs/xss-1'] + ['#/jobs/large-300/' + tab for tab in TABS] + ['#/jobs/fail-03de', '#/jobs/hang-91c3/workers/sdk-worker-1', '#/jobs/large-300/graph/37']:
    page.open(hash_part, 'document.querySelector("main").innerText.length > 100', **PHONE)
    page.browser.run('document.querySelectorAll("details").forEach((e) => { e.open = true; })')
    widths = page.browser.run('[document.documentElement.scrollWidth, innerWidth, document.documentElement.clientWidth]')
    check(widths[0] <= 390 and widths[1] == 390, 'wider than the telephone: %s' % hash_part, widths)
  page.open('#/jobs/large-300', 'document.querySelectorAll(".stage").length > 50', **PHONE)


CONTRAST = '''(() => {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => { const hex = style.getPropertyValue(name).trim().slice(1); const c = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
  const pairs = [];
  for (const front of ['--text', '--muted', '--accent', '--ok', '--run', '--bad', '--warn', '--idle']) for (const back of ['--page', '--panel', '--sunk']) pairs.push([front, back]);
  pairs.push(['--bad', '--bad-soft'], ['--warn', '--warn-soft'], ['--accent', '--note-soft'], ['--text', '--bar-hot'], ['--text', '--bar-warm'], ['--text', '--bar-cool']);
  return pairs.map(([a, b]) => { const [x, y] = [of(a), of(b)]; return [a, b, (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05)]; }).filter((p) => !(p[2] >= 4.5));
})()'''


@case
def colours_are_readable_in_both_schemes(page):
  backgrounds = set()
  for scheme in ('light', 'dark'):
    page.open('', 'document.querySelector(".jobs tbody tr")', scheme=scheme)
    backgrounds.add(page.browser.run('getComputedStyle(document.body).backgroundColor'))
    weak = page.browser.run(CONTRAST)
    check(weak == [], 'contrast below 4.5 in %s' % scheme, weak)
  check(len(backgrounds) == 2, 'the schemes differ', backgrounds)


@case
def everything_has_a_name(page):
  for hash_part in [''] + ['#/jobs/slow-52b0/' + tab for tab in TABS]:
    page.open(hash_part, 'document.querySelector("main").innerText.length > 100')
    nameless = page.browser.run('[...document.querySelectorAll("button, a, input, select, [role=button]")].filter((e) => !(e.getAttribute("aria-label") || '
                                'e.textContent.trim() || e.closest("label"))).map((e) => e.outerHTML)')
    check(nameless == [], 'without a name on %s' % hash_part, nameless)


@case
def a_daemon_that_is_gone_is_told_and_comes_back(page):
  page.open('#/jobs/slow-52b0/stages', 'document.querySelectorAll(".stage").length === 5')
  port = page.mock.port
  page.mock.close()
  page.wait_text('#connection', 'does not answer')
  check(page.count('.stage') == 5, 'what was shown stays')
  page.mock = mocks.Mock(port)
  page.browser.wait('document.getElementById("connection").hidden')
  before = page.text('.stage[data-stage="2"]')
  page.browser.wait('document.querySelector(".stage[data-stage=\\"2\\"]").innerText !== %s' % json.dumps(before))


@case
def a_hidden_page_asks_nothing(page):
  script = page.browser.call('Page.addScriptToEvaluateOnNewDocument', source='Object.defineProperty(document, "hidden", {get: () => window.isHidden !== false});')
  try:
    page.open('', 'document.querySelectorAll(".jobs tbody tr").length >= 100')
    asked = page.browser.run('new Promise((resolve) => setTimeout(() => resolve(performance.getEntriesByType("resource").map((e) => e.name)'
                             '.filter((n) => n.includes("/api/"))), 2500))')
    check(len(asked) == 2, 'one question for the server and one for the list', asked)
    page.browser.run('window.isHidden = false; document.dispatchEvent(new Event("visibilitychange"))')
    page.browser.wait('performance.getEntriesByType("resource").filter((e) => e.name.includes("/api/")).length > 2')
  finally:
    page.browser.call('Page.removeScriptToEvaluateOnNewDocument', identifier=script['identifier'])


@case
def an_unknown_job_is_an_answer(page):
  page.open('#/jobs/nobody', '/There is no job nobody/.test(document.body.innerText)')
  page.browser.run('location.hash = "#/"')
  page.browser.wait('document.querySelectorAll(".jobs tbody tr").length >= 100')


@case
def the_files_are_small_and_parse_no_markup(page):
  del page
  files = [os.path.join(mocks.WEB, f) for f in os.listdir(mocks.WEB) if f.endswith(('.js', '.css', '.html', '.svg'))]
  size = sum(os.path.getsize(f) for f in files)
  check(size < MOST_BYTES, 'too large', size)
  for file in files:
    with open(file, encoding='utf-8') as f:
      text = f.read()
    check(not re.search(r'innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function', text), 'parses markup or code', file)
    check(not re.search(r'(https?:)?//[a-z]', re.sub(r'(?m)^\s*//.*|http://www\.w3\.org/\S+', '', text)), 'names another host', file)




def screenshots(page, directory):
  os.makedirs(directory, exist_ok=True)
  for name, hash_part, options in [
      ('list', '', {}), ('failed', '#/jobs/fail-03de', {}), ('slow', '#/jobs/slow-52b0/graph/2', {}), ('dark', '#/jobs/slow-52b0/graph/2', {'scheme': 'dark'}),
      ('hanging', '#/jobs/hang-91c3/workers/sdk-worker-1', {}), ('large', '#/jobs/large-300', {}), ('phone-list', '', PHONE), ('phone-job', '#/jobs/slow-52b0', PHONE)]:
    page.open(hash_part, 'document.querySelector("main").innerText.length > 200', **dict(SHOT, **options))
    page.browser.wait('performance.getEntriesByType("resource").filter((e) => e.name.includes("/api/")).length >= 6')
    page.browser.screenshot(os.path.join(directory, name + '.png'))


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
  parser.add_argument('--screenshots', metavar='DIR')
  parser.add_argument('cases', nargs='*')
  arguments = parser.parse_args()
  mock = mocks.Mock()
  page = MockedPage(mock)
  try:
    failed = suite.run(page, arguments.cases)
    if arguments.screenshots:
      page.mock.change = lambda world: None
      screenshots(page, arguments.screenshots)
  finally:
    page.close()
  sys.exit(1 if failed else 0)


if __name__ == '__main__':
  main()
