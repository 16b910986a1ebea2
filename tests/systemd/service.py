"""What of the service can be seen by systemctl, the journal, /proc and control groups, and how it is changed."""
import collections
import json
import os
import pwd
import subprocess
import time

UNIT = 'trestle.service'
CONFIG = '/etc/trestle/trestle.yaml'
GROUPS = '/sys/fs/cgroup'
# The machine may be emulated, and is slow then.
TIME_LIMIT = 300

Ended = collections.namedtuple('Ended', ['status', 'output'])


def run(*command):
  done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                        timeout=TIME_LIMIT, check=False)
  return Ended(done.returncode, done.stdout)


def must(*command):
  done = run(*command)
  assert done.status == 0, '%s: status %d: %s' % (' '.join(command), done.status, done.output)
  return done.output


def await_that(what, condition):
  until = time.monotonic() + TIME_LIMIT
  while not condition():
    assert time.monotonic() < until, 'after %d s not yet: %s; %s' % (TIME_LIMIT, what, run('systemctl', 'status', UNIT).output)
    time.sleep(0.1)


def shown(name, unit=UNIT):
  return must('systemctl', 'show', '--property=' + name, '--value', unit).strip()


def main_pid():
  return int(shown('MainPID'))


def is_active():
  return shown('ActiveState') == 'active'


def begin():
  """An active service with the configuration and the drop-ins that there are, whatever was before."""
  must('systemctl', 'daemon-reload')
  run('systemctl', 'reset-failed', UNIT)
  must('systemctl', 'restart', UNIT)
  assert is_active()


def configure(**settings):
  """What is said of a section adds to what tests want of it."""
  config = {'log': {'format': 'journal'}, 'worker_connect_timeout': '300s', 'workers': {'per_environment': 1, 'keep_warm': '0s'}}
  for section, values in settings.items():
    if isinstance(values, dict):
      config.setdefault(section, {}).update(values)
    else:
      config[section] = values
  with open(CONFIG, 'w', encoding='utf-8') as f:
    json.dump(config, f)


def drop_in(text):
  """Replaces the test's drop-in; an empty text: there is none."""
  folder = '/etc/systemd/system/%s.d' % UNIT
  os.makedirs(folder, exist_ok=True)
  with open(folder + '/test.conf', 'w', encoding='utf-8') as f:
    f.write(text and '[Service]\n' + text)


def group_of(pid):
  """Its control group's path below the root's."""
  with open('/proc/%s/cgroup' % pid, encoding='ascii') as f:
    return f.read().strip().partition('0::')[2]


def group_file(group, name):
  with open(GROUPS + group + '/' + name, encoding='ascii') as f:
    return f.read().strip()


def processes():
  """(pid, command line) of all that the service's user runs."""
  uid, found = pwd.getpwnam('trestle').pw_uid, []
  for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
      if os.stat('/proc/' + pid).st_uid == uid:
        with open('/proc/%s/cmdline' % pid, encoding='utf-8', errors='replace') as f:
          found.append((int(pid), f.read().replace('\0', ' ')))
    except (FileNotFoundError, ProcessLookupError):
      pass
  return found


def journal(*matches):
  lines = must('journalctl', '--output=json', '--unit=' + UNIT, *matches).splitlines()
  return [json.loads(line) for line in lines if line.startswith('{')]


def in_journal(text):
  return any(text in str(entry.get('MESSAGE')) for entry in journal('--boot'))


def jobs():
  """State by id, as the command line tells it."""
  return {job['id']: job['state'] for job in json.loads(must('trestle', 'jobs', '--all', '--json'))['jobs']}
