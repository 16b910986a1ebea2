#!/usr/bin/env python3
"""Runs the same Python pipelines through several runners in turn and writes one JSON line for each measurement.

  bench.py --runner NAME=COMMAND ... [--work tiny,wordcount,...] [--reps 5] [--scale 1.0] >results.jsonl

COMMAND starts a job server in the foreground; {port} in it becomes a free port, {state} a folder of its own. `inproc` in its
place is the SDK's in-process runner. The server is up when its port accepts a connection.

The runner's process is fresh for each measurement, so that peaks of memory compare, and so is the client (an
interpreter of its own, LOOPBACK: the SDK's worker is in it). Before a measured run the client sends one uncounted
three-element pipeline, so that the runner's start and the client's imports are not in the figures. `tiny` runs ten times in one
measurement: the wall time is the median, CPU is a tenth (the kernel counts it in hundredths of a second). For each repetition and work
every runner has its turn, in an order that rotates: what disturbs the machine disturbs all.

Measured: wall time in the client from just before Pipeline.run() to the end of wait_until_finish(); CPU of the runner's process
and its children in that time; the peak of the runner's resident memory in that time (the sum of the tree, sampled each 20 ms,
or the kernel's own high-water mark of the process where that is higher); CPU and peak of the client.
"""
import argparse
import json
import os
import resource
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TICKS_PER_S = os.sysconf('SC_CLK_TCK')
PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')
WORKS = ['tiny', 'wordcount', 'gbk', 'chain', 'cpu']
JOBS_PER_MEASUREMENT = {'tiny': 10}

# ------------------------------------------------------------------ the works


def increment(x):
  return x + 1


def burn(_, rounds=500000):
  """Some 30 ms of Python."""
  total = 0
  for i in range(rounds):
    total += i * i % 7
  return 1 if total >= 0 else 0


def check(count, want):
  assert count == want, 'counted %d, not %d' % (count, want)


def keyed_records(shard, count):
  """`count` records of 100 bytes under about 100,000 keys."""
  value = b'v' * 90
  for i in range(count):
    yield b'k%09d' % ((i * 2654435761 + shard) % 100003), value


def numbers(shard, count):
  return range(shard * count, shard * count + count)


def find_words(line):
  import re
  return re.findall(r"[\w']+", line)


def build_tiny(beam, p, args):
  """Three elements: the fixed cost of a job."""
  _ = p | beam.Create([1, 2, 3], reshuffle=False) | beam.Map(increment)


def build_wordcount(beam, p, args):
  """A text of 20 MB: read, split, count, write."""
  _ = (
      p | beam.io.ReadFromText(args.input)
      | beam.FlatMap(find_words).with_output_types(str)
      | beam.combiners.Count.PerElement()
      | beam.MapTuple(lambda word, count: '%s: %d' % (word, count))
      | beam.io.WriteToText(args.out))


def build_gbk(beam, p, args):
  """GroupByKey of 2,000,000 records of 100 bytes."""
  shards, total = 20, int(2000000 * args.scale)
  _ = (
      p | beam.Create(range(shards), reshuffle=False)
      | beam.FlatMap(keyed_records, total // shards).with_output_types(tuple[bytes, bytes])
      | beam.GroupByKey()
      | beam.Map(lambda kv: sum(1 for _ in kv[1])).with_output_types(int)
      | beam.CombineGlobally(sum)
      | 'check' >> beam.Map(check, total // shards * shards))


def build_chain(beam, p, args):
  """Ten ParDos, one after the other, over 1,000,000 elements."""
  shards, total = 10, int(1000000 * args.scale)
  values = (
      p | beam.Create(range(shards), reshuffle=False)
      | beam.FlatMap(numbers, total // shards).with_output_types(int))
  for i in range(10):
    values = values | 'increment %d' % i >> beam.Map(increment).with_output_types(int)
  _ = values | beam.combiners.Count.Globally() | 'check' >> beam.Map(check, total // shards * shards)


def build_cpu(beam, p, args):
  """320 elements of some 30 ms each of pure Python."""
  total = int(320 * args.scale)
  _ = (
      p | beam.Create(range(total), reshuffle=True)
      | beam.Map(burn).with_output_types(int)
      | beam.CombineGlobally(sum)
      | 'check' >> beam.Map(check, total))


def make_text(path):
  """20 MB of words of a skewed distribution, the same each time."""
  import random
  rnd = random.Random(7)
  words = [''.join(rnd.choices('abcdefghijklmnopqrstuvwxyz', k=rnd.randint(2, 10))) for _ in range(20000)]
  written = 0
  with open(path + '.new', 'w', encoding='ascii') as f:
    while written < 20 << 20:
      written += f.write(' '.join(words[min(int(rnd.expovariate(1 / 2000)), 19999)] for _ in range(10)) + '\n')
  os.replace(path + '.new', path)


# ------------------------------------------------------------------ the runner's process, seen from outside


def process_tree(pid):
  """The process and all below it."""
  children = {}
  for name in os.listdir('/proc'):
    if name.isdigit():
      fields = stat_fields(name)
      if fields:
        children.setdefault(int(fields[1]), []).append(int(name))
  tree, todo = [], [pid]
  while todo:
    one = todo.pop()
    tree.append(one)
    todo += children.get(one, [])
  return tree


def stat_fields(pid):
  """/proc/PID/stat from the state on (what precedes may hold spaces); None where the process is gone."""
  try:
    with open('/proc/%s/stat' % pid) as f:
      text = f.read()
    return text[text.rindex(')') + 2:].split()
  except OSError:
    return None


def tree_cpu_s(pid):
  """CPU of the tree and of its ended children."""
  fields = [stat_fields(p) for p in process_tree(pid)]
  return sum(int(x) for f in fields if f for x in f[11:15]) / TICKS_PER_S


def high_water_bytes(pid):
  try:
    with open('/proc/%d/status' % pid) as f:
      return next((int(line.split()[1]) << 10 for line in f if line.startswith('VmHWM')), 0)
  except OSError:
    return 0


class PeakSampler(threading.Thread):
  """The highest sum of the tree's resident memory. The tree itself is looked up each half second: that is the dear part."""
  def __init__(self, pid):
    super().__init__(daemon=True)
    self._pid, self._done, self.peak_bytes = pid, threading.Event(), 0

  def run(self):
    tree, round_number = process_tree(self._pid), 0
    while True:
      total = 0
      for pid in tree:
        try:
          with open('/proc/%d/statm' % pid) as f:
            total += int(f.read().split()[1]) * PAGE_BYTES
        except OSError:
          pass
      self.peak_bytes = max(self.peak_bytes, total)
      if self._done.wait(0.02):
        return
      round_number += 1
      if round_number % 25 == 0:
        tree = process_tree(self._pid)

  def stop(self):
    self._done.set()
    self.join()


# ------------------------------------------------------------------ the client: one measurement


def measure(args):
  """Runs in a process of its own; prints one line with the figures."""
  import logging
  logging.getLogger().setLevel(logging.ERROR)
  import apache_beam as beam
  from apache_beam.options.pipeline_options import PipelineOptions

  def pipeline(work):
    if args.endpoint == 'inproc':
      options = ['--runner=FnApiRunner']
    else:
      options = ['--runner=PortableRunner', '--job_endpoint=' + args.endpoint, '--environment_type=LOOPBACK']
    # else each submission waits a second for `pip freeze`
    options += ['--experiments=disable_logging_submission_environment', '--job_name=bench-%s-%d' % (work, os.getpid())]
    p = beam.Pipeline(options=PipelineOptions(options + args.option))
    globals()['build_' + work](beam, p, args)
    return p

  pipeline('tiny').run().wait_until_finish()
  jobs = JOBS_PER_MEASUREMENT.get(args.measure, 1)
  pipelines = [pipeline(args.measure) for _ in range(jobs)]
  sampler = None
  if args.pid:
    try:
      with open('/proc/%d/clear_refs' % args.pid, 'w') as f:
        f.write('5')  # the high-water mark starts anew
    except OSError:
      pass
    sampler, runner_before = PeakSampler(args.pid), tree_cpu_s(args.pid)
    sampler.start()
  before, walls, state, error = resource.getrusage(resource.RUSAGE_SELF), [], 'DONE', None
  for p in pipelines:
    started = time.perf_counter()
    try:
      state = str(p.run().wait_until_finish())
    except Exception as e:  # pylint: disable=broad-except
      state, error = 'FAILED', str(e)[-400:]
    walls.append(time.perf_counter() - started)
    if state != 'DONE':
      break
  after = resource.getrusage(resource.RUSAGE_SELF)
  row = {
      'wall_s': round(statistics.median(walls), 3),
      'state': state,
      'client_cpu_s': round((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / jobs, 3),
      'client_peak_mb': after.ru_maxrss >> 10,
      'load': os.getloadavg()[0],
  }
  if error:
    row['error'] = error
  if sampler:
    sampler.stop()
    row['runner_cpu_s'] = round((tree_cpu_s(args.pid) - runner_before) / jobs, 3)
    row['runner_peak_mb'] = round(max(high_water_bytes(args.pid), sampler.peak_bytes) / (1 << 20), 1)
  print('@@' + json.dumps(row), flush=True)
  os._exit(1 if error else 0)  # threads of the SDK's worker would keep it


# ------------------------------------------------------------------ the driver


def free_port():
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def await_port(port, process, limit_s=30):
  deadline = time.monotonic() + limit_s
  while time.monotonic() < deadline and process.poll() is None:
    with socket.socket() as s:
      if s.connect_ex(('127.0.0.1', port)) == 0:
        return
    time.sleep(0.02)
  raise RuntimeError('the runner does not listen (exit code %s)' % process.poll())


class Runner:
  """One runner process, for the time of one measurement."""
  def __init__(self, command, scratch):
    self.pid, self.endpoint, self._process = None, 'inproc', None
    if command == 'inproc':
      return
    port = free_port()
    state = tempfile.mkdtemp(prefix='state-', dir=scratch)
    log = open(os.path.join(scratch, 'runner.log'), 'ab')
    self._process = subprocess.Popen(shlex.split(command.format(port=port, state=state)), stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, start_new_session=True)
    log.close()
    self.pid, self.endpoint = self._process.pid, 'localhost:%d' % port
    try:
      await_port(port, self._process)
    except BaseException:
      self.stop()
      raise

  def stop(self):
    if self._process is None:
      return
    self._process.send_signal(signal.SIGTERM)
    try:
      self._process.wait(15)
    except subprocess.TimeoutExpired:
      os.killpg(self.pid, signal.SIGKILL)
      self._process.wait()


def run_one(name, command, work, args, scratch):
  row = {'runner': name, 'work': work, 'state': 'CRASH'}
  try:
    runner = Runner(command, scratch)
  except (OSError, RuntimeError) as e:
    return dict(row, error=str(e))
  try:
    client = [
        sys.executable, os.path.abspath(__file__), '--measure', work, '--endpoint', runner.endpoint, '--input', args.input,
        '--out', os.path.join(scratch, 'out-%s' % name), '--scale', str(args.scale)
    ]
    client += ['--option=' + option for option in args.option]
    if runner.pid:
      client += ['--pid', str(runner.pid)]
    done = subprocess.run(client, capture_output=True, text=True, timeout=args.timeout, stdin=subprocess.DEVNULL)
    lines = [line for line in done.stdout.splitlines() if line.startswith('@@')]
    row.update(json.loads(lines[-1][2:]) if lines else {'error': done.stderr[-400:]})
  except subprocess.TimeoutExpired:
    row.update(state='TIMEOUT', error='no end within %d s' % args.timeout)
  finally:
    runner.stop()
  return row


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--runner', action='append', default=[], metavar='NAME=COMMAND')
  parser.add_argument('--work', default=','.join(WORKS))
  parser.add_argument('--reps', type=int, default=5)
  parser.add_argument('--scale', type=float, default=1.0, help='of gbk, chain and cpu')
  parser.add_argument('--input', default=os.path.join(tempfile.gettempdir(), 'trestle-bench-20m.txt'))
  parser.add_argument('--timeout', type=int, default=300, help='seconds for one measurement')
  parser.add_argument('--option', action='append', default=[], help='a further pipeline option')
  for internal in ('--measure', '--endpoint', '--out'):
    parser.add_argument(internal, help=argparse.SUPPRESS)
  parser.add_argument('--pid', type=int, help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.measure:
    return measure(args)

  works = args.work.split(',')
  for work in works:
    if work not in WORKS:
      parser.error('no work called %s; there are %s' % (work, ', '.join(WORKS)))
  if 'wordcount' in works and not os.path.exists(args.input):
    make_text(args.input)
  runners = [r.split('=', 1) for r in args.runner]
  with tempfile.TemporaryDirectory(prefix='trestle-bench-') as scratch:
    for rep in range(args.reps):
      for work in works:
        for i in range(len(runners)):
          name, command = runners[(i + rep) % len(runners)]
          row = dict(run_one(name, command, work, args, scratch), rep=rep)
          print(json.dumps(row), flush=True)
          print('%s %s %d: %s %s s' % (work, name, rep, row['state'], row.get('wall_s', row.get('error'))), file=sys.stderr)


if __name__ == '__main__':
  main()
