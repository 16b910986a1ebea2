#!/usr/bin/env python3
"""The parts of the reports that could mislead: intervals, pairing, verdicts, and that a chart is well-formed."""
import os
import sys
import tempfile
import unittest
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import charts
import comparison
import report
import stats


def runner_row(runner, work, rep, wall, **more):
  return dict({'runner': runner, 'work': work, 'rep': rep, 'state': 'DONE', 'wall_s': wall, 'start_s': 0.5, 'client_cpu_s': 5.0,
               'runner_cpu_s': 0.1, 'worker_cpu_s': 1.0, 'runner_peak_mb': 40.0}, **more)


def result_of(rows, mode='loopback', **more):
  return dict({'kind': 'runners', 'mode': mode, 'date': '2026-01-01', 'machine': 'a machine', 'load_at_start': 0.1, 'rows': rows}, **more)


class Intervals(unittest.TestCase):
  def test_of_nine_the_second_lowest_and_the_second_highest(self):
    self.assertEqual(stats.interval([9, 1, 8, 2, 7, 3, 6, 4, 5]), (2, 8))

  def test_of_six_the_range_and_of_fewer_too(self):
    self.assertEqual(stats.interval([1, 2, 3, 4, 5, 6]), (1, 6))
    self.assertEqual(stats.interval([3, 1, 2]), (1, 3))
    self.assertEqual(stats.interval([7]), (7, 7))

  def test_three_digits_are_shown(self):
    self.assertEqual(stats.Estimate([0.0756] * 2).text('s'), '0.076 s (0.076–0.076)')
    self.assertEqual(stats.Estimate([29.08]).text('s'), '29.1 s')
    self.assertEqual(stats.Estimate([3940.2]).text('MB'), '3940 MB')


class Verdicts(unittest.TestCase):
  def verdict(self, values, limit, at_least=False):
    return comparison.Target('w', 'x', limit, stats.estimate(values), at_least).verdict()

  def test_missed_only_when_the_interval_is_beyond_the_limit(self):
    self.assertEqual(self.verdict([0.8, 0.9, 1.0], 1), 'met')
    self.assertEqual(self.verdict([0.9, 1.1, 1.2], 1), 'open')
    self.assertEqual(self.verdict([1.1, 1.2, 1.3], 1), 'missed')
    self.assertEqual(self.verdict([1.5, 1.7, 1.8], 1.6, True), 'met')
    self.assertEqual(self.verdict([1.4, 1.5, 1.7], 1.6, True), 'open')
    self.assertEqual(self.verdict([1.3, 1.4, 1.5], 1.6, True), 'missed')
    self.assertEqual(self.verdict([], 1), 'not measured')


class Ratios(unittest.TestCase):
  def test_measurements_of_one_repetition_are_paired(self):
    rows = [runner_row('trestle', 'gbk', rep, 2.0 * (rep + 1)) for rep in range(3)]
    rows += [runner_row('prism', 'gbk', rep, 10.0 * (rep + 1)) for rep in (2, 0, 1)]
    ratio = comparison.Comparison(result_of(rows)).ratio('gbk', 'wall_s')
    self.assertAlmostEqual(ratio.low, 0.2)
    self.assertAlmostEqual(ratio.high, 0.2)

  def test_a_repetition_in_which_one_failed_is_left_out(self):
    rows = [runner_row('trestle', 'gbk', 0, 2.0), runner_row('trestle', 'gbk', 1, 2.0)]
    rows += [runner_row('prism', 'gbk', 0, 4.0), dict(runner_row('prism', 'gbk', 1, 0.1), state='WRONG', error='the result is 1, not 2')]
    c = comparison.Comparison(result_of(rows))
    self.assertEqual(c.ratio('gbk', 'wall_s').count, 1)
    self.assertEqual(list(comparison.failures(c)), ['Prism failed on gbk in 1 of its runs, first in repetition 1: WRONG the result is 1, not 2'])
    self.assertNotIn('failed', report.runners_judged(c.result))

  def test_our_own_failure_counts(self):
    rows = [dict(runner_row('trestle', 'gbk', 0, 0.1), state='WRONG'), runner_row('prism', 'gbk', 0, 4.0)]
    self.assertIn('failed', report.runners_judged(result_of(rows)))

  def test_the_budget_is_taken_off_before_memory_is_compared(self):
    rows = [runner_row('trestle', 'gbk', 0, 1.0, runner_peak_mb=612.0), runner_row('prism', 'gbk', 0, 1.0, runner_peak_mb=400.0)]
    target = list(comparison.targets(comparison.Comparison(result_of(rows, budget_mb=512))))[-1]
    self.assertAlmostEqual(target.found.median, 0.25)
    self.assertEqual(target.verdict(), 'met')

  def test_start_up_is_not_in_the_ratios_of_workers_that_the_runner_starts(self):
    rows = [runner_row('trestle', 'cpu', 0, 8.0, start_s=2.0), runner_row('prism', 'cpu', 0, 13.0, start_s=1.0)]
    throughput, wall = list(comparison.process_targets(comparison.Comparison(result_of(rows, 'processes'))))
    self.assertAlmostEqual(throughput.found.median, 2.0)
    self.assertAlmostEqual(wall.found.median, 0.5)


def latency_row(runner, work, rep, p50_ms, p99_ms, elements_per_s=50.0):
  return {'runner': runner, 'work': work, 'rep': rep, 'state': 'DONE', 'p50_ms': p50_ms, 'p99_ms': p99_ms, 'elements_per_s': elements_per_s,
          'runner_cpu_s': 0.1, 'runner_peak_mb': 20.0}


class Latency(unittest.TestCase):
  def test_way_and_throughput_are_compared_with_prisms(self):
    rows = [latency_row('trestle', 'every', 0, 2.0, 30.0), latency_row('prism', 'every', 0, 5.0, 40.0)]
    rows += [latency_row('trestle', 'flood', 0, 1.0, 1.0, 3000.0), latency_row('prism', 'flood', 0, 1.0, 1.0, 1000.0)]
    result = dict(result_of(rows, 'latency'), kind='latency')
    self.assertEqual(report.latency_judged(result), ['met', 'missed', 'met'])
    self.assertEqual(report.name_of(result), 'latency')
    for _, chart in report.latency_charts(result):
      xml.dom.minidom.parseString(chart.svg())


class Soaks(unittest.TestCase):
  def result(self, memory, end):
    rows = [{'at_s': 10.0 * (i + 1), 'rss_mb': memory(i), 'runner_cpu_s': 0.1, 'elements': 500, 'p50_ms': 3.0, 'p99_ms': 6.0} for i in range(30)]
    return dict(result_of(rows + [end], 'soak'), kind='soak')

  def test_what_fills_up_first_is_no_growth(self):
    done = {'state': 'DONE', 'seen': 15000, 'bags': 300}
    self.assertEqual(report.soak_judged(self.result(lambda i: 18.0 + min(i, 8), done)), ['met'] * 3)

  def test_memory_that_grows_on_is_missed(self):
    done = {'state': 'DONE', 'seen': 15000, 'bags': 300}
    self.assertEqual(report.soak_judged(self.result(lambda i: 20.0 + 0.2 * i, done)), ['missed', 'met', 'met'])

  def test_an_end_that_is_none_fails(self):
    self.assertIn('failed', report.soak_judged(self.result(lambda i: 20.0, {'state': 'WRONG', 'error': '3 elements were seen'})))

  def test_curves_are_drawn(self):
    for _, chart in report.soak_charts(self.result(lambda i: 20.0, {'state': 'DONE', 'seen': 1, 'bags': 1})):
      svg = chart.svg()
      xml.dom.minidom.parseString(svg)
      self.assertIn('polyline', svg)


class Pages(unittest.TestCase):
  def test_charts_and_tables_go_into_the_page(self):
    rows = [runner_row(runner, work, rep, 3.0 + rep, runner_cpu_s=0.0) for rep in range(3) for work in ('tiny', 'a<b') for runner in ('trestle', 'prism')]
    with tempfile.TemporaryDirectory() as docs:
      page, path = os.path.join(docs, 'performance.md'), os.path.join(docs, 'new.json')
      with open(page, 'w', encoding='utf-8') as f:
        f.write('before\n<!-- bench:loopback -->\nold\n<!-- /bench -->\nafter\n')
      stats.save(path, 'runners', {k: v for k, v in result_of(rows).items() if k not in ('rows', 'kind')}, rows)
      report.publish(docs, [path])
      with open(page, encoding='utf-8') as f:
        text = f.read()
      self.assertTrue(text.startswith('before\n<!-- bench:loopback -->\n![Wall time](bench/wall-loopback.svg)'))
      self.assertTrue(text.endswith('<!-- /bench -->\nafter\n'))
      self.assertNotIn('old', text)
      for stem in ('wall', 'cpu', 'memory'):
        with open(os.path.join(docs, 'bench', stem + '-loopback.svg'), encoding='utf-8') as f:
          xml.dom.minidom.parseString(f.read())

  def test_a_limit_is_on_the_scale(self):
    chart = charts.Chart('t', 'u', {'s': 0}, [('g', [('s', stats.Estimate([2.0]), None)])], limits={None: 5.0}, limit_text='limit')
    xml.dom.minidom.parseString(chart.svg())
    self.assertLess(chart.x(2.0), chart.x(5.0))
    self.assertLessEqual(chart.x(5.0), charts.WIDTH - charts.RIGHT)


if __name__ == '__main__':
  unittest.main()
