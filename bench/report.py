#!/usr/bin/env python3
"""Tables, verdicts and charts from the result files that the benchmarks wrote.

  report.py RESULT.json ...                          prints Markdown tables, and whether each target is met
  report.py --draw FOLDER RESULT.json ...            and puts the charts into FOLDER
  report.py --publish DOCS [RESULT.json ...]         keeps a copy of the files in DOCS/bench, draws the charts there from all files that it
                                                     holds, and puts the tables into DOCS/performance.md, each between its two
                                                     marks: <!-- bench:NAME --> and <!-- /bench -->

NAME of a file: `loopback` and `processes` (bench/run), `latency`, `soak`, `limit`, `engine`, `large`. Exit code 1: a run failed or a target was missed.
"""
import argparse
import os
import re
import shutil
import sys

import comparison
import stats
from charts import Chart, Curves
from comparison import Comparison, Target

MEBI = 1 << 20
LINE_LIMIT = 600


def name_of(result):
  return result['mode'] if result['kind'] == 'runners' else result['kind']


def provenance(result):
  reps = 1 + max((row['rep'] for row in result['rows']), default=-1)
  parts = [result['machine']] + [result[key] for key in ('versions',) if key in result]
  measured = 'Measured on %s: %s; load at the start %s.' % (result['date'], ', '.join(parts), result['load_at_start'])
  if reps == 1:
    return measured + ' One run.'
  what = 'the interval that holds the median with at least 95 % confidence (order statistics)' if reps >= 6 else 'the range'
  return '%s Medians of %d interleaved repetitions; in brackets %s.' % (measured, reps, what)


# ------------------------------------------------------------------ runners


def runners_tables(result):
  c = Comparison(result)
  yield provenance(result)
  yield ''
  yield from comparison.figures_table(c)
  yield ''
  yield from comparison.targets_table(c)
  for line in comparison.failures(c):
    yield ''
    yield line[:LINE_LIMIT]


def runners_judged(result):
  c = Comparison(result)
  verdicts = [t.verdict() for t in comparison.targets(c)] if comparison.BASE in c.runners and comparison.OURS in c.runners else []
  return verdicts + ['failed'] * sum(c.failed(work, comparison.OURS) for work in c.works)


def runners_charts(result):
  c = Comparison(result)
  where = 'The worker is the client itself (LOOPBACK)' if c.mode == 'loopback' else 'The runner starts the workers'
  note = '%s. Medians of %d runs with their 95 %% interval.' % (where, 1 + max(r['rep'] for r in c.rows))

  def groups(figure, works, runners, head=None):
    return [(work, [(comparison.title(runner), c.figure(work, runner, figure), head and c.figure(work, runner, head))
                    for runner in runners]) for work in works]

  def series(runners):
    return {comparison.title(runner): i for i, runner in enumerate(runners)}

  servers = [runner for runner in c.runners if runner != 'inproc']
  is_split = c.mode == 'processes'
  yield 'wall-' + c.mode, Chart('Wall time', 'seconds, less is better', series(c.runners),
                                groups('wall_s', c.works, c.runners, 'start_s' if is_split else None), note=note,
                                head_text='pale: until the first bundle ran' if is_split else '')
  yield 'cpu-' + c.mode, Chart('CPU time of the runner itself', 'seconds, less is better', series(servers),
                               groups('runner_cpu_s', c.works, servers), logarithmic=True, note=note)
  yield 'memory-' + c.mode, Chart('Peak memory of the runner itself', 'MB, less is better', series(servers),
                                  groups('runner_peak_mb', c.works, servers), logarithmic=True, note=note)


# ------------------------------------------------------------------ the runner's own limit


class Limit:
  def __init__(self, result):
    self.rows = result['rows']
    self.sizes = list(dict.fromkeys(r['record_bytes'] for r in self.rows if r['bench'] == 'group'))

  def rates(self, **wanted):
    """{rep: bytes a second} of the rows that have these values."""
    return {r['rep']: r['bytes_per_s'] for r in self.rows if all(r.get(k) == v for k, v in wanted.items())}

  def runner(self, size):
    return self.rates(bench='group', record_bytes=size)

  def stream(self, hold):
    return self.rates(bench='stream', hold=hold)

  def share(self, size, hold):
    base, own = self.stream(hold), self.runner(size)
    return stats.estimate([own[rep] / base[rep] for rep in own if rep in base])

  def targets(self):
    for size in self.sizes:
      if size >= 1000:
        yield Target('%d B records' % size, 'share of what a bare stream carries there and back', 0.5, self.share(size, False), at_least=True)


def limit_tables(result):
  limit = Limit(result)
  yield provenance(result)
  yield ''
  yield '| | MiB/s | share of the bare stream | share of the holding stream |'
  yield '| --- | ---: | ---: | ---: |'
  for hold in (False, True):
    rates = stats.estimate(list(limit.stream(hold).values()))
    yield '| bare gRPC, %s | %s | | |' % ('held until the last message is there' if hold else 'there and back', rates.text(scale=1 / MEBI))
  for size in limit.sizes:
    rates = stats.estimate(list(limit.runner(size).values()))
    yield '| source → ParDo → GroupByKey → sink, %d B records | %s | %s | %s |' % (
        size, rates.text(scale=1 / MEBI), limit.share(size, False).text(), limit.share(size, True).text())
  yield ''
  yield '| data | target | limit | measured | |'
  yield '| --- | --- | ---: | ---: | --- |'
  for target in limit.targets():
    yield target.row()


def limit_judged(result):
  return [t.verdict() for t in Limit(result).targets()]


def in_mebi(rates):
  return stats.estimate([rate / MEBI for rate in rates.values()])


def limit_charts(result):
  limit = Limit(result)
  groups = [('there and back', [('bare gRPC stream', in_mebi(limit.stream(False)), None)]),
            ('all held first', [('bare gRPC stream', in_mebi(limit.stream(True)), None)])]
  groups += [('%d B records' % size, [('Trestle: source → ParDo → GroupByKey → sink', in_mebi(limit.runner(size)), None)]) for size in limit.sizes]
  half = in_mebi(limit.stream(False)).median / 2
  yield 'limit', Chart('What the runner carries, beside what gRPC alone carries', 'MiB of records a second, more is better',
                       {'Trestle: source → ParDo → GroupByKey → sink': 0, 'bare gRPC stream': 2}, groups,
                       limits={'%d B records' % size: half for size in limit.sizes if size >= 1000}, limit_text='target: half of it',
                       note='Harnesses in C; one process each. Medians with their 95 % interval.')


# ------------------------------------------------------------------ the engine alone


def engine_rates(result):
  """{keys: [row]}"""
  rates = {}
  for row in result['rows']:
    rates.setdefault(row['keys'], []).append(row)
  return rates


STEPS = [('parse', 'parse_per_s'), ('group', 'group_per_s'), ('parse and group', 'parse_and_group_per_s'), ('write out', 'write_per_s'),
         ('all three', 'all_per_s')]
ENGINE_TARGET_PER_S = 5e6


def engine_targets(result):
  for keys, rows in engine_rates(result).items():
    rate = stats.estimate([row['parse_and_group_per_s'] / 1e6 for row in rows])
    yield Target('%s keys' % thousands(keys), 'million elements a second, parsed and grouped on one core', ENGINE_TARGET_PER_S / 1e6, rate, at_least=True)


def thousands(number):
  return '{:,}'.format(number)


def engine_tables(result):
  yield provenance(result)
  yield ''
  yield '| keys | %s |' % ' | '.join(title for title, _ in STEPS)
  yield '| ---: |' + ' ---: |' * len(STEPS)
  for keys, rows in engine_rates(result).items():
    cells = [stats.estimate([row[field] for row in rows]).text(scale=1e-6) for _, field in STEPS]
    yield '| %s | %s |' % (thousands(keys), ' | '.join(cells))
  yield ''
  yield 'Million elements of 100 bytes a second of CPU time.'
  yield ''
  yield '| data | target | limit | measured | |'
  yield '| --- | --- | ---: | ---: | --- |'
  for target in engine_targets(result):
    yield target.row()


def engine_judged(result):
  return [t.verdict() for t in engine_targets(result)]


def engine_charts(result):
  series = ['parse and group', 'parse, group and write out']
  fields = ['parse_and_group_per_s', 'all_per_s']
  groups = []
  for keys, rows in engine_rates(result).items():
    groups.append(('%s keys' % thousands(keys),
                   [(name, stats.estimate([row[field] / 1e6 for row in rows]), None) for name, field in zip(series, fields)]))
  yield 'engine', Chart('Elements of 100 bytes that the engine alone groups on one core', 'million elements a second, more is better', dict(zip(series, (0, 3))), groups,
                        limits={None: ENGINE_TARGET_PER_S / 1e6}, limit_text='target, parse and group', note='Medians with their 95 % interval.')


# ------------------------------------------------------------------ larger than memory

BESIDE_BUDGET_MB = 188  # 700 in all with a budget of 512

def large_targets(result):
  rows = result['rows']
  if result.get('budget_mb'):
    yield Target('%.3g GB' % (rows[0]['records'] * rows[0]['record_bytes'] / 1e9), 'peak memory of the daemon, MB (budget %d MB)' % result['budget_mb'],
                 result['budget_mb'] + BESIDE_BUDGET_MB, stats.estimate([row['runner_peak_mb'] for row in rows]))


def large_tables(result):
  rows = result['rows']
  first = rows[0]
  yield provenance(result)
  yield ''
  yield '%s records of %d bytes under %s keys, %d %% of each value incompressible, from %d bundles; budget: %s.' % (
      thousands(first['records']), first['record_bytes'], thousands(first['keys']), first['random_percent'], first['shards'],
      '%d MB' % result['budget_mb'] if result.get('budget_mb') else 'none')
  yield ''
  yield '| wall | million records a second | daemon\'s CPU | daemon\'s peak memory | written to disk | harnesses\' CPU |'
  yield '| ---: | ---: | ---: | ---: | ---: | ---: |'
  columns = [('wall_s', 's'), ('records_per_s', ''), ('runner_cpu_s', 's'), ('runner_peak_mb', 'MB'), ('written_mb', 'MB'), ('harness_cpu_s', 's')]
  yield '| %s |' % ' | '.join(stats.estimate([row[field] for row in rows]).text(unit, 1e-6 if field == 'records_per_s' else 1) for field, unit in columns)
  yield ''
  for target in large_targets(result):
    yield '| data | target | limit | measured | |'
    yield '| --- | --- | ---: | ---: | --- |'
    yield target.row()


def large_judged(result):
  return [t.verdict() for t in large_targets(result)]


# ------------------------------------------------------------------ latency

LATENCY_TITLES = {'every': 'pane at every element', 'early': 'early panes, accumulating', 'polled': 'source that waits itself', 'flood': 'source without waits'}


def latency_targets(c):
  """The issue's own are for `every` and `flood`."""
  for work in c.works:
    if work == 'flood':
      yield Target(work, 'elements a second ÷ Prism\'s', 2, c.ratio(work, 'elements_per_s'), at_least=True)
    else:
      yield Target(work, 'p50 ÷ Prism\'s', 0.6, c.ratio(work, 'p50_ms'))
      yield Target(work, 'p99 ÷ Prism\'s', 0.5, c.ratio(work, 'p99_ms'))


def latency_tables(result):
  c = Comparison(result)
  yield provenance(result)
  yield ''
  columns = [('p50', 'p50_ms', 'ms'), ('p99', 'p99_ms', 'ms'), ('elements a second', 'elements_per_s', ''), ('runner CPU', 'runner_cpu_s', 's'),
             ('runner peak memory', 'runner_peak_mb', 'MB')]
  yield '| pipeline | runner | runs | failed | %s |' % ' | '.join(title for title, _, _ in columns)
  yield '| --- | --- | --- | --- |%s' % (' ---: |' * len(columns))
  for work in c.works:
    for runner in c.runners:
      found = [(c.figure(work, runner, figure), unit) for _, figure, unit in columns]
      yield '| %s: %s | %s | %d | %d | %s |' % (work, LATENCY_TITLES[work], comparison.title(runner), len(c.good(work, runner)), c.failed(work, runner),
                                              ' | '.join(f.text(unit) if f else '–' for f, unit in found))
  yield ''
  if comparison.BASE in c.runners and comparison.OURS in c.runners:
    yield '| pipeline | target | limit | measured | |'
    yield '| --- | --- | ---: | ---: | --- |'
    for target in latency_targets(c):
      yield target.row()
  for line in comparison.failures(c):
    yield ''
    yield line[:LINE_LIMIT]


def latency_judged(result):
  c = Comparison(result)
  verdicts = [t.verdict() for t in latency_targets(c)] if comparison.BASE in c.runners and comparison.OURS in c.runners else []
  return verdicts + ['failed'] * sum(c.failed(work, comparison.OURS) for work in c.works)


def latency_charts(result):
  c = Comparison(result)
  groups = [('%s, %s' % (work, part), [(comparison.title(runner), c.figure(work, runner, part + '_ms'), None) for runner in c.runners])
            for work in c.works if work != 'flood' for part in ('p50', 'p99')]
  yield 'latency', Chart('An element\'s way from the source through a GroupByKey', 'milliseconds, less is better',
                         {comparison.title(runner): i for i, runner in enumerate(c.runners)}, groups, logarithmic=True,
                         note='An element each 20 ms; the worker is the client itself (LOOPBACK). Medians with their 95 % interval.')


# ------------------------------------------------------------------ soak

SOAK_GROWTH, SOAK_SLOWER = 1.03, 1.25


class Soak:
  """A curve is flat when its last third is where its middle third is. The first one belongs to pools and tables that fill up once."""
  def __init__(self, result):
    self.samples = [row for row in result['rows'] if 'at_s' in row]
    self.end = next((row for row in result['rows'] if 'at_s' not in row), {'state': 'CRASH', 'error': 'it never ended'})

  def third(self, number, field):
    part = self.samples[len(self.samples) * number // 3:len(self.samples) * (number + 1) // 3]
    return stats.estimate([row.get(field) for row in part])

  def growth(self, field):
    middle, last = self.third(1, field), self.third(2, field)
    return stats.Estimate([last.median / middle.median]) if middle and last else None

  def targets(self):
    yield Target('memory', 'last third ÷ middle third', SOAK_GROWTH, self.growth('rss_mb'))
    for part in ('p50', 'p99'):
      yield Target(part, 'last third ÷ middle third', SOAK_SLOWER, self.growth(part + '_ms'))

  def minutes(self):
    return self.samples[-1]['at_s'] / 60 if self.samples else 0


def soak_tables(result):
  soak = Soak(result)
  yield 'Measured on %s: %s, %s; load at the start %s. %.1f minutes.' % (
      result['date'], result['machine'], result['versions'], result['load_at_start'], soak.minutes())
  yield ''
  yield '| | first third | middle third | last third |'
  yield '| --- | ---: | ---: | ---: |'
  for title, field, unit in (('memory of the daemon', 'rss_mb', 'MB'), ('p50', 'p50_ms', 'ms'), ('p99', 'p99_ms', 'ms'), ('CPU of the daemon in an interval', 'runner_cpu_s', 's')):
    cells = [soak.third(i, field) for i in range(3)]
    yield '| %s | %s |' % (title, ' | '.join(c.text(unit) if c else '–' for c in cells))
  yield ''
  yield '| curve | target | limit | measured | |'
  yield '| --- | --- | ---: | ---: | --- |'
  for target in soak.targets():
    yield target.row()
  yield ''
  if soak.end['state'] == 'DONE':
    yield 'Drained: %s elements seen, each once; the bags of %s windows held as many.' % (thousands(soak.end['seen']), thousands(soak.end['bags']))
  else:
    yield '%s: %s' % (soak.end['state'], soak.end['error'])


def soak_judged(result):
  soak = Soak(result)
  return [t.verdict() for t in soak.targets()] + ['failed'] * (soak.end['state'] != 'DONE')


def soak_charts(result):
  soak = Soak(result)

  def line(field):
    return [(row['at_s'] / 60, row[field]) for row in soak.samples if field in row]

  note = 'Windows, state and timers; one sample each %.3g s.' % (soak.samples[1]['at_s'] - soak.samples[0]['at_s'] if len(soak.samples) > 1 else 0)
  yield 'soak-memory', Curves('Memory of the daemon in an endless job', 'MB', {'resident': 0}, [('resident', line('rss_mb'))], note=note)
  yield 'soak-latency', Curves('An element\'s way in an endless job', 'ms', {'p50': 0, 'p99': 1}, [('p50', line('p50_ms')), ('p99', line('p99_ms'))], note=note)


# ------------------------------------------------------------------ all


TABLES = {'latency': latency_tables, 'soak': soak_tables, 'runners': runners_tables, 'limit': limit_tables, 'engine': engine_tables, 'large': large_tables}
JUDGED = {'latency': latency_judged, 'soak': soak_judged, 'runners': runners_judged, 'limit': limit_judged, 'engine': engine_judged, 'large': large_judged}
CHARTS = {'latency': latency_charts, 'soak': soak_charts, 'runners': runners_charts, 'limit': limit_charts, 'engine': engine_charts}


def put_into_page(page, name, lines):
  with open(page, encoding='utf-8') as f:
    text = f.read()
  pattern = re.compile(r'(<!-- bench:%s -->\n).*?(<!-- /bench -->)' % re.escape(name), re.S)
  if not pattern.search(text):
    sys.exit('report.py: %s has no place for "%s": <!-- bench:%s --> and <!-- /bench -->' % (page, name, name))
  text = pattern.sub(lambda m: m.group(1) + '\n'.join(lines) + '\n' + m.group(2), text)
  with open(page, 'w', encoding='utf-8') as f:
    f.write(text)


def draw(folder, result):
  """[(stem of the file, chart)]"""
  charts = list(CHARTS.get(result['kind'], lambda _: [])(result))
  for stem, chart in charts:
    with open(os.path.join(folder, stem + '.svg'), 'w', encoding='utf-8') as f:
      f.write(chart.svg())
  return charts


def publish(docs, paths):
  folder = os.path.join(docs, 'bench')
  os.makedirs(folder, exist_ok=True)
  for path in paths:
    kept = os.path.join(folder, name_of(stats.load(path)) + '.json')
    if os.path.abspath(path) != os.path.abspath(kept):
      shutil.copyfile(path, kept)
  for name in sorted(os.listdir(folder)):
    if not name.endswith('.json'):
      continue
    result = stats.load(os.path.join(folder, name))
    lines = []
    for stem, chart in draw(folder, result):
      lines += ['![%s](bench/%s.svg)' % (chart.title, stem), '']
    put_into_page(os.path.join(docs, 'performance.md'), name[:-5], lines + list(TABLES[result['kind']](result)))


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('results', nargs='*')
  parser.add_argument('--publish', metavar='DOCS')
  parser.add_argument('--draw', metavar='FOLDER')
  args = parser.parse_args()
  bad = 0
  for path in args.results:
    result = stats.load(path)
    print('\n'.join(TABLES[result['kind']](result)) + '\n')
    verdicts = JUDGED[result['kind']](result)
    print('%s: %s\n' % (name_of(result), ', '.join('%d %s' % (verdicts.count(v), v) for v in dict.fromkeys(verdicts)) or 'no targets'))
    bad += sum(v in ('missed', 'failed') for v in verdicts)
    if args.draw:
      draw(args.draw, result)
  if args.publish:
    publish(args.publish, args.results)
  return 1 if bad else 0


if __name__ == '__main__':
  sys.exit(main())
