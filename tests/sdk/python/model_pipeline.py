"""What the test_model_*.py share: a pipeline that goes to the endpoint under test."""
import json
import os
import time

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PortableRunner

from beam_endpoint import pipeline_options

_HERE = os.path.dirname(os.path.abspath(__file__))


def pipeline(name, *more):
  options = pipeline_options() + ['--job_name=%s-%d' % (name, time.time() * 1000)]
  return beam.Pipeline(PortableRunner(), PipelineOptions(options + list(more)))


def booted_pipeline(name, *more):
  """Its workers are started by the runner, and told what the runner can do, as those of a container are."""
  config = {
      'command': os.path.join(os.path.dirname(_HERE), 'boot_python.sh'),
      'env': {'PYTHONPATH': _HERE, 'TRESTLE_TEST_PYTHON': os.sys.executable},
  }
  return pipeline(name, '--environment_type=PROCESS', '--environment_config=' + json.dumps(config), *more)
