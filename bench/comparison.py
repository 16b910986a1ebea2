"""bench.py's measurements, made into medians, ratios and verdicts on the targets.

A ratio pairs a runner's measurement with Prism's of the same repetition. A target is *met* when the median is within it, *missed* when the
whole interval is beyond it, and else *open*: the measurements do not exclude it.
"""
import stats

BASE = 'prism'
OURS = 'trestle'
# Fused into few stages, so that the harness's Python is all there is to wait for.
HARNESS_BOUND = ['wordcount', 'combine', 'chain', 'cpu']
LONG_S = 5
TITLES = {'trestle': 'Trestle', 'prism': 'Prism', 'inproc': 'FnApiRunner'}
TINY_TICK_S, TICK_S = 0.001, 0.01  # a CPU figure below it says no more than that


def title(runner):
  return TITLES.get(runner, runner)


def work_s(row):
  """Without the time until the first bundle ran."""
  return row['wall_s'] - row['start_s'] if 'start_s' in row else None


class Comparison:
  def __init__(self, result):
    self.result, self.rows = result, result['rows']
    self.mode = result['mode']
    self.works = list(dict.fromkeys(r['work'] for r in self.rows))
    self.runners = list(dict.fromkeys(r['runner'] for r in self.rows))

  def good(self, work, runner):
    return [r for r in self.rows if r['work'] == work and r['runner'] == runner and r['state'] == 'DONE']

  def failed(self, work, runner):
    return sum(r['work'] == work and r['runner'] == runner and r['state'] != 'DONE' for r in self.rows)

  def figure(self, work, runner, figure):
    """`figure`: a field's name or a function of a row."""
    get = figure if callable(figure) else lambda row: row.get(figure)
    return stats.estimate([get(row) for row in self.good(work, runner)])

  def ratio(self, work, figure, runner=OURS, minus=0):
    """To the base, paired by repetition; `minus` is taken from the runner's own figure first."""
    get = figure if callable(figure) else lambda row: row.get(figure)
    floor = (TINY_TICK_S if work == 'tiny' else TICK_S) if figure == 'runner_cpu_s' else 0
    base = {r['rep']: get(r) for r in self.good(work, BASE)}
    ratios = []
    for row in self.good(work, runner):
      own, other = get(row), base.get(row['rep'])
      if own is not None and other:
        ratios.append(max(own - minus, floor) / max(other, floor))
    return stats.estimate(ratios)


class Target:
  def __init__(self, work, what, limit, found, at_least=False):
    self.work, self.what, self.limit, self.found, self.at_least = work, what, limit, found, at_least

  def verdict(self):
    if self.found is None:
      return 'not measured'
    within = (lambda v: v >= self.limit) if self.at_least else (lambda v: v <= self.limit)
    best = self.found.high if self.at_least else self.found.low
    return 'met' if within(self.found.median) else 'open' if within(best) else 'missed'

  def row(self):
    found = self.found.text() if self.found else '–'
    return '| %s | %s | %s %.3g | %s | %s |' % (self.work, self.what, '≥' if self.at_least else '≤', self.limit, found, self.verdict())


def inverse(ratio):
  """Of an estimate."""
  if ratio is None or ratio.low <= 0:
    return None
  turned = stats.Estimate([1 / ratio.median] * ratio.count)
  turned.low, turned.high = 1 / ratio.high, 1 / ratio.low
  return turned


def loopback_targets(c):
  for work in c.works:
    if work in HARNESS_BOUND:
      yield Target(work, 'wall ÷ the client\'s own CPU time', 1.05,
                   c.figure(work, OURS, lambda r: r['wall_s'] / r['client_cpu_s'] if r['client_cpu_s'] else None))
    yield Target(work, 'wall ÷ Prism\'s', 0.26 if work == 'gbk' else 1, c.ratio(work, 'wall_s'))


def process_targets(c):
  for work in c.works:
    base = c.figure(work, BASE, work_s)
    if work == 'cpu':
      yield Target(work, 'throughput ÷ Prism\'s, without start-up', 1.6, inverse(c.ratio(work, work_s)), at_least=True)
    if base and base.median > LONG_S:
      yield Target(work, 'wall ÷ Prism\'s, without start-up', 0.6, c.ratio(work, work_s))


def targets(c):
  yield from loopback_targets(c) if c.mode == 'loopback' else process_targets(c)
  budget = c.result.get('budget_mb', 0)
  for work in c.works:
    yield Target(work, 'runner CPU ÷ Prism\'s', 1 / 20 if work == 'gbk' else 1 / 3, c.ratio(work, 'runner_cpu_s'))
    what = 'runner peak memory, less the budget of %d MB, ÷ Prism\'s' % budget if budget else 'runner peak memory ÷ Prism\'s'
    yield Target(work, what, 1 / 4, c.ratio(work, 'runner_peak_mb', minus=budget))


# ------------------------------------------------------------------ Markdown


def figures_table(c):
  columns = [('wall', 'wall_s', 's'), ('of it start-up', 'start_s', 's'), ('client CPU', 'client_cpu_s', 's')]
  if c.mode == 'processes':
    columns.append(('workers\' CPU', 'worker_cpu_s', 's'))
  columns += [('runner CPU', 'runner_cpu_s', 's'), ('runner peak memory', 'runner_peak_mb', 'MB')]
  yield '| work | runner | runs | failed | %s |' % ' | '.join(title for title, _, _ in columns)
  yield '| --- | --- | --- | --- |%s' % (' ---: |' * len(columns))
  for work in c.works:
    for runner in c.runners:
      cells = []
      for _, figure, unit in columns:
        found = c.figure(work, runner, figure)
        cells.append(found.text(unit) if found else '–')
      yield '| %s | %s | %d | %d | %s |' % (work, title(runner), len(c.good(work, runner)), c.failed(work, runner), ' | '.join(cells))


def targets_table(c):
  if BASE not in c.runners or OURS not in c.runners:
    yield 'No targets: %s and %s were not both measured.' % (OURS, BASE)
    return
  yield '| work | target | limit | measured | |'
  yield '| --- | --- | ---: | ---: | --- |'
  for target in targets(c):
    yield target.row()


def failures(c):
  """A line for each runner and work that failed at all: how it failed first."""
  seen = set()
  for row in c.rows:
    if row['state'] != 'DONE' and (row['runner'], row['work']) not in seen:
      seen.add((row['runner'], row['work']))
      error = ' '.join(row.get('error', '').split())
      yield '%s failed on %s in %d of its runs, first in repetition %d: %s %s' % (
          title(row['runner']), row['work'], c.failed(row['work'], row['runner']), row['rep'], row['state'], error)
