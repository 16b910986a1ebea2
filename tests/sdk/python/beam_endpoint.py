"""pytest plugin of the SDK suites: sends the SDK's own tests to a running job endpoint and writes down what came of them.

What it is told, by environment:
  JOB_ENDPOINT         HOST:PORT of the daemon under test
  ENVIRONMENT_TYPE     LOOPBACK (default), PROCESS or EXTERNAL; ENVIRONMENT_CONFIG goes with it
  SDK_REDIRECT=1       pipelines that name no runner, or an in-process one, go to the endpoint too
  SDK_RESULTS          file that gets one JSON line for each phase of a test (see results.py)
  SDK_EXPECTED         list of the tests that are expected to fail; they get the shorter SDK_EXPECTED_TIMEOUT
  SDK_STAGE=1          submissions stage the client's `pip freeze`, as a user's do (a second each)

A test's id is its path below apache_beam/ (or below the suite's folder), `::`, class, `::`, method.

With pytest-xdist the hooks run in every worker; results are written by the controller alone, which also hears of tests that
took their worker down with them.
"""
import json
import os
import shlex
import threading

import pytest

from pipeline_needs import pipeline_needs

_submissions = 0
_needs = set()
_open_jobs = []


def test_id(nodeid):
  path, separator, rest = nodeid.partition('::')
  return path.split('apache_beam/')[-1] + separator + rest


def pipeline_options():
  """The options that send a pipeline to the endpoint under test."""
  options = [
      '--runner=PortableRunner',
      '--job_endpoint=' + os.environ['JOB_ENDPOINT'],
      '--environment_type=' + os.environ.get('ENVIRONMENT_TYPE', 'LOOPBACK'),
      '--job_server_timeout=60',
  ]
  if os.environ.get('ENVIRONMENT_CONFIG'):
    options.append('--environment_config=' + os.environ['ENVIRONMENT_CONFIG'])
  if os.environ.get('SDK_STAGE') != '1':
    options.append('--experiments=disable_logging_submission_environment')
  return options + shlex.split(os.environ.get('EXTRA_PIPELINE_OPTIONS', ''))


def pytest_addoption(parser):
  # What the SDK's own conftest would have defined; the wheel has none.
  parser.addoption('--test-pipeline-options', default=None, action='store')


def pytest_configure(config):
  if config.getoption('test_pipeline_options') is None:
    config.option.test_pipeline_options = shlex.join(pipeline_options())
  from apache_beam.testing.test_pipeline import TestPipeline
  TestPipeline.pytest_test_pipeline_options = config.option.test_pipeline_options
  _watch_submissions()
  if os.environ.get('SDK_REDIRECT') == '1':
    _redirect_default_runner()


def pytest_collection_modifyitems(items):
  path = os.environ.get('SDK_EXPECTED')
  limit = os.environ.get('SDK_EXPECTED_TIMEOUT')
  if not path or not limit or not os.path.exists(path):
    return
  import results
  expected = results.read_expected(path)
  for item in items:
    if test_id(item.nodeid) in expected:
      item.add_marker(pytest.mark.timeout(float(limit)))


# ------------------------------------------------------------------ what was submitted


def _watch_submissions():
  """Counts pipelines sent to the endpoint, and remembers what they need and their jobs."""
  from apache_beam.runners.portability import portable_runner

  plain_init = portable_runner.PipelineResult.__init__
  plain_run = portable_runner.PortableRunner.run_pipeline
  plain_submit = portable_runner.PortableRunner.run_portable_pipeline

  def init(self, *args, **kwargs):
    plain_init(self, *args, **kwargs)
    _open_jobs.append(self)

  def run_pipeline(self, *args, **kwargs):
    global _submissions
    _submissions += 1
    return plain_run(self, *args, **kwargs)

  def run_portable_pipeline(self, pipeline, options):
    _needs.update(pipeline_needs(pipeline))
    return plain_submit(self, pipeline, options)

  portable_runner.PipelineResult.__init__ = init
  portable_runner.PortableRunner.run_pipeline = run_pipeline
  portable_runner.PortableRunner.run_portable_pipeline = run_portable_pipeline


_IN_PROCESS = {
    None, 'direct', 'test', 'DirectRunner', 'BundleBasedDirectRunner', 'SwitchingDirectRunner', 'FnApiRunner',
    'PrismRunner', 'PortableRunner'
}


def _redirect_default_runner():
  """Pipeline() and Pipeline(runner='DirectRunner') become PortableRunner against the endpoint."""
  from apache_beam import pipeline
  from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, PortableOptions, StandardOptions
  from apache_beam.runners.portability.portable_runner import PortableRunner

  plain_init = pipeline.Pipeline.__init__

  def init(self, runner=None, options=None, argv=None, display_data=None):
    if options is None:
      options, argv = PipelineOptions(argv if argv is not None else []), None
    if runner is None:
      name = options.view_as(StandardOptions).runner
    else:
      name = runner if isinstance(runner, str) else type(runner).__name__
    if name in _IN_PROCESS and not isinstance(runner, PortableRunner):
      ours = PipelineOptions(pipeline_options())
      for option in ('job_endpoint', 'environment_type', 'environment_config', 'job_server_timeout'):
        setattr(options.view_as(PortableOptions), option, getattr(ours.view_as(PortableOptions), option))
      for experiment in ours.view_as(DebugOptions).experiments or []:
        options.view_as(DebugOptions).add_experiment(experiment)
      options.view_as(StandardOptions).runner = 'PortableRunner'
      runner = PortableRunner()
    plain_init(self, runner, options, argv, display_data)

  pipeline.Pipeline.__init__ = init


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown():
  """Cancels what a test left running: the next one should not share the daemon with it."""
  yield
  jobs, _open_jobs[:] = list(_open_jobs), []

  def cancel():
    for job in jobs:
      try:
        if not job.is_in_terminal_state():
          job.cancel()
      except BaseException:  # pylint: disable=broad-except
        pass

  thread = threading.Thread(target=cancel, daemon=True)
  thread.start()
  thread.join(10)


# ------------------------------------------------------------------ what came of it


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
  global _submissions
  outcome = yield
  report = outcome.get_result()
  if report.when == 'setup':
    _submissions = 0
    _needs.clear()
  elif report.when == 'call':
    item.user_properties += [('jobless', not _submissions), ('needs', sorted(_needs))]
    report.user_properties = list(item.user_properties)


class _Writer:
  def __init__(self, path):
    self._path = path

  def _write(self, **row):
    with open(self._path, 'a', encoding='utf-8') as f:
      f.write(json.dumps(row) + '\n')

  def pytest_runtest_logreport(self, report):
    if report.when == 'call' or report.outcome != 'passed':
      properties = dict(report.user_properties)
      self._write(
          test=test_id(report.nodeid),
          outcome=report.outcome,
          seconds=round(getattr(report, 'duration', 0) or 0, 2),
          jobless=properties.get('jobless', False),
          needs=properties.get('needs', []),
          text='' if report.outcome == 'passed' else str(report.longrepr)[-2000:])

  def pytest_collectreport(self, report):
    if report.outcome == 'failed':
      self._write(
          test=test_id(report.nodeid), outcome='failed', seconds=0, jobless=False, needs=[], text=str(report.longrepr)[-2000:])


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
  path = os.environ.get('SDK_RESULTS')
  if path and not hasattr(session.config, 'workerinput'):
    session.config.pluginmanager.register(_Writer(path), 'sdk-results-writer')
