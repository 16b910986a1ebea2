#!/usr/bin/env python3
"""Each command of `trestle` against a daemon of its own, for people and as JSON, with the exit codes that scripts go by.

  test_cli.py TRESTLE MANUAL_PAGE PROTO_DIRECTORY

Pipelines are made by protoc from protobuf's text format, so no SDK is needed; their workers are processes that fail, or never connect. What a shell
completes is asked of the shells that are installed.
"""
import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import unittest

import pipeline_file
import running
from running import DEADLINE_S, Daemon, run, wait_until

TRESTLE = MANUAL = PROTOS = None


class Commands(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    cls.daemon = Daemon()
    os.environ['TRESTLE_ENDPOINT'] = cls.daemon.endpoint
    try:
      cls.pipelines = {name: cls.make_pipeline(name, command)
                       for name, command in (('impulse', None), ('fails', '/bin/false'), ('hangs', cls.write_hanging_worker()))}
      cls.done = run('submit', '--wait', cls.pipelines['impulse'], check=0)[1].split(':')[0]
      cls.failed = run('submit', '--wait', cls.pipelines['fails'], check=3)[1].split(':')[0]
    except BaseException:
      cls.tearDownClass()
      raise

  @classmethod
  def tearDownClass(cls):
    os.environ.pop('TRESTLE_ENDPOINT', None)
    code = cls.daemon.stop()
    assert code == 0, f'the daemon ended with {code}'

  @classmethod
  def write_hanging_worker(cls):
    path = os.path.join(cls.daemon.directory, 'hanging-worker')
    with open(path, 'w') as file:
      file.write('#!/bin/sh\nexec sleep 1000\n')
    os.chmod(path, 0o755)
    return path

  @classmethod
  def make_pipeline(cls, name, command):
    path = os.path.join(cls.daemon.directory, name + '.pb')
    pipeline_file.write(PROTOS, path, command)
    return path

  def hang(self):
    """A job that runs until it is ended."""
    job = run('submit', self.pipelines['hangs'], '--name', 'hangs', check=0)[1].strip()
    self.addCleanup(run, 'cancel', job)
    wait_until(lambda: json.loads(run('show', job, '--json', check=0)[1])['summary']['state'] == 'RUNNING', 'the job runs')
    return job

  # ---- submit, jobs

  def test_submit_prints_the_id_and_waits_for_the_end(self):
    self.assertRegex(self.done, r'^\S+$')
    state = json.loads(run('submit', '--json', '--wait', self.pipelines['impulse'], '-o', 'priority=1', check=0)[1])
    self.assertEqual(state['state'], 'DONE')
    with open(self.pipelines['impulse'], 'rb') as file:
      done = subprocess.run([TRESTLE, 'submit', '-', '--name', 'piped', '--wait'], stdin=file, capture_output=True, text=True)
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn('piped', done.stdout)

  def test_submit_says_why_the_job_failed(self):
    code, out, err = run('submit', '--wait', self.pipelines['fails'], check=3)
    self.assertIn('FAILED', out)
    self.assertIn('ended in FAILED: ', err)

  def test_submit_refuses_what_is_no_pipeline(self):
    for text, reason in (('', 'is empty'), ('{"components": {}}', 'looks like JSON')):
      path = os.path.join(self.daemon.directory, 'wrong')
      with open(path, 'w') as file:
        file.write(text)
      self.assertIn(reason, run('submit', path, check=2)[2])
    self.assertIn('cannot read', run('submit', '/no/such/file', check=2)[2])
    self.assertIn('NAME=VALUE', run('submit', self.pipelines['impulse'], '-o', 'x', check=2)[2])
    self.assertEqual(run('submit', '-', input='no proto')[0], 1)

  def test_jobs_lists_the_newest_first(self):
    lines = run('jobs', '--all', check=0)[1].splitlines()
    self.assertRegex(lines[0], r'^JOB +NAME +STATE')
    self.assertTrue(any(re.search(rf'{self.failed} .*FAILED', line) for line in lines))
    ids = run('jobs', '-q', '--all', check=0)[1].split()
    self.assertLess(ids.index(self.failed), ids.index(self.done))
    listed = json.loads(run('jobs', '--json', '--state', 'failed', check=0)[1])
    self.assertEqual({job['state'] for job in listed['jobs']}, {'FAILED'})
    limited = json.loads(run('jobs', '--json', '--limit', '1', check=0)[1])
    self.assertEqual((len(limited['jobs']), limited['has_more']), (1, True))
    self.assertIn('is not a job', run('jobs', '--state', 'lost', check=2)[2])
    self.assertIn('not a number', run('jobs', '--limit', '0', check=2)[2])

  # ---- show, logs, metrics, graph

  def test_show_has_the_error(self):
    out = run('show', self.failed, check=0)[1]
    self.assertIn('FAILED', out)
    self.assertRegex(out, r'\n  Error +\S')
    self.assertIn('\nError\n', out)
    self.assertIn('stopped', out)
    self.assertNotIn('running', out)
    detail = json.loads(run('show', self.failed, '--json', check=0)[1])
    self.assertEqual(detail['summary']['id'], self.failed)
    self.assertTrue(detail['error'])

  def test_a_job_is_found_by_a_part_of_its_id(self):
    suffix, prefix = self.failed[-12:], self.failed[:-2]
    for word in (suffix, prefix):
      self.assertEqual(json.loads(run('show', word, '--json', check=0)[1])['summary']['id'], self.failed)
    run('show', 'latest', check=0)
    self.assertIn('fits', run('show', self.done[:4], check=1)[2])
    for command in ('show', 'logs', 'metrics', 'graph', 'drain', 'cancel'):
      self.assertIn('there is no job', run(command, 'no-such-job', check=4)[2])

  def test_show_follows_to_the_end(self):
    job = self.hang()
    follower = subprocess.Popen([TRESTLE, 'show', '-f', '--json', job], stdout=subprocess.PIPE, text=True)
    run('cancel', job, '--wait', check=0)
    out, _ = follower.communicate(timeout=DEADLINE_S)
    self.assertEqual(follower.returncode, 0)
    self.assertEqual(json.loads(out)['summary']['state'], 'CANCELLED')

  def test_logs_by_level_and_text(self):
    errors = [json.loads(line) for line in run('logs', self.failed, '--level', 'error', '--json', check=0)[1].splitlines()]
    self.assertTrue(any(message['importance'] == 'ERROR' for message in errors))
    self.assertIn('the job is FAILED', run('logs', self.failed, check=0)[1])
    self.assertEqual(run('logs', self.failed, '--contains', 'never said', '--level', 'debug', check=0)[1].count('ERROR'), 0)
    self.assertEqual(len(run('logs', self.failed, '-n', '1', '--json', check=0)[1].splitlines()), 1)
    self.assertIn('is not one of', run('logs', self.failed, '--level', 'loud', check=2)[2])

  def test_logs_follow_until_the_end(self):
    job = self.hang()
    follower = subprocess.Popen([TRESTLE, 'logs', '-f', job], stdout=subprocess.PIPE, text=True)
    line = follower.stdout.readline()  # it follows by now
    run('cancel', job, check=0)
    out, _ = follower.communicate(timeout=DEADLINE_S)
    self.assertEqual(follower.returncode, 0)
    self.assertIn('the job is CANCELLED', line + out)

  def test_stacks_are_of_workers_that_have_bundles(self):
    self.assertIn('the job is FAILED', run('stacks', self.failed, check=1)[2])
    self.assertIn('there is no job', run('stacks', 'no-such-job', check=4)[2])
    job = self.hang()
    self.assertIn('has no worker 7-7', run('stacks', job, '--worker', '7-7', check=4)[2])
    self.assertIn('worker 0-0: starting, without a bundle\n  no stacks: ', run('stacks', job, '--worker', '0-0', check=1)[1])

  def test_metrics_and_graph(self):
    run('metrics', self.done, check=0)
    self.assertIn('metrics', json.loads(run('metrics', self.done, '--json', check=0)[1]))
    self.assertIn('o 0 ', run('graph', self.failed, check=0)[1])
    self.assertRegex(run('graph', self.failed, '--dot', check=0)[1], r'^digraph stages \{\n(.*\n)*\}\n$')
    graph = json.loads(run('graph', self.failed, '--json', check=0)[1])
    self.assertEqual(len(graph['stages']), 2)

  # ---- ends

  def test_cancel_and_drain(self):
    job = self.hang()
    self.assertIn(json.loads(run('cancel', job, '--wait', '--json', check=0)[1])['state'], ('CANCELLED',))
    self.assertIn("the job was cancelled at a client's request", run('logs', job, '--level', 'warning', check=0)[1])
    # no error: Java's client would throw where it waits for the job's end
    self.assertFalse(json.loads(run('show', job, '--json', check=0)[1]).get('error'))
    self.assertEqual(run('drain', job)[0], 1)
    self.assertEqual(run('cancel', self.done)[0], 3)

  # ---- nobody there, wrong words

  def test_exit_codes_say_what_is_wrong(self):
    for words in (('jobs',), ('show', 'x'), ('logs', 'x', '-f'), ('cancel', 'x'), ('submit', self.pipelines['impulse'])):
      code, out, err = run(*words, '--endpoint', '127.0.0.1:1')
      self.assertEqual((code, out), (5, ''))
      self.assertIn('no server answers at 127.0.0.1:1', err)
    self.assertEqual(run()[0], 2)
    self.assertIn('did you mean: trestle show', run('shwo', check=2)[2])
    self.assertIn('did you mean --json', run('jobs', '--jsno', check=2)[2])
    self.assertIn('needs a JOB', run('show', check=2)[2])
    self.assertIn('is not an address', run('jobs', '--endpoint', 'here', check=2)[2])

  def test_an_error_does_not_write_on_the_terminal(self):
    self.assertIn('"\\x1b[31mred" is not an address', run('jobs', '--endpoint', '\033[31mred', check=2)[2])

  def test_every_command_has_help(self):
    commands = re.findall(r'^  trestle ([a-z]+)', run('help', check=0)[1], re.M)
    self.assertIn('doctor', commands)
    for command in commands:
      if command != 'help':
        self.assertEqual(run('help', command, check=0)[1], run(command, '--help', check=0)[1])

  # ---- doctor

  def test_doctor_finds_the_daemon_and_dials_what_is_advertised(self):
    report = json.loads(run('doctor', '--json')[1])
    found = {(check['area'], check['level']) for check in report['checks']}
    self.assertTrue({'containers', 'python', 'java', 'node', 'disk', 'limits', 'memory', 'clock', 'address'} <= {area for area, _ in found})
    self.assertIn(f'a Trestle serves at {self.daemon.endpoint}', ' '.join(check['text'] for check in report['checks']))
    self.daemon_config = os.path.join(self.daemon.directory, 'advertised.yaml')
    with open(self.daemon_config, 'w') as file:
      file.write('advertise: {container: "127.0.0.1:1"}\nstate_dir: /proc/nowhere\n')
    code, out, err = run('doctor', '--config', self.daemon_config)
    self.assertEqual(code, 1)
    self.assertIn('workers in containers are told 127.0.0.1:1, where no Trestle answers', out)
    self.assertIn('-> set advertise.container', out)
    self.assertRegex(out, r'disk +fail .*/proc')

  # ---- terminals

  def on_terminal(self, *words, env=None, columns=60):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    process = subprocess.Popen([TRESTLE, *words], stdin=slave, stdout=slave, stderr=slave, env={**os.environ, 'TERM': 'xterm', **(env or {})})
    os.close(slave)
    text = b''
    with contextlib.suppress(OSError):  # the terminal is gone with its last user
      while chunk := os.read(master, 4096):
        text += chunk
    os.close(master)
    return process.wait(DEADLINE_S), text.decode()

  def test_a_terminal_has_colour_and_a_width(self):
    code, out = self.on_terminal('jobs')
    self.assertIn('\033[31m', out)
    plain = re.sub(r'\033\[[0-9;]*m', '', out)
    code, out = self.on_terminal('jobs', env={'NO_COLOR': '1'}, columns=200)
    self.assertNotIn('\033', out)
    self.assertNotIn('\033', run('jobs', check=0)[1])
    self.assertLess(max(map(len, plain.splitlines())), max(map(len, out.splitlines())))

  def test_waiting_on_a_terminal_is_shown_in_place(self):
    code, out = self.on_terminal('submit', '--wait', self.pipelines['fails'], columns=100)
    self.assertEqual(code, 3)
    self.assertIn('FAILED', out)

  # ---- completion, manual

  def test_bash_completes_commands_flags_values_and_jobs(self):
    if not shutil.which('bash'):
      self.skipTest('no bash')
    def complete(*words):
      script = f'''
        set -eu
        source <("$1" completion bash)
        trestle() {{ "{TRESTLE}" "$@"; }}
        compopt() {{ echo FILES; }}
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _trestle
        printf '%s\\n' "${{COMPREPLY[@]}}"
      '''
      return subprocess.run(['bash', '-c', script, 'bash', TRESTLE, 'trestle', *words], capture_output=True, text=True, check=True).stdout.split()
    self.assertEqual(complete('sho'), ['show'])
    self.assertIn('--level', complete('logs', '--'))
    self.assertEqual(complete('logs', '--level', 'w'), ['warning'])
    self.assertEqual(complete('logs', '--level', '=', 'w'), ['warning'])
    self.assertIn(self.failed, complete('show', ''))
    self.assertEqual(complete('show', self.failed[:-3]), [self.failed])
    self.assertEqual(complete('serve', '--config', ''), ['FILES'])
    self.assertEqual(complete('submit', ''), ['FILES'])
    self.assertEqual(complete('jobs', '--tls-ca', ''), ['FILES'])
    self.assertEqual(complete('completion', 'z'), ['zsh'])

  def test_the_other_shells_take_their_completions(self):
    for shell in ('zsh', 'fish', 'bash'):
      text = run('completion', shell, check=0)[1]
      self.assertIn('doctor', text)
      if shutil.which(shell):
        checked = subprocess.run([shell, '-n'], input=text, capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, ''), shell)
    if shutil.which('fish'):
      script = f'source (env -- "{TRESTLE}" completion fish | psub); complete -C "trestle logs --lev"'
      self.assertIn('--level', subprocess.run(['fish', '-c', script], capture_output=True, text=True).stdout)
    self.assertIn('bash, zsh and fish', run('completion', 'csh', check=2)[2])

  def test_the_manual_page_has_every_command_and_flag(self):
    with open(MANUAL) as file:
      page = file.read().replace('\\-', '-')
    self.assertNotIn('@COMMANDS@', page)
    for command in re.findall(r'^  trestle ([a-z]+)', run('help', check=0)[1], re.M):
      if command == 'help':
        continue
      self.assertIn(f'.Ss trestle {command}', page)
      for flag in re.findall(r'--[a-z-]+', run('help', command, check=0)[1].partition('Flags:')[2]):
        self.assertIn(f'Fl {flag[1:]}', page)
    if shutil.which('man'):
      shown = subprocess.run(['man', '--warnings', '-E', 'UTF-8', '-l', MANUAL], capture_output=True, text=True, env={**os.environ, 'MANWIDTH': '80'})
      self.assertEqual((shown.returncode, shown.stderr), (0, ''))
      self.assertIn('EXIT STATUS', shown.stdout)
    if shutil.which('mandoc'):
      lint = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', MANUAL], capture_output=True, text=True)
      self.assertEqual((lint.returncode, lint.stdout + lint.stderr), (0, ''))


class Configuration(unittest.TestCase):

  def test_check_config_tells_all_mistakes(self):
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
      file.write('workers:\n  slost: 2\nretry: {worker_lost: 0}\n')
      file.flush()
      err = run('serve', '--check-config', '--config', file.name, check=2)[2]
      self.assertIn(f'{file.name}:2: workers.slost: unknown key; did you mean workers.slots?', err)
      self.assertIn(f'{file.name}:3: retry.worker_lost: 0 is out of range', err)
      file.seek(0)
      file.truncate()
      file.write('workers: {slots: 2}\n')
      file.flush()
      self.assertIn('fine', run('serve', '--check-config', '--config', file.name, check=0)[1])

  def test_check_config_reads_what_it_names(self):
    with tempfile.TemporaryDirectory() as home:
      tokens, config = os.path.join(home, 'tokens'), os.path.join(home, 'config')
      for path, text in ((tokens, 'alice\n'), (config, f'auth: {{tokens_file: {tokens}}}\n')):
        with open(path, 'w') as file:
          file.write(text)
      self.assertIn(f'auth.tokens_file: {tokens}:1: not a line', run('serve', '--check-config', '--config', config, check=2)[2])
      os.truncate(tokens, 0)
      run('serve', '--check-config', '--config', config, check=0)

  def test_sighup_puts_what_it_can_in_force(self):
    daemon = Daemon()
    try:
      for text, expected in (
          ('log: {level: debug}\nmemory: {total: 1GiB}\n', ['from now on: log.level', 'waits for a restart: memory.total']),
          ('retry: {worker_lots: 2}\n', ['is not reloaded', 'did you mean retry.worker_lost']),
          ('', ['from now on: log.level']),
          ('', ['the configuration is as it was'])):
        before = len(daemon.log_text())
        daemon.write_config(text)
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: all(line in daemon.log_text()[before:] for line in expected), f'the log says {expected}')
      self.assertIsNone(daemon.process.poll())
    finally:
      self.assertEqual(daemon.stop(), 0)


if __name__ == '__main__':
  TRESTLE, MANUAL, PROTOS = map(os.path.abspath, sys.argv[1:4])
  running.TRESTLE = TRESTLE
  os.environ.pop('NO_COLOR', None)
  os.environ['PATH'] = os.path.dirname(TRESTLE) + ':' + os.environ['PATH']
  running.main(sys.argv[4:])
