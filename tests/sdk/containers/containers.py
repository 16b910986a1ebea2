"""containers.py FOLDER: pipelines through a real container engine. Closes with its totals."""
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import apache_beam as beam
from apache_beam.examples import wordcount
from apache_beam.options.pipeline_options import PipelineOptions

SCRATCH = sys.argv[1]
ENGINE = os.environ['ENGINE']
PYTHON_IMAGE = os.environ['PYTHON_IMAGE']
TIME_LIMIT = 120
TEXT = 'beam post beam\ntrestle deck beam\npost żółw\n'


class Daemon:
  """A daemon with the engine. `name` is that of its state directory, by which it knows its containers."""
  def __init__(self, name, pull='missing', keep_warm='0s', environments=True):
    self.folder = os.path.join(SCRATCH, 'daemons', name)
    self.state = os.path.join(self.folder, 'state')
    os.makedirs(self.state, exist_ok=True)
    config = {
        'containers': {'cli': ENGINE, 'pull': pull, 'mounts': SCRATCH, 'options': os.environ['ENGINE_OPTIONS']},
        'workers': {'keep_warm': keep_warm, 'per_environment': 1, 'stop_grace': '5s'},
    }
    if environments:
      config['environments'] = [
          {'image': 'apache/beam_python*_sdk:*', 'container': PYTHON_IMAGE},
          {'image': 'apache/beam_go_sdk:*', 'container': os.environ['GO_IMAGE']},
      ]
    path = os.path.join(self.folder, 'config.yaml')
    with open(path, 'w', encoding='utf-8') as f:
      json.dump(config, f)
    self.log = os.path.join(self.folder, 'daemon.err')
    with open(self.log, 'ab') as log:
      self.process = subprocess.Popen(
          [os.environ['TRESTLE_BIN'], 'serve', '--listen=127.0.0.1:0', '--state-dir=' + self.state, '--config=' + path],
          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    line = self.process.stdout.readline()
    assert line.startswith('listening on '), line
    self.endpoint = line.split()[-1]

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.end(signal.SIGTERM)

  def end(self, number):
    if self.process.poll() is None:
      self.process.send_signal(number)
    self.process.wait(TIME_LIMIT)
    self.process.stdout.close()

  def containers(self):
    """The ids of its containers, whatever became of them."""
    return subprocess.run([ENGINE, 'ps', '--all', '--quiet', '--filter=label=trestle.instance=' + self.state],
                          check=True, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT).stdout.split()

  def arguments(self):
    return [
        '--runner=PortableRunner', '--job_endpoint=' + self.endpoint,
        '--experiments=disable_logging_submission_environment', '--experiments=pickle_library=default'
    ]


def await_that(what, condition):
  until = time.monotonic() + TIME_LIMIT
  while not condition():
    assert time.monotonic() < until, 'after %d s not yet: %s' % (TIME_LIMIT, what)
    time.sleep(0.1)


def lines_of(prefix):
  """Of all files whose names begin so, sorted."""
  folder, lines = os.path.dirname(prefix), []
  for name in os.listdir(folder):
    if name.startswith(os.path.basename(prefix)):
      with open(os.path.join(folder, name), encoding='utf-8') as f:
        lines += f.read().splitlines()
  return sorted(lines)


def write_words(name):
  path = os.path.join(SCRATCH, name)
  with open(path, 'w', encoding='utf-8') as f:
    f.write(TEXT)
  return path


class Append(beam.DoFn):
  """Writes each element into a file of the container's own."""
  def __init__(self, path):
    self.path = path

  def process(self, element):
    with open(self.path, 'a', encoding='utf-8') as f:
      f.write('%s\n' % element)


class HangOnce(beam.DoFn):
  """Goes on for ever where it is the first to make the file."""
  def __init__(self, path):
    self.path = path

  def process(self, element):
    import time
    try:
      open(self.path, 'x', encoding='utf-8').close()
    except FileExistsError:
      return
    while True:
      time.sleep(1)


def run(daemon, transform, *arguments):
  pipeline = beam.Pipeline(options=PipelineOptions(daemon.arguments() + list(arguments)))
  _ = pipeline | beam.Create([1, 2, 3]) | beam.Reshuffle() | beam.ParDo(transform)
  return pipeline.run()


def start_hanging(daemon):
  """A job whose DoFn is in the midst of it, in one container."""
  path = tempfile.mktemp(dir=SCRATCH)
  job = run(daemon, HangOnce(path))
  await_that('the DoFn runs', lambda: os.path.exists(path))
  assert len(daemon.containers()) == 1, daemon.containers()
  return job


def message_of(daemon, *arguments):
  """What a job fails with."""
  try:
    run(daemon, Append('/tmp/unseen'), *arguments).wait_until_finish()
  except Exception as error:  # pylint: disable=broad-except
    return str(error)
  raise AssertionError('the job did not fail')


def pythons_wordcount_reads_and_writes_the_machines_files():
  source, output = write_words('words'), os.path.join(SCRATCH, 'counts')
  with Daemon('wordcount') as daemon:
    wordcount.run(['--input=' + source, '--output=' + output] + daemon.arguments())
    await_that('no container', lambda: not daemon.containers())
  counts = collections.Counter(re.findall(r"[\w\']+", TEXT, re.UNICODE))
  assert lines_of(output) == sorted('%s: %d' % count for count in counts.items()), lines_of(output)


def gos_default_environment_runs_in_its_image():
  output = os.path.join(SCRATCH, 'go')
  os.mkdir(output)
  with Daemon('go') as daemon:
    program = os.environ['GO_PROGRAM']
    done = subprocess.run([
        program, '--runner=universal', '--endpoint=' + daemon.endpoint, '--worker_binary=' + program, '--output_folder=' + output
    ], stdout=subprocess.PIPE, stderr=sys.stderr, text=True, timeout=TIME_LIMIT, check=False, env=dict(os.environ, TMPDIR=SCRATCH))
    assert done.returncode == 0 and done.stdout.endswith('3 passed, 0 failed, 0 skipped\n'), done.stdout
    await_that('no container', lambda: not daemon.containers())


def what_is_written_outside_of_the_mounts_goes_with_the_container():
  outside = '/tmp/trestle-test-%d' % os.getpid()
  with Daemon('outside') as daemon:
    run(daemon, Append(outside)).wait_until_finish()
  assert not os.path.exists(outside)


def a_container_is_kept_for_the_next_job():
  path = os.path.join(SCRATCH, 'kept')
  with Daemon('kept', keep_warm='60s') as daemon:
    run(daemon, Append(path)).wait_until_finish()
    first = daemon.containers()
    run(daemon, Append(path)).wait_until_finish()
    assert daemon.containers() == first and len(first) == 1, (first, daemon.containers())
  assert lines_of(path) == sorted(['1', '2', '3'] * 2), lines_of(path)
  assert not daemon.containers(), daemon.containers()


def no_container_is_left_of_a_cancelled_job():
  with Daemon('cancelled') as daemon:
    start_hanging(daemon).cancel()
    await_that('no container', lambda: not daemon.containers())


def no_container_is_left_of_a_daemon_that_is_told_to_end():
  daemon = Daemon('ended')
  start_hanging(daemon)
  daemon.end(signal.SIGTERM)
  assert daemon.process.returncode == 0, daemon.process.returncode
  assert not daemon.containers(), daemon.containers()


def no_container_is_left_when_a_killed_daemon_is_started_again():
  daemon = Daemon('killed')
  start_hanging(daemon)
  before = set(daemon.containers())
  daemon.end(signal.SIGKILL)
  assert before
  with Daemon('killed') as daemon:
    # the job is run again, maybe already in a container of its own
    assert not before.intersection(daemon.containers()), daemon.containers()
    run(daemon, Append(os.path.join(SCRATCH, 'after'))).wait_until_finish()


def a_container_that_dies_is_replaced():
  with Daemon('dies') as daemon:
    job = start_hanging(daemon)
    subprocess.run([ENGINE, 'kill', *daemon.containers()], check=True, stdout=subprocess.DEVNULL, timeout=TIME_LIMIT)
    job.wait_until_finish()
    await_that('no container', lambda: not daemon.containers())


def an_image_that_is_not_there_fails_the_job_with_the_engines_words():
  missing = 'localhost/trestle-test-missing:1'
  with Daemon('missing', pull='never', environments=False) as daemon:
    message = message_of(daemon, '--environment_type=DOCKER', '--environment_config=' + missing)
    assert missing in message, message
    assert not daemon.containers(), daemon.containers()


def an_image_that_is_there_is_fetched_only_when_that_is_asked_for():
  path = os.path.join(SCRATCH, 'pulled')
  for pull in 'never', 'missing':
    with Daemon('pull-' + pull, pull=pull) as daemon:
      run(daemon, Append(path)).wait_until_finish()
  assert lines_of(path) == sorted(['1', '2', '3'] * 2), lines_of(path)
  with Daemon('pull-always', pull='always') as daemon:
    message = message_of(daemon)
    assert PYTHON_IMAGE in message, message


CASES = [
    pythons_wordcount_reads_and_writes_the_machines_files,
    gos_default_environment_runs_in_its_image,
    what_is_written_outside_of_the_mounts_goes_with_the_container,
    a_container_is_kept_for_the_next_job,
    no_container_is_left_of_a_cancelled_job,
    no_container_is_left_of_a_daemon_that_is_told_to_end,
    no_container_is_left_when_a_killed_daemon_is_started_again,
    a_container_that_dies_is_replaced,
    an_image_that_is_not_there_fails_the_job_with_the_engines_words,
    an_image_that_is_there_is_fetched_only_when_that_is_asked_for,
]


def main():
  failed = 0
  for case in CASES:
    started = time.monotonic()
    try:
      case()
      print('passed  %s  (%.1f s)' % (case.__name__, time.monotonic() - started), flush=True)
    except Exception:  # pylint: disable=broad-except
      failed += 1
      print('FAILED  %s\n%s' % (case.__name__, traceback.format_exc()), flush=True)
  print('%d passed, %d failed, 0 skipped' % (len(CASES) - failed, failed), flush=True)
  # not by returning: clients of jobs that ended with their daemon still wait
  os._exit(1 if failed else 0)


if __name__ == '__main__':
  main()
