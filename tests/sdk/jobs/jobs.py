"""jobs.py: many small jobs, whose pipelines each SDK's own client has submitted once, and what they leave behind. Closes with its totals."""
import argparse
import collections
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import worker_pool_main

import footprint
import recorded

# of a job, of the workers that are kept after one, and of memory
JOB_SECONDS, IDLE_SECONDS, TOLERANCE = 120, 60, 0.05
WORDS = ['beam', 'post', 'beam', 'trestle', 'deck', 'beam', 'post', 'żółw', '']
GROUPS = '0:\n4:beam beam beam deck post post żółw\n7:trestle'
COUNTS = '=1\nbeam=3\ndeck=1\npost=2\ntrestle=1\nżółw=1'


class WriteSorted(beam.DoFn):
  """Writes all lines into a new file of the folder, in one go."""
  def __init__(self, folder, name):
    self.folder = folder
    self.name = name

  def process(self, element):
    import tempfile
    with tempfile.NamedTemporaryFile('w', encoding='utf-8', dir=self.folder, prefix=self.name + '-', delete=False) as f:
      f.write('\n'.join(sorted(element[1])))


def results_in(folder):
  """Name (up to the dash) and content of each file -> how often."""
  found = collections.Counter()
  for name in os.listdir(folder):
    with open(os.path.join(folder, name), encoding='utf-8') as f:
      found[name.partition('-')[0], f.read().rstrip('\n')] += 1
  return found


def run_python(endpoint, folder, arguments):
  options = PipelineOptions([
      '--runner=PortableRunner', '--job_endpoint=' + endpoint,
      '--experiments=disable_logging_submission_environment', '--experiments=pickle_library=default'
  ] + arguments)
  with beam.Pipeline(options=options) as pipeline:
    words = pipeline | beam.Create(WORDS)
    groups = (
        words | beam.Map(lambda word: (len(word), word)) | beam.GroupByKey()
        | beam.MapTuple(lambda size, group: '%d:%s' % (size, ' '.join(sorted(group)))))
    counts = words | beam.combiners.Count.PerElement() | beam.MapTuple('{}={}'.format)
    for name, lines in ('groups', groups), ('counts', counts):
      _ = (
          lines | name + ' under one key' >> beam.WithKeys(0) | name + ' together' >> beam.GroupByKey()
          | name + ' to a file' >> beam.ParDo(WriteSorted(folder, name)))
  assert results_in(folder) == {('groups', GROUPS): 1, ('counts', COUNTS): 1}, results_in(folder)


def run_program(command):
  """A client that checks its results itself."""
  done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, timeout=JOB_SECONDS, check=False)
  assert done.returncode == 0, (done.returncode, done.stdout[-2000:])


def python_process(endpoint, folder):
  config = {
      'command': os.environ['BOOT_COMMAND'],
      'env': {name: os.environ[name] for name in ('TRESTLE_TEST_PYTHON', 'TRESTLE_TEST_SCRATCH')}
  }
  run_python(
      endpoint, folder,
      ['--environment_type=PROCESS', '--environment_config=' + json.dumps(config), '--trestle_workers=1'])


class Kind:
  """A pipeline: how its client is run, what it then submits, and the files that a job of it leaves in its folder."""
  def __init__(self, name, client, scratch):
    self.name = name
    self.client = client
    self.folder = os.path.join(scratch, name)
    os.mkdir(self.folder)

  def record(self, endpoint):
    recorder = recorded.Recorder(endpoint)
    try:
      self.client(recorder.endpoint, self.folder)
    finally:
      recorder.close()
    self.prepared = recorder.prepared
    self.results = results_in(self.folder)
    self.clear()

  def clear(self):
    for name in os.listdir(self.folder):
      os.unlink(os.path.join(self.folder, name))


class Suite:
  """One daemon, the kinds of jobs, and what was found."""
  def __init__(self, arguments):
    self.arguments = arguments
    # what is left there is the daemon's or its workers'; staged files are kept to be staged once
    self.folders = [os.path.join(arguments.scratch, 'tmp'), os.path.join(arguments.scratch, 'daemon/state')]
    self.kinds = [Kind(*kind, arguments.scratch) for kind in self._clients()]
    self.passed = self.failed = self.number = 0

  def _clients(self):
    # as LOOPBACK, but the pool is there for all jobs
    address, self.pool = worker_pool_main.BeamFnExternalWorkerPoolServicer.start()
    yield 'python-loopback', lambda endpoint, folder: run_python(
        endpoint, folder, ['--environment_type=EXTERNAL', '--environment_config=' + address])
    yield 'python-process', python_process
    if self.arguments.java_classpath:
      yield 'java-native', lambda endpoint, folder: run_program([
          'java', '-Xmx512m', '-XX:+UseSerialGC', '-Dfile.encoding=UTF-8', '-cp', self.arguments.java_classpath, 'SmallPipeline',
          '--runner=PortableRunner', '--jobEndpoint=' + endpoint, '--outputFolder=' + folder
      ])
    if self.arguments.go_programs:
      program = os.path.join(self.arguments.go_programs, 'small')
      yield 'go-native', lambda endpoint, folder: run_program(
          [program, '--runner=universal', '--endpoint=' + endpoint, '--worker_binary=' + program, '--output_folder=' + folder])

  def case(self, name, check):
    try:
      check()
      print('passed  ' + name, flush=True)
      self.passed += 1
    except Exception:  # pylint: disable=broad-except
      print('FAILED  %s\n%s' % (name, traceback.format_exc()), flush=True)
      self.failed += 1

  def _submit(self, number):
    kind = self.kinds[number % len(self.kinds)]
    state, error = recorded.submit(self.arguments.endpoint, kind.prepared, '%s-%d' % (kind.name, number))
    assert state == 'DONE', '%s: %s %s' % (kind.name, state, error)

  def run_jobs(self, count, at_once):
    """The kinds by turns. Each job must have left its results, once."""
    for kind in self.kinds:
      kind.clear()
    numbers = range(self.number, self.number + count)
    self.number += count
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
      for done in [threads.submit(self._submit, number) for number in numbers]:
        done.result()
    print('  %d jobs in %.1f s' % (count, time.monotonic() - started))
    for index, kind in enumerate(self.kinds):
      jobs = sum(number % len(self.kinds) == index for number in numbers)
      want = collections.Counter({result: times * jobs for result, times in kind.results.items()})
      assert results_in(kind.folder) == want, (kind.name, results_in(kind.folder), want)

  def footprint(self, condition):
    found = footprint.when(self.arguments.daemon, self.folders, condition, IDLE_SECONDS)
    print('  %s' % found)
    return found

  def check_nothing_left(self, before):
    assert before.processes == ['trestle-launch'], before.processes
    grown = self.footprint(lambda found: not found.grown(before, TOLERANCE)).grown(before, TOLERANCE)
    assert not grown, '\n'.join(grown)

  def run(self):
    at_once = self.arguments.at_once
    for kind in self.kinds:
      self.case('the client of ' + kind.name, lambda kind=kind: kind.record(self.arguments.endpoint))
    if self.failed:
      return
    self.case('%d jobs in a row' % at_once, lambda: self.run_jobs(at_once, 1))
    before = self.footprint(lambda found: found.processes == ['trestle-launch'])
    more = self.arguments.jobs - at_once
    self.case('%d more' % more, lambda: self.run_jobs(more, 1))
    self.case('nothing is left of them', lambda: self.check_nothing_left(before))
    # What many jobs at once take for the first time, the allocator keeps in part; the next time they are to take no more.
    self.case('%d jobs at once' % at_once, lambda: self.run_jobs(at_once, at_once))
    before_again = self.footprint(lambda found: found.processes == ['trestle-launch'])
    self.case('%d at once again' % at_once, lambda: self.run_jobs(at_once, at_once))
    self.case('nothing is left of those either', lambda: self.check_nothing_left(before_again))


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--daemon', type=int, required=True)
  parser.add_argument('--endpoint', required=True)
  parser.add_argument('--scratch', required=True)
  parser.add_argument('--jobs', type=int, required=True)
  parser.add_argument('--at-once', type=int, required=True)
  parser.add_argument('--java-classpath')
  parser.add_argument('--go-programs')
  suite = Suite(parser.parse_args())
  suite.run()
  print('%d passed, %d failed, 0 skipped' % (suite.passed, suite.failed), flush=True)
  # not by returning: the threads of the pool's workers are still there
  os._exit(1 if suite.failed else 0)


if __name__ == '__main__':
  main()
