"""workers.py HOST:PORT IMPATIENT_HOST:PORT: what a user of Python's SDK can see of the runner's worker processes. Closes with its totals."""
import json
import logging
import os
import sys
import tempfile
import time
import traceback

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

ENDPOINT = sys.argv[1]
# reports a stuck bundle after a second, and stops its worker after ten
IMPATIENT = sys.argv[2]
SCRATCH = os.environ['TRESTLE_TEST_SCRATCH']


def options(*arguments):
  config = {
      'command': os.environ['BOOT_COMMAND'],
      'env': {'TRESTLE_TEST_PYTHON': os.environ['TRESTLE_TEST_PYTHON'], 'TRESTLE_TEST_SCRATCH': SCRATCH},
  }
  return PipelineOptions([
      '--runner=PortableRunner', '--job_endpoint=' + ENDPOINT, '--environment_type=PROCESS',
      '--environment_config=' + json.dumps(config), '--experiments=pickle_library=default'
  ] + list(arguments))


class Record(beam.DoFn):
  """Writes one line per element into a file that the test reads: the process, and what it saw."""
  def __init__(self, path, seconds=0):
    self.path = path
    self.seconds = seconds

  def process(self, element, side=None):
    import os
    import time
    time.sleep(self.seconds)
    with open(self.path, 'a') as f:
      f.write('%d %r\n' % (os.getpid(), (element, sorted(side) if side is not None else None)))
    yield element


def run(values, arguments=(), side=None, name='job'):
  """Returns the pids, what was seen, and the seconds that run and wait took."""
  path = tempfile.mktemp(dir=SCRATCH)
  pipeline = beam.Pipeline(options=options('--job_name=' + name, *arguments))
  elements = pipeline | beam.Create(values) | beam.Reshuffle()
  if side is None:
    elements | beam.ParDo(Record(path))
  else:
    elements | beam.ParDo(Record(path), side=beam.pvalue.AsIter(pipeline | 'Side' >> beam.Create(side)))
  started = time.monotonic()
  pipeline.run().wait_until_finish()
  seconds = time.monotonic() - started
  with open(path) as f:
    lines = f.read().splitlines()
  return {int(line.split()[0]) for line in lines}, sorted(line.split(' ', 1)[1] for line in lines), seconds


def is_running(pid):
  return os.path.exists('/proc/%d' % pid)


ONE = ('--trestle_workers=1', )


def a_second_job_of_the_same_kind_runs_in_the_same_process():
  first, seen, cold = run([1, 2, 3], ONE)
  assert seen == ['(%d, None)' % i for i in (1, 2, 3)], seen
  again, seen, warm = run([4, 5, 6], ONE, name='with-another-name')
  assert seen == ['(%d, None)' % i for i in (4, 5, 6)], seen
  assert first == again and len(first) == 1, (first, again)
  print('  the first job took %.2f s, the second one %.2f s' % (cold, warm))


def other_options_are_another_worker():
  first, _, _ = run([1], ONE)
  other, _, _ = run([1], ONE + ('--max_cache_memory_usage_mb=7', ))
  assert first != other, first


def side_inputs_of_a_job_are_not_those_of_the_one_before():
  caching = ONE + ('--max_cache_memory_usage_mb=100', )
  _, seen, _ = run([1], caching, side=['a', 'b'])
  assert seen == ["(1, ['a', 'b'])"], seen
  _, seen, _ = run([1], caching, side=['c'])
  assert seen == ["(1, ['c'])"], seen


def every_core_has_a_worker():
  """Few elements that take a while each are worked on by as many processes as there are cores, though they start one after the other."""
  path = tempfile.mktemp(dir=SCRATCH)
  pipeline = beam.Pipeline(options=options('--max_cache_memory_usage_mb=3'))
  _ = pipeline | beam.Create(range(32)) | beam.Reshuffle() | beam.ParDo(Record(path, 0.2))
  pipeline.run().wait_until_finish()
  with open(path) as f:
    pids = {line.split()[0] for line in f}
  assert len(pids) == min(os.cpu_count(), 8) or os.cpu_count() > 8, (pids, os.cpu_count())


class StickOnce(beam.DoFn):
  """Hangs for an hour, but only in the first process that comes here."""
  def __init__(self, path):
    self.path = path

  def process(self, element):
    import os
    import time
    try:
      os.close(os.open(self.path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
      yield element
    else:
      self.this_is_where_it_hangs(time)

  def this_is_where_it_hangs(self, time):
    time.sleep(3600)


class Lines(logging.Handler):
  def __init__(self):
    super().__init__()
    self.lines = []

  def emit(self, record):
    self.lines.append(record.getMessage())


def a_stuck_bundle_is_shown_with_its_stack_and_retried_elsewhere():
  path, seen = tempfile.mktemp(dir=SCRATCH), tempfile.mktemp(dir=SCRATCH)
  handler = Lines()
  logging.getLogger().addHandler(handler)
  try:
    pipeline = beam.Pipeline(options=options('--job_endpoint=' + IMPATIENT, *ONE))
    _ = pipeline | beam.Create([1]) | beam.Reshuffle() | beam.ParDo(StickOnce(path)) | beam.ParDo(Record(seen))
    pipeline.run().wait_until_finish()
  finally:
    logging.getLogger().removeHandler(handler)
  text = '\n'.join(handler.lines)
  assert 'no sign of life' in text, text
  assert 'this_is_where_it_hangs' in text, text
  assert 'bundle.stuck_kill' in text, text
  with open(seen) as f:
    assert len(f.read().splitlines()) == 1


CASES = [
    a_second_job_of_the_same_kind_runs_in_the_same_process,
    other_options_are_another_worker,
    side_inputs_of_a_job_are_not_those_of_the_one_before,
    every_core_has_a_worker,
    a_stuck_bundle_is_shown_with_its_stack_and_retried_elsewhere,
]


def main():
  failed = 0
  for case in CASES:
    try:
      case()
      print('passed  ' + case.__name__)
    except Exception:  # pylint: disable=broad-except
      failed += 1
      print('FAILED  %s\n%s' % (case.__name__, traceback.format_exc()))
  print('%d passed, %d failed, 0 skipped' % (len(CASES) - failed, failed))
  return 1 if failed else 0


if __name__ == '__main__':
  sys.exit(main())
