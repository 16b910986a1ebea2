#!/usr/bin/env python3
"""Runs the same Python pipelines (works.py) through several runners in turn and writes one JSON line for each measurement.

  bench.py --runner NAME=COMMAND ... [--work tiny,wordcount,...] [--reps 9] [--scale 1.0] [--own-processes BOOT] >results.jsonl

COMMAND starts a job server in the foreground; {port} in it becomes a free port, {state} a folder of its own. `inproc` in its
place is the SDK's in-process runner. The server is up when its port accepts a connection.

The runner's process is fresh for each measurement, so that peaks of memory compare, and so is the client, an interpreter of its own.
Before a measured run the client sends one uncounted three-element pipeline, so that the runner's start and the client's imports are not
in the figures. `tiny` runs several times in one measurement: the wall time is the median, CPU the mean (the kernel counts it in
hundredths of a second). For each repetition and work every runner has its turn, in an order that rotates: what disturbs the machine
disturbs all.

Where the worker is: in the client (LOOPBACK), or with --own-processes in processes that the runner starts with the command BOOT (a PROCESS
environment), as many as the runner starts by itself: Trestle one per core, Prism one per environment; the in-process runner is
then told to start one per core (direct_running_mode=multi_processing).

Measured, each in the time from just before Pipeline.run() to the end of wait_until_finish():
  wall_s            in the client
  start_s           of it, until the first bundle ran in a worker: submission, and where the runner starts workers their start
  client_cpu_s      of the client and its children; with LOOPBACK the users' code is in it
  worker_cpu_s      of processes that the runner started (they run another program than the runner's)
  runner_cpu_s      of the runner's own processes
  runner_peak_mb    the most that these held: the sum, sampled each 20 ms, or the kernel's high-water mark of the first where that is more
  client_peak_mb    of the client
A result that is not what the work should come to is a failure (state WRONG).
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
import time

import figures
import works

TINY_JOBS = {False: 10, True: 3}  # in one measurement: over LOOPBACK; where each job may have to wait for its workers

# ------------------------------------------------------------------ the client: one measurement


def pipeline_options(args):
  if args.endpoint == 'inproc':
    options = ['--runner=FnApiRunner']
    if args.own_processes:
      options += ['--direct_running_mode=multi_processing', '--direct_num_workers=%d' % os.cpu_count()]
  else:
    options = ['--runner=PortableRunner', '--job_endpoint=' + args.endpoint]
    if args.own_processes:
      environment = {'PYTHONPATH': os.path.dirname(os.path.abspath(__file__)), 'TRESTLE_TEST_PYTHON': sys.executable,
                     'TRESTLE_TEST_SCRATCH': args.scratch}
      options += ['--environment_type=PROCESS',
                  '--environment_config=' + json.dumps({'command': args.own_processes, 'env': environment})]
    else:
      options += ['--environment_type=LOOPBACK']
  # else each submission waits a second for `pip freeze`
  return options + ['--experiments=disable_logging_submission_environment'] + args.option


def own_cpu_s():
  usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
  return sum(u.ru_utime + u.ru_stime for u in usages)


class Job:
  """One pipeline, made before the clock runs, with files of its own."""
  def __init__(self, beam, work, number, args):
    from apache_beam.options.pipeline_options import PipelineOptions
    self._args = argparse.Namespace(**vars(args))
    stem = os.path.join(args.scratch, '%s-%d-%d' % (work, os.getpid(), number))
    self._args.proof, self._args.marker, self._args.out = stem + '.proof', stem + '.marker', stem + '.out'
    self._work = work
    options = pipeline_options(args) + ['--job_name=bench-%s-%d' % (work, os.getpid())]
    self._pipeline = beam.Pipeline(options=PipelineOptions(options))
    works.build(work, beam, self._pipeline, self._args)

  def run(self):
    """wall_s, start_s, state, error."""
    state, error, started_at, started = 'DONE', None, time.time(), time.perf_counter()
    try:
      state = str(self._pipeline.run().wait_until_finish())
    except Exception as e:  # pylint: disable=broad-except
      state, error = 'FAILED', str(e)[-400:]
    wall = time.perf_counter() - started
    try:
      with open(self._args.marker, encoding='ascii') as f:
        start = float(f.read()) - started_at
    except (OSError, ValueError):
      start = None
    return wall, start, state, error

  def wrong(self, expected):
    """None, or what is wrong with the result."""
    actual = works.actual_proof(self._work, self._args)
    return None if actual == expected else 'the result is %s, not %s' % (str(actual)[:200], str(expected)[:200])


def measure(args):
  """Runs in a process of its own; prints one line with the figures."""
  import logging
  logging.getLogger().setLevel(logging.ERROR)
  import apache_beam as beam
  os.environ['PYTHONPATH'] = os.path.dirname(os.path.abspath(__file__))  # for workers that this process starts

  Job(beam, 'tiny', 0, args).run()
  count = TINY_JOBS[bool(args.own_processes)] if args.measure == 'tiny' else 1
  jobs = [Job(beam, args.measure, 1 + i, args) for i in range(count)]
  sampler = figures.RunnerFigures(args.pid) if args.pid else None
  before, runs = own_cpu_s(), []
  for job in jobs:
    runs.append(job.run())
    if runs[-1][2] != 'DONE':
      break
  client_cpu_s = own_cpu_s() - before
  row = sampler.stop(count) if sampler else {}
  _, _, state, error = runs[-1]
  if state == 'DONE':
    error = next((wrong for wrong in (job.wrong(json.loads(args.expected)) for job in jobs) if wrong), None)
    state = 'WRONG' if error else state
  starts = [start for _, start, _, _ in runs if start is not None]
  row.update({
      'wall_s': round(statistics.median(wall for wall, _, _, _ in runs), 3),
      'state': state,
      'client_cpu_s': round(client_cpu_s / count, 3),
      'client_peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
      'load': os.getloadavg()[0],
  })
  if starts:
    row['start_s'] = round(statistics.median(starts), 3)
  if error:
    row['error'] = error
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
    """With what it started: Prism leaves workers behind."""
    if self._process is None:
      return
    left = figures.process_tree(self.pid)
    self._process.send_signal(signal.SIGTERM)
    try:
      self._process.wait(15)
    except subprocess.TimeoutExpired:
      pass
    for pid in left:
      if pid == self.pid and self._process.returncode is not None:
        continue
      try:
        os.kill(pid, signal.SIGKILL)
      except ProcessLookupError:
        pass
    self._process.wait()


def run_one(name, command, work, args, scratch, expected):
  row = {'runner': name, 'work': work, 'mode': 'processes' if args.own_processes else 'loopback', 'state': 'CRASH'}
  try:
    runner = Runner(command, scratch)
  except (OSError, RuntimeError) as e:
    return dict(row, error=str(e))
  try:
    client = [
        sys.executable, os.path.abspath(__file__), '--measure', work, '--endpoint', runner.endpoint, '--input', args.input,
        '--scratch', scratch, '--scale', str(args.scale), '--expected', json.dumps(expected)
    ]
    client += ['--option=' + option for option in args.option]
    if args.own_processes:
      client += ['--own-processes', args.own_processes]
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
  parser.add_argument('--work', default=','.join(works.WORKS))
  parser.add_argument('--reps', type=int, default=9)
  parser.add_argument('--scale', type=float, default=1.0, help='of all works but tiny and wordcount')
  parser.add_argument('--own-processes', metavar='BOOT', help='the runner starts the workers, with this command')
  parser.add_argument('--input', default=os.path.join(tempfile.gettempdir(), 'trestle-bench-20m.txt'))
  parser.add_argument('--timeout', type=int, default=300, help='seconds for one measurement')
  parser.add_argument('--option', action='append', default=[], help='a further pipeline option')
  for internal in ('--measure', '--endpoint', '--scratch', '--expected'):
    parser.add_argument(internal, help=argparse.SUPPRESS)
  parser.add_argument('--pid', type=int, help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.measure:
    return measure(args)

  chosen = args.work.split(',')
  for work in chosen:
    if work not in works.WORKS:
      parser.error('no work called %s; there are %s' % (work, ', '.join(works.WORKS)))
  if 'wordcount' in chosen and not os.path.exists(args.input):
    works.make_text(args.input)
  expected = {work: works.expected_proof(work, args, args.input + '.expected.json') for work in chosen}
  runners = [r.split('=', 1) for r in args.runner]
  for rep in range(args.reps):
    for work in chosen:
      for i in range(len(runners)):
        name, command = runners[(i + rep) % len(runners)]
        with tempfile.TemporaryDirectory(prefix='trestle-bench-', ignore_cleanup_errors=True) as scratch:
          row = dict(run_one(name, command, work, args, scratch, expected[work]), rep=rep)
        print(json.dumps(row), flush=True)
        said = '%s s' % row['wall_s'] if row['state'] == 'DONE' else row.get('error')
        print('%s %s %d: %s %s' % (work, name, rep, row['state'], said), file=sys.stderr)


if __name__ == '__main__':
  main()
