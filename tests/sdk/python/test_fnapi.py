"""The SDK's FnApiRunnerTest and the cases its portable and Prism tests add, sent to the job endpoint in JOB_ENDPOINT."""
import time
import unittest

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions
from apache_beam.runners.portability import portable_runner_test, prism_runner_test
from apache_beam.runners.portability.fn_api_runner import fn_runner_test
from apache_beam.runners.portability.portable_runner import PortableRunner

from beam_endpoint import pipeline_options
from keyed_state import KeyedState

_EXPERIMENTS = ['--experiments=state_cache_size=100', '--experiments=data_buffer_time_limit_ms=1000']


class _Submits:
  """How a case makes its pipeline."""
  def create_options(self):
    name = '--job_name=%s-%d' % (self._testMethodName, time.time() * 1000)
    return PipelineOptions(pipeline_options() + _EXPERIMENTS + [name])

  def create_pipeline(self, is_drain=False):
    if is_drain:
      raise unittest.SkipTest('drain cannot be asked for over the Job API')
    return beam.Pipeline(PortableRunner(), self.create_options())


class FnApi(_Submits, fn_runner_test.FnApiRunnerTest):
  """Everything inherited."""


class Portable(_Submits, unittest.TestCase):
  test_pardo_state_with_custom_key_coder = (
      portable_runner_test.PortableRunnerTest.test_pardo_state_with_custom_key_coder)
  test_create_transform = prism_runner_test.PrismRunnerTest.test_create_transform
  test_read = prism_runner_test.PrismRunnerTest.test_read


class Triggers(_Submits, unittest.TestCase):
  """The SDK's cases say themselves whether they stream, by setting these two."""
  streaming = False
  allow_unsafe_triggers = False

  def create_options(self):
    options = super().create_options()
    options.view_as(StandardOptions).streaming = self.streaming
    options.view_as(TypeOptions).allow_unsafe_triggers = self.allow_unsafe_triggers
    return options

  test_after_count_trigger_batch = prism_runner_test.PrismRunnerTest.test_after_count_trigger_batch
  test_after_count_trigger_streaming = prism_runner_test.PrismRunnerTest.test_after_count_trigger_streaming
  test_failing_dofn = prism_runner_test.PrismRunnerTest.test_failing_dofn


class State(_Submits, KeyedState, unittest.TestCase):
  """What the SDK's tests leave out."""
