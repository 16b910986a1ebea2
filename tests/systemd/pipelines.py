"""Pipelines for the service: their workers are the caller's (LOOPBACK) or processes that the service starts."""
import functools
import json
import os
import sys
import tempfile
import time

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

ENDPOINT = os.environ.get('TRESTLE_ENDPOINT', '127.0.0.1:8099')
HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = ['beam post beam', 'trestle deck beam', 'post']
COUNTS = [('beam', 3), ('post', 2), ('trestle', 1), ('deck', 1)]

LOOPBACK = ('--environment_type=LOOPBACK', )
PROCESS = ('--environment_type=PROCESS', '--environment_config=' + json.dumps({
    'command': os.path.join(HERE, 'boot_python.sh'),
    'env': {'TRESTLE_TEST_PYTHON': sys.executable, 'PYTHONPATH': HERE},
}))


def options(*arguments):
  return PipelineOptions(['--runner=PortableRunner', '--job_endpoint=' + ENDPOINT, '--experiments=pickle_library=default',
                          '--experiments=disable_logging_submission_environment', *arguments])


def word_count(environment):
  """Runs it to its end and looks at what came out."""
  with beam.Pipeline(options=options('--job_name=words', *environment)) as pipeline:
    counts = (pipeline | beam.Create(TEXT) | beam.FlatMap(str.split) | beam.combiners.Count.PerElement())
    assert_that(counts, equal_to(COUNTS))


class Call(beam.DoFn):
  """Calls what it was given, in the worker, and writes what that returns into a file as JSON."""
  def __init__(self, function, path):
    self.function, self.path = function, path

  def process(self, element):
    result = self.function()
    with open(self.path, 'w', encoding='utf-8') as f:
      json.dump(result, f)
    yield element




def submit_call(function, path, name='call'):
  """Returns at once, with the result that can be waited for."""
  pipeline = beam.Pipeline(options=options('--job_name=' + name, *PROCESS))
  _ = pipeline | beam.Create([1]) | beam.ParDo(Call(function, path))
  return pipeline.run()


def call(function, name='call'):
  """What the function returns in a worker that is a process of the service."""
  folder = tempfile.mkdtemp()
  os.chmod(folder, 0o777)
  path = os.path.join(folder, 'result')
  submit_call(function, path, name).wait_until_finish()
  with open(path, encoding='utf-8') as f:
    return json.load(f)


def _wait(is_there, may_go):
  with open(is_there, 'a', encoding='ascii') as f:
    f.write('%d\n' % os.getpid())
  while not os.path.exists(may_go):
    time.sleep(0.05)


class Gate:
  """A job whose one bundle waits until it is opened."""
  def __init__(self, name):
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o777)
    self.is_there, self.may_go = os.path.join(folder, 'is-there'), os.path.join(folder, 'may-go')
    self.result = submit_call(functools.partial(_wait, self.is_there, self.may_go), os.path.join(folder, 'result'), name)
    self.job = self.result._job_id

  def arrivals(self):
    """How often the bundle began."""
    if not os.path.exists(self.is_there):
      return 0
    with open(self.is_there, encoding='ascii') as f:
      return len(f.read().split())

  def open(self):
    open(self.may_go, 'x', encoding='ascii').close()
