#!/usr/bin/env python3
"""summarize.py RESULTS.jsonl ... [--base prism]: bench.py's measurements as Markdown tables for docs/performance.md.

Figures are medians. A ratio pairs a runner's measurement with the base's of the same repetition; given are the median of these
ratios and in brackets their range, or from six repetitions on the interval that holds the median with at least 95 %
confidence (by order statistics; it assumes nothing about the distribution).
"""
import argparse
import json
import math
import statistics

FIGURES = [('wall_s', 'wall', 's', 3), ('runner_cpu_s', 'runner CPU', 's', 3),
           ('runner_peak_mb', 'runner peak memory', 'MB', 0), ('client_cpu_s', 'client CPU', 's', 3)]
CPU_TICK_S = 0.001  # bench.py's finest: a hundredth of a second over ten jobs


def interval(values):
  """The narrowest pair of order statistics around the median with 95 % confidence; the range where there are too few."""
  values, n = sorted(values), len(values)
  cut, tail = 0, 0.0
  while True:
    tail += math.comb(n, cut) / 2**n
    if 2 * tail > 0.05 or cut >= n // 2:
      break
    cut += 1
  cut = max(cut - 1, 0)
  return values[cut], values[n - 1 - cut]


def read(paths):
  rows = []
  for number, path in enumerate(paths):
    with open(path, encoding='utf-8') as f:
      for line in f:
        row = json.loads(line)
        row['pair'] = (number, row['rep'])
        rows.append(row)
  return rows


def ordered(values):
  return list(dict.fromkeys(values))


class Results:
  def __init__(self, rows, base):
    self.rows, self.base = rows, base
    self.works, self.runners = ordered(r['work'] for r in rows), ordered(r['runner'] for r in rows)

  def good(self, work, runner):
    return [r for r in self.rows if r['work'] == work and r['runner'] == runner and r['state'] == 'DONE']

  def median(self, work, runner, figure, unit, digits):
    values = [r[figure] for r in self.good(work, runner) if figure in r]
    return '%.*f %s' % (digits, statistics.median(values), unit) if values else '–'

  def ratio(self, work, runner, figure):
    base = {r['pair']: r[figure] for r in self.good(work, self.base) if figure in r}
    # a CPU figure below the clock's tick says no more than "less than a tick"
    floor = CPU_TICK_S if figure.endswith('cpu_s') else 0
    ratios = [
        max(r[figure], floor) / max(base[r['pair']], floor)
        for r in self.good(work, runner)
        if figure in r and r['pair'] in base and max(base[r['pair']], floor) > 0
    ]
    if not ratios:
      return '–'
    low, high = interval(ratios)
    return '%.2f (%.2f–%.2f)' % (statistics.median(ratios), low, high)

  def print_figures(self):
    print('| work | runner | runs | failed | %s |' % ' | '.join(title for _, title, _, _ in FIGURES))
    print('| --- | --- | --- | --- |%s' % (' ---: |' * len(FIGURES)))
    for work in self.works:
      for runner in self.runners:
        runs = [r for r in self.rows if r['work'] == work and r['runner'] == runner]
        good = self.good(work, runner)
        cells = [self.median(work, runner, figure, unit, digits) for figure, _, unit, digits in FIGURES]
        print('| %s | %s | %d | %d | %s |' % (work, runner, len(good), len(runs) - len(good), ' | '.join(cells)))

  def print_ratios(self):
    others = [r for r in self.runners if r != self.base]
    if self.base not in self.runners or not others:
      print('\nNo ratios: %s was not measured beside another runner.' % self.base)
      return
    compared = FIGURES[:3]
    print('\nRatios to %s, paired by repetition: median (interval).\n' % self.base)
    print('| work | runner | %s |' % ' | '.join(title for _, title, _, _ in compared))
    print('| --- | --- |%s' % (' ---: |' * len(compared)))
    for work in self.works:
      for runner in others:
        cells = [self.ratio(work, runner, figure) for figure, _, _, _ in compared]
        print('| %s | %s | %s |' % (work, runner, ' | '.join(cells)))


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('results', nargs='+')
  parser.add_argument('--base', default='prism')
  args = parser.parse_args()
  results = Results(read(args.results), args.base)
  results.print_figures()
  results.print_ratios()
  for row in results.rows:
    if row['state'] != 'DONE':
      print('\n%s %s, repetition %d: %s %s' % (row['work'], row['runner'], row['rep'], row['state'], row.get('error', '')))


if __name__ == '__main__':
  main()
