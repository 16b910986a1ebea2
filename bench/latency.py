#!/usr/bin/env python3
"""How long an element is on its way through a keyed, windowed, triggered pipeline (streams.py), and how many of them get through in a second.

  latency.py --runner NAME=COMMAND ... [--reps 9] [--elements 1000] [--interval-ms 20] [--flood 20000] >rows.jsonl

COMMAND and the turns that runners take are as in bench.py; the worker is in the client (LOOPBACK). Each job has a client and
a process of the runner's: `every`, `early` and `polled` put an element out each 20 ms. `early` has another trigger; the source of `polled`
waits for the next element itself, instead of giving the rest back until then. `flood` is `every` with a source that puts out as fast as it can.

  p50_ms, p99_ms    of an element's way from the source, just before it puts the element out, to the ParDo behind the GroupByKey. The
                    elements of the first second are left out.
  late_ms           the median of how late the source was to put an element out, beside the one when it was least late
  elements_per_s    from the first element out to the last one seen
  runner_cpu_s, runner_peak_mb, client_cpu_s    of the whole job

Each element has to be seen once (state WRONG where not). A runner that refuses a pipeline, or does not end it, FAILED.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

import bench
import figures

WORKS = ('every', 'early', 'polled', 'flood')
WARM_S = 1.0


def percentile(values, part):
  """The smallest value that at least this part of the values does not exceed."""
  values = sorted(values)
  return values[max(-int(-len(values) * part // 1), 1) - 1]


def job_options(args):
  from apache_beam.options.pipeline_options import PipelineOptions
  return PipelineOptions(bench.pipeline_options(args) + ['--streaming', '--job_name=bench-%s-%d' % (args.measure, os.getpid())])


def describe(seen, interval_s, count):
  """The figures of all that was seen, or an error."""
  numbers = sorted(number for _, number, _ in seen)
  if numbers != list(range(count)):
    return {'state': 'WRONG', 'error': '%d elements were seen, %d different ones, of %d' % (len(numbers), len(set(numbers)), count)}
  begin = min(at - delay for at, _, delay in seen)
  row = {'state': 'DONE', 'elements': count, 'elements_per_s': round(count / (max(at for at, _, _ in seen) - begin), 1)}
  if interval_s:
    steady = [delay for at, number, delay in seen if number * interval_s >= WARM_S]
    sent = {number: at - delay for at, number, delay in seen}
    late = [sent[number] - number * interval_s for number in sent if number * interval_s >= WARM_S]
    row.update(p50_ms=round(percentile(steady, 0.5) * 1000, 3), p99_ms=round(percentile(steady, 0.99) * 1000, 3),
               late_ms=round((percentile(late, 0.5) - min(late)) * 1000, 3))
  return row


def measure(args):
  """Runs in a process of its own; prints one line with the figures."""
  import logging
  logging.getLogger().setLevel(logging.ERROR)
  import apache_beam as beam
  import streams

  how = streams.EARLY if args.measure == 'early' else streams.EVERY
  interval_s, count = (0, args.flood) if args.measure == 'flood' else (args.interval_ms / 1000, args.elements)
  pipeline = beam.Pipeline(options=job_options(args))
  streams.build_latency(pipeline, how, interval_s, count, polls=args.measure == 'polled')
  sampler = figures.RunnerFigures(args.pid)
  before, row = bench.own_cpu_s(), {}
  try:
    state = str(pipeline.run().wait_until_finish())
    row = describe(streams.RECORDS.take(), interval_s, count) if state == 'DONE' else {'state': state}
  except Exception as e:  # pylint: disable=broad-except
    row = {'state': 'FAILED', 'error': str(e)[-400:]}
  row.update(sampler.stop(1))
  row.update(client_cpu_s=round(bench.own_cpu_s() - before, 3), load=os.getloadavg()[0],
             client_peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
  print('@@' + json.dumps(row), flush=True)
  os._exit(0 if row['state'] == 'DONE' else 1)  # threads of the SDK's worker would keep it


def run_one(name, command, work, args, scratch):
  row = {'runner': name, 'work': work, 'state': 'CRASH'}
  try:
    runner = bench.Runner(command, scratch)
  except (OSError, RuntimeError) as e:
    return dict(row, error=str(e))
  try:
    client = [sys.executable, os.path.abspath(__file__), '--measure', work, '--endpoint', runner.endpoint, '--pid', str(runner.pid)]
    client += ['--%s=%s' % (option, getattr(args, option.replace('-', '_'))) for option in ('elements', 'interval-ms', 'flood')]
    done = subprocess.run(client, capture_output=True, text=True, timeout=args.timeout, stdin=subprocess.DEVNULL)
    lines = [line for line in done.stdout.splitlines() if line.startswith('@@')]
    row.update(json.loads(lines[-1][2:]) if lines else {'error': done.stderr[-400:]})
  except subprocess.TimeoutExpired:
    row.update(state='TIMEOUT', error='no end within %d s' % args.timeout)
  finally:
    runner.stop()
  return row


def said(row):
  if row['state'] != 'DONE':
    return row.get('error')
  if 'p50_ms' not in row:
    return '%.0f elements a second' % row['elements_per_s']
  return 'p50 %.2f ms, p99 %.2f ms' % (row['p50_ms'], row['p99_ms'])


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--runner', action='append', default=[], metavar='NAME=COMMAND')
  parser.add_argument('--work', default=','.join(WORKS))
  parser.add_argument('--reps', type=int, default=9)
  parser.add_argument('--elements', type=int, default=1000, help='of a measurement of latency')
  parser.add_argument('--interval-ms', type=float, default=20, help='between two of them')
  parser.add_argument('--flood', type=int, default=20000, help='elements of a measurement of throughput')
  parser.add_argument('--timeout', type=int, default=180, help='seconds for one measurement')
  for internal in ('--measure', '--endpoint'):
    parser.add_argument(internal, help=argparse.SUPPRESS)
  parser.add_argument('--pid', type=int, help=argparse.SUPPRESS)
  args = parser.parse_args()
  args.own_processes, args.option = None, []
  if args.measure:
    return measure(args)

  chosen = args.work.split(',')
  for work in chosen:
    if work not in WORKS:
      parser.error('no work called %s; there are %s' % (work, ', '.join(WORKS)))
  runners = [r.split('=', 1) for r in args.runner]
  for rep in range(args.reps):
    for work in chosen:
      for i in range(len(runners)):
        name, command = runners[(i + rep) % len(runners)]
        with tempfile.TemporaryDirectory(prefix='trestle-bench-', ignore_cleanup_errors=True) as scratch:
          row = dict(run_one(name, command, work, args, scratch), rep=rep)
        print(json.dumps(row), flush=True)
        print('%s %s %d: %s %s' % (work, name, rep, row['state'], said(row)), file=sys.stderr)


if __name__ == '__main__':
  main()
