"""native.py HOST:PORT EMPTY_HOST:PORT CONTAINERS_HOST:PORT SCRATCH: pipelines in the environment that the SDK asks for when it is told nothing. Closes with its totals."""
import collections
import glob
import logging
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

ENDPOINT = sys.argv[1]
# a daemon whose cache, in SCRATCH/cache, is empty
EMPTY = sys.argv[2]
# a daemon with a container engine that writes into SCRATCH/engine.log what it is asked for
CONTAINERS = sys.argv[3]
SCRATCH = sys.argv[4]


class Messages(logging.Handler):
  """The job's messages, which the SDK's client logs."""
  def __init__(self):
    super().__init__(logging.DEBUG)
    self.lines = []

  def emit(self, record):
    self.lines.append(record.getMessage())

  def __enter__(self):
    logging.getLogger().addHandler(self)
    return self

  def __exit__(self, *unused):
    logging.getLogger().removeHandler(self)

  def find(self, text):
    return [line for line in self.lines if text in line]


def submit(make, *arguments, endpoint=ENDPOINT):
  pipeline = beam.Pipeline(options=PipelineOptions(['--runner=PortableRunner', '--job_endpoint=' + endpoint] +
                                                   list(arguments)))
  make(pipeline)
  pipeline.run().wait_until_finish()


def wordcount(output, *arguments):
  source = os.path.join(SCRATCH, 'in.txt')
  with open(source, 'w') as f:
    f.write('to be or not to be\n' * 500)
  subprocess.run([
      sys.executable, '-m', 'apache_beam.examples.wordcount', '--input', source, '--output', output,
      '--runner=PortableRunner', '--job_endpoint=' + ENDPOINT
  ] + list(arguments), check=True, stdout=sys.stderr)
  counts = collections.Counter()
  for path in glob.glob(output + '-*'):
    with open(path) as f:
      counts.update({word: int(count) for word, count in (line.split(': ') for line in f)})
  return counts


def wordcount_runs_with_nothing_but_the_endpoint():
  counts = wordcount(os.path.join(SCRATCH, 'counts'))
  assert counts == {'to': 1000, 'be': 1000, 'or': 500, 'not': 500}, counts


def the_job_says_which_way_was_taken_and_why():
  with Messages() as messages:
    submit(lambda p: p | beam.Create([1]) | beam.Map(print))
  assert messages.find('runs natively, without the image apache/beam_python'), messages.lines
  assert messages.find('no container engine is configured (containers.cli)'), messages.lines


def write_package(folder, name, value):
  """A package of one module, and its archive for --extra_package."""
  os.makedirs(folder)
  with open(os.path.join(folder, name + '.py'), 'w') as f:
    f.write('VALUE = %r\n' % value)
  with open(os.path.join(folder, 'setup.py'), 'w') as f:
    f.write('import setuptools\nsetuptools.setup(name=%r, version="1", py_modules=[%r])\n' % (name, name))


def pack(folder):
  subprocess.run([sys.executable, 'setup.py', '-q', 'sdist'], cwd=folder, check=True, stdout=sys.stderr,
                 stderr=sys.stderr)
  return glob.glob(os.path.join(folder, 'dist', '*.tar.gz'))[0]


class Import(beam.DoFn):
  """Writes what the named modules hold where the test reads it."""
  def __init__(self, path, modules):
    self.path = path
    self.modules = modules

  def process(self, element):
    import importlib
    with open(self.path, 'a') as f:
      f.write('%r\n' % [importlib.import_module(module).VALUE for module in self.modules])


def imported(modules, *arguments, endpoint=ENDPOINT):
  path = os.path.join(SCRATCH, 'imported-' + '-'.join(modules))
  submit(lambda p: p | beam.Create([1]) | beam.ParDo(Import(path, modules)), *arguments, endpoint=endpoint)
  with open(path) as f:
    return f.read()


def what_is_staged_is_installed():
  extra, setup = os.path.join(SCRATCH, 'extra'), os.path.join(SCRATCH, 'setup')
  write_package(extra, 'trestle_extra', 'an extra package')
  write_package(setup, 'trestle_setup', 'the setup.py of the pipeline')
  requirements = os.path.join(SCRATCH, 'requirements.txt')
  with open(requirements, 'w') as f:
    f.write('sortedcontainers==2.4.0\n')
  seen = imported(['trestle_extra', 'trestle_setup'], '--extra_package=' + pack(extra),
                  '--setup_file=' + os.path.join(setup, 'setup.py'), '--requirements_file=' + requirements,
                  '--requirements_cache=skip')
  assert seen == "['an extra package', 'the setup.py of the pipeline']\n", seen


def jobs_that_need_the_same_environment_wait_for_one_build():
  folder = os.path.join(SCRATCH, 'shared')
  write_package(folder, 'trestle_shared', os.urandom(8).hex())
  archive, failures = pack(folder), []

  def run(number):
    try:
      submit(lambda p: p | beam.Create([number]) | beam.Map(check_shared), '--extra_package=' + archive)
    except Exception:  # pylint: disable=broad-except
      failures.append(traceback.format_exc())

  threads = [threading.Thread(target=run, args=(number, )) for number in range(2)]
  with Messages() as messages:
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
  assert not failures, failures
  assert len(messages.find('installing what was staged')) == 1, messages.find('environment')


def check_shared(element):
  import trestle_shared
  assert trestle_shared.VALUE
  return element


def the_main_session_is_there():
  script = os.path.join(SCRATCH, 'session.py')
  path = os.path.join(SCRATCH, 'session')
  with open(script, 'w') as f:
    f.write(textwrap.dedent('''
        import sys
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        GREETING = 'from the main session'
        def write(path):
          with open(path, 'w') as f:
            f.write(GREETING)
        if __name__ == '__main__':
          with beam.Pipeline(options=PipelineOptions(sys.argv[2:])) as p:
            p | beam.Create([sys.argv[1]]) | beam.Map(lambda path: write(path))
        '''))
  subprocess.run([sys.executable, script, path, '--runner=PortableRunner', '--job_endpoint=' + ENDPOINT,
                  '--save_main_session', '--pickle_library=cloudpickle'], check=True, stdout=sys.stderr)
  with open(path) as f:
    assert f.read() == 'from the main session'


def fails(*arguments, endpoint=ENDPOINT):
  try:
    submit(lambda p: p | beam.Create([1]) | beam.Map(print), *arguments, endpoint=endpoint)
  except Exception as e:  # pylint: disable=broad-except
    return str(e)
  raise AssertionError('it ran')


def a_build_that_fails_tells_why_and_leaves_nothing():
  why = fails('--environment_config=apache/beam_python%d.%d_sdk:2.999.0' % sys.version_info[:2], endpoint=EMPTY)
  assert 'No matching distribution found for apache-beam==2.999.0' in why, why
  left = glob.glob(os.path.join(SCRATCH, 'cache', 'native', 'python', '*'))
  assert not left, left


def a_missing_interpreter_is_named_and_where_it_was_looked_for():
  why = fails('--environment_config=apache/beam_python3.2_sdk:2.77.0')
  assert 'Python 3.2' in why and '/usr/bin' in why and 'native.search_path' in why, why


def a_custom_image_is_refused_with_what_to_do():
  why = fails('--environment_config=company/image:1')
  assert 'company/image:1' in why and 'containers.cli' in why and '`environments`' in why, why


def with_an_engine_the_image_runs_in_a_container():
  for image, run in (('company/image:1', 'company/image:1'), ('company/mapped:7', 'company/image:2')):
    with Messages() as messages:
      submit(lambda p: p | beam.Create([1]) | beam.Map(print), '--environment_config=' + image, endpoint=CONTAINERS)
    assert messages.find('runs in a container of ' + run), messages.lines
    with open(os.path.join(SCRATCH, 'engine.log')) as f:
      runs = [line for line in f if line.startswith('run ')]
    assert ' --volume=%s:%s ' % (SCRATCH, SCRATCH) in runs[-1] and ' %s --id=' % run in runs[-1], runs


def what_limits_a_container_is_the_engine_s_business():
  submit(lambda p: p | beam.Create([1]) | beam.Map(print), '--environment_config=company/mapped:8', endpoint=CONTAINERS)
  with open(os.path.join(SCRATCH, 'engine.log')) as f:
    run = [line for line in f if line.startswith('run ')][-1]
  for option in ('--memory=2147483648b', '--cpus=1.500', '--env=TZ=UTC'):
    assert ' %s ' % option in run, run


def a_path_that_goes_with_its_container_is_warned_of():
  inside = os.path.join(SCRATCH, 'written')
  with tempfile.TemporaryDirectory() as outside, Messages() as messages:
    for path in (inside, os.path.join(outside, 'written')):
      submit(lambda p, path=path: p | beam.Create(['x']) | beam.io.WriteToText(path),
             '--environment_config=company/image:1', endpoint=CONTAINERS)
    warnings = messages.find('containers.mounts')
    assert len(warnings) == 1 and outside in warnings[0], warnings


def first_bundles(*arguments, endpoint):
  """Of two jobs, one after the other: what each says of how long it took to its first bundle."""
  logging.getLogger().setLevel(logging.DEBUG)
  try:
    with Messages() as messages:
      for _ in range(2):
        submit(lambda p: p | beam.Create([1]) | beam.Map(print), '--trestle_workers=1', *arguments, endpoint=endpoint)
  finally:
    logging.getLogger().setLevel(logging.INFO)
  lines = messages.find('its first bundle began')
  assert len(lines) == 2 and lines[1].endswith('on a warm worker'), lines
  return [float(line.split(' began ')[1].split()[0]) for line in lines]


def a_second_job_begins_at_once():
  for way, seconds in (('natively', first_bundles(endpoint=ENDPOINT)),
                       ('in a container', first_bundles('--environment_config=company/image:9', endpoint=CONTAINERS))):
    print('  %s: %.3f s from Run to the first bundle, then %.3f s' % (way, *seconds))
    assert seconds[1] < 0.3, (way, seconds)


def main():
  logging.getLogger().setLevel(logging.INFO)
  passed = failed = 0
  for case in (wordcount_runs_with_nothing_but_the_endpoint, the_job_says_which_way_was_taken_and_why,
               what_is_staged_is_installed, jobs_that_need_the_same_environment_wait_for_one_build,
               the_main_session_is_there, a_build_that_fails_tells_why_and_leaves_nothing,
               a_missing_interpreter_is_named_and_where_it_was_looked_for, a_custom_image_is_refused_with_what_to_do,
               with_an_engine_the_image_runs_in_a_container, what_limits_a_container_is_the_engine_s_business,
               a_path_that_goes_with_its_container_is_warned_of,
               a_second_job_begins_at_once):
    try:
      case()
      passed += 1
    except Exception:  # pylint: disable=broad-except
      failed += 1
      print('FAILED  %s: %s' % (case.__name__, traceback.format_exc()))
  print('%d passed, %d failed, 0 skipped' % (passed, failed))
  sys.exit(1 if failed else 0)


if __name__ == '__main__':
  main()
