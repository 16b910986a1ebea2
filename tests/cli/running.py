"""The program under test, run: its commands, and daemons for them to ask."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

TRESTLE = None  # the program's path; set it before anything else
DEADLINE_S = 60


def run(*words, env=None, check=None, input=None):
  """(exit code, standard output, standard error)"""
  done = subprocess.run([TRESTLE, *words], capture_output=True, text=True, timeout=DEADLINE_S, input=input,
                        env={**os.environ, 'TZ': 'UTC', 'LC_ALL': 'C.UTF-8', **(env or {})})
  if check is not None and done.returncode != check:
    raise AssertionError(f'{words}: exit code {done.returncode}, not {check}\n{done.stdout}{done.stderr}')
  return done.returncode, done.stdout, done.stderr


def wait_until(condition, what):
  """The daemon says nothing by itself to those who only ask it; so ask again, up to the deadline."""
  end = time.monotonic() + DEADLINE_S
  while not condition():
    if time.monotonic() > end:
      raise AssertionError('it never came that ' + what)
    time.sleep(0.02)


class Daemon:
  """`trestle serve` on the system's ports, with directories of its own. `before`: words in front of it, where {} is its directory."""

  def __init__(self, *words, config='', before=()):
    self.directory = tempfile.mkdtemp(prefix='trestle-cli-')
    self.config = os.path.join(self.directory, 'trestle.yaml')
    self.write_config(config)
    self.log = open(os.path.join(self.directory, 'log'), 'w+')
    self.process = subprocess.Popen(
        [*(word.format(self.directory) for word in before), TRESTLE, 'serve', '--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', '--state-dir', self.directory + '/state',
         '--cache-dir', self.directory + '/cache', '--config', self.config, *words],
        stdout=subprocess.PIPE, stderr=self.log, text=True)
    line = self.process.stdout.readline()
    self.endpoint = line.removeprefix('listening on ').strip()
    if not self.endpoint:
      text = self.log_text()
      self.stop()
      raise AssertionError('the daemon did not start: ' + text)

  def write_config(self, text):
    with open(self.config, 'w') as file:
      file.write(text)

  def log_text(self):
    with open(self.log.name) as file:
      return file.read()

  def stop(self):
    self.process.terminate()
    try:
      code = self.process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
      self.process.kill()
      code = self.process.wait()
    self.process.stdout.close()
    self.log.close()
    shutil.rmtree(self.directory, ignore_errors=True)
    return code


def main(words):
  """Runs the tests of the main module, and exits."""
  result = unittest.main(argv=[sys.argv[0], '-v', *words], exit=False).result
  print(f'100%: Checks: {result.testsRun}, Failures: {len(result.failures)}, Errors: {len(result.errors)}')
  sys.exit(not result.wasSuccessful())
