#!/usr/bin/env python3
"""A pipeline without an end, with windows, state and timers (streams.py, build_soak), for a while: the runner's memory and CPU time and an element's way, p50
and p99, for each interval of time. The job is ended by `trestle drain`.

  soak.py --trestle BINARY [--minutes 30] [--interval-ms 20] [--sample-s 10] >rows.jsonl

Each row is one interval: at_s (its end, from the first one on), rss_mb, runner_cpu_s, elements, p50_ms, p99_ms. The last one says how the job ended:
state DONE when it was drained and the bags of all windows together held exactly the elements that were seen, none missing in between; else WRONG
or FAILED. The worker is in this process (LOOPBACK).

--interval-ms 10000 shows what an idle job costs.
"""
import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time

import bench
import figures
from latency import percentile


def rss_mb(pid):
  """Of the runner's own processes."""
  program, total = figures.program_of(pid), 0
  for process in figures.process_tree(pid):
    if figures.program_of(process) == program:
      with open('/proc/%d/statm' % process) as f:
        total += int(f.read().split()[1]) * figures.PAGE_BYTES
  return round(total / (1 << 20), 2)


def say(row):
  print(json.dumps(row), flush=True)
  print(' '.join('%s %s' % item for item in row.items()), file=sys.stderr, flush=True)


class Sampler:
  def __init__(self, pid, streams):
    self._pid, self._streams, self._program = pid, streams, figures.program_of(pid)
    self._began, self._cpu_s, self.numbers = time.monotonic(), self._own_cpu_s(), []

  def _own_cpu_s(self):
    return figures.cpu_s(self._pid, self._program)[0]

  def sample(self):
    seen, cpu_s = self._streams.RECORDS.take(), self._own_cpu_s()
    self.numbers += [number for _, number, _ in seen]
    row = {'at_s': round(time.monotonic() - self._began, 1), 'rss_mb': rss_mb(self._pid), 'runner_cpu_s': round(cpu_s - self._cpu_s, 2), 'elements': len(seen)}
    if seen:
      delays = [delay * 1000 for _, _, delay in seen]
      row.update(p50_ms=round(percentile(delays, 0.5), 3), p99_ms=round(percentile(delays, 0.99), 3))
    self._cpu_s = cpu_s
    return row


def end_state(result):
  """The SDK raises an exception when a job ends in any other state than DONE."""
  try:
    return str(result.wait_until_finish())
  except RuntimeError as e:
    return str(result.state) if 'state' in str(e) else str(e)


def verdict(state, numbers, streams):
  counted, bags = streams.COUNTED.get()
  row = {'end': state, 'state': 'DONE', 'seen': len(numbers), 'counted': counted, 'bags': bags, 'silences': streams.SILENCES.get()[0]}
  if state != 'DRAINED':
    row.update(state='FAILED', error='the job ended in %s' % state)
  elif sorted(numbers) != list(range(len(numbers))) or counted != len(numbers):
    row.update(state='WRONG', error='%d elements were seen, %d different ones; the bags held %d' % (len(numbers), len(set(numbers)), counted))
  return row


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--trestle', required=True, metavar='BINARY')
  parser.add_argument('--minutes', type=float, default=30)
  parser.add_argument('--interval-ms', type=float, default=20, help='between two elements')
  parser.add_argument('--sample-s', type=float, default=10)
  parser.add_argument('--config', help='of the daemon')
  args = parser.parse_args()
  logging.getLogger().setLevel(logging.ERROR)
  import apache_beam as beam
  from apache_beam.options.pipeline_options import PipelineOptions
  import streams

  with tempfile.TemporaryDirectory(prefix='trestle-bench-', ignore_cleanup_errors=True) as scratch:
    config = ' --config ' + args.config if args.config else ''
    runner = bench.Runner(args.trestle + ' serve --listen 127.0.0.1:{port} --state-dir {state}' + config, scratch)
    try:
      args.endpoint, args.own_processes, args.option = runner.endpoint, None, ['--streaming', '--job_name=bench-soak']
      pipeline = beam.Pipeline(options=PipelineOptions(bench.pipeline_options(args)))
      streams.build_soak(pipeline, args.interval_ms / 1000)
      result, ended = pipeline.run(), []
      waiter = threading.Thread(target=lambda: ended.append(end_state(result)), daemon=True)
      waiter.start()
      time.sleep(2)  # the start is not in the curves
      sampler, begin = Sampler(runner.pid, streams), time.monotonic()
      while waiter.is_alive() and time.monotonic() - begin < args.minutes * 60:
        waiter.join(args.sample_s)
        say(sampler.sample())
      drained = subprocess.run([args.trestle, 'drain', result._job_id, '--endpoint', runner.endpoint, '--wait'], capture_output=True, text=True, timeout=120)
      waiter.join(30)
      sampler.sample()
      row = verdict(ended[0] if ended else 'no state; drain said: ' + drained.stdout + drained.stderr, sampler.numbers, streams)
    except Exception as e:  # pylint: disable=broad-except
      row = {'state': 'FAILED', 'error': str(e)[-400:]}
    finally:
      runner.stop()
  say(row)
  os._exit(0 if row['state'] == 'DONE' else 1)  # threads of the SDK's worker would keep it


if __name__ == '__main__':
  main()
