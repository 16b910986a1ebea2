"""booted.py DEB [CASE...]: the package's service in a system that systemd has booted, from installing it to purging it, and
what it promises meanwhile (docs/operations.md). As root, in a machine that is made for it (machine.sh). Closes with its
totals."""
import os
import pwd
import re
import signal
import stat
import subprocess
import sys
import time
import traceback

import in_worker
import pipelines
import service
from pipelines import Gate
from service import await_that, configure, drop_in, must, run, shown

DEB = sys.argv[1]
LIMIT = 400 << 20
LIMITED = [{'command': '*', 'memory': '%dB' % LIMIT, 'cpus': 0.75}]
APT = ('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', '-y')

# ---- as it is installed ----


def installing_starts_it():
  must(*APT, 'install', '--no-install-recommends', DEB)
  assert service.is_active()
  assert shown('StatusText') == 'Listening on 127.0.0.1:8099', shown('StatusText')
  assert must('systemctl', 'is-enabled', service.UNIT).strip() == 'enabled'


def it_runs_as_its_user_in_its_directories():
  user = pwd.getpwnam('trestle')
  assert os.stat('/proc/%d' % service.main_pid()).st_uid == user.pw_uid
  for folder in ('/var/lib/trestle', '/var/cache/trestle'):
    status = os.stat(folder)
    assert (status.st_uid, status.st_gid) == (user.pw_uid, user.pw_gid), (folder, status)
    assert stat.S_IMODE(status.st_mode) == 0o750, (folder, status)
  assert os.path.exists('/var/lib/trestle/catalogue.db')


def its_groups_are_its_own():
  group = service.group_of(service.main_pid())
  assert group == '/system.slice/trestle.service/daemon', group
  controllers = service.group_file(os.path.dirname(group), 'cgroup.subtree_control').split()
  assert {'memory', 'cpu'} <= set(controllers), controllers


def it_warns_of_nothing():
  worse = [entry['MESSAGE'] for entry in service.journal('--boot', '--priority=warning')]
  assert not worse, worse


def a_client_is_the_worker():
  pipelines.word_count(pipelines.LOOPBACK)


# ---- workers ----


def the_service_starts_workers():
  configure()
  service.begin()
  pipelines.word_count(pipelines.PROCESS)


def the_sandbox_leaves_common_things_alone():
  found = pipelines.call(in_worker.common_things)
  assert found.pop('machine code', 42) == 42, found
  assert found == {'thread': [1], 'pool': [1, 4, 9], 'shell': 'HELLO', 'files': ['x2'], 'nice': True, 'sockets': 'x'}, found


def workers_are_held_to_their_limits():
  configure(environments=LIMITED, retry={'worker_lost': 1})
  service.begin()
  found = pipelines.call(in_worker.sandbox)
  assert found['group'].startswith('/system.slice/trestle.service/worker-'), found
  assert found['limits'] == {'memory.max': str(LIMIT), 'cpu.max': '75000 100000', 'memory.oom.group': '1'}, found
  assert found['no_new_privileges'] == '1' and found['seccomp'] == '2' and int(found['capabilities'], 16) == 0, found


def a_worker_without_memory_ends_alone():
  pid = service.main_pid()
  try:
    pipelines.call(in_worker.allocate, 'glutton')
  except RuntimeError as e:
    assert 'memory' in str(e), e
  else:
    raise AssertionError('it had more than its limit')
  assert service.is_active() and service.main_pid() == pid
  left = [name for name in os.listdir(service.GROUPS + '/system.slice/trestle.service') if name.startswith('worker-')]
  assert not left, left


def isolated_workers_are_services():
  rule = '/etc/polkit-1/rules.d/10-trestle.rules'
  with open(rule, 'w', encoding='ascii') as f:
    f.write('polkit.addRule(function(action, subject) {\n'
            '  if (action.id == "org.freedesktop.systemd1.manage-units" && subject.user == "trestle") return polkit.Result.YES;\n'
            '});\n')
  must('systemctl', 'restart', 'polkit')
  try:
    configure(workers={'isolation': 'systemd'}, environments=LIMITED)
    service.begin()
    found = pipelines.call(in_worker.sandbox)
    assert found['uid'] == pwd.getpwnam('trestle').pw_uid, found
    assert found['group'].startswith('/system.slice/trestle-') and found['group'].endswith('.service'), found
    assert found['limits']['memory.max'] == str(LIMIT) and found['limits']['cpu.max'] == '75000 100000', found
    assert found['no_new_privileges'] == '0' and found['seccomp'] == '0', found
    await_that('the worker\'s service is gone', lambda: not run('systemctl', 'list-units', '--all', '--plain', '--no-legend',
                                                               'trestle-*.service').output.strip())
  finally:
    os.remove(rule)


# ---- the journal ----


def a_jobs_lines_are_found_in_the_journal():
  configure(log={'level': 'debug'})
  service.begin()
  gate = Gate('in-the-journal')
  gate.open()
  gate.result.wait_until_finish()
  lines = service.journal('TRESTLE_JOB=' + gate.job)
  assert lines
  for line in lines:
    assert line['SYSLOG_IDENTIFIER'] == 'trestle' and line['_SYSTEMD_UNIT'] == service.UNIT, line
    assert line['TRESTLE_COMPONENT'] and line['CODE_FILE'].endswith('.c') and int(line['CODE_LINE']) and line['CODE_FUNC'], line
    assert int(line['PRIORITY']) in (3, 4, 6, 7), line


# ---- systemctl ----


def reload_reads_the_configuration():
  pid = service.main_pid()
  configure(jobs={'max_running': 3})
  must('systemctl', 'reload', service.UNIT)
  await_that('it is said in the journal', lambda: service.in_journal('jobs.max_running'))
  await_that('it is active', service.is_active)
  assert service.main_pid() == pid


def reload_refuses_a_mistake():
  pid = service.main_pid()
  configure(jobs={'max_runing': 3})
  assert run('systemctl', 'reload', service.UNIT).status != 0
  assert service.is_active() and service.main_pid() == pid
  assert service.in_journal('did you mean jobs.max_running?')


def a_mistake_is_not_tried_again():
  configure(jobs={'max_runing': 3})
  assert run('systemctl', 'restart', service.UNIT).status != 0
  assert shown('ActiveState') == 'failed', shown('ActiveState')
  configure()
  service.begin()


def seconds_left():
  """What the daemon gives a job that runs while it shuts down; 0: it does not say so."""
  said = re.fullmatch(r'Shutting down: 1 jobs run and have (\d+) s left', shown('StatusText'))
  return int(said[1]) if said else 0


def stop_waits_for_jobs():
  configure(shutdown={'drain': '280s', 'unfinished': 'requeue'})
  # less than the drain: the daemon asks for more
  drop_in('TimeoutStopSec=5s\n')
  service.begin()
  gate = Gate('finishes')
  await_that('the job runs', gate.arrivals)
  with subprocess.Popen(['systemctl', 'stop', service.UNIT]) as stop:
    await_that('it waits for longer than TimeoutStopSec', lambda: 0 < seconds_left() < 270)
    gate.open()
    assert stop.wait(service.TIME_LIMIT) == 0
  assert shown('Result') == 'success', shown('Result')
  assert not service.processes(), service.processes()
  drop_in('')
  service.begin()
  assert service.jobs()[gate.job] == 'DONE', service.jobs()
  assert gate.arrivals() == 1


def what_is_unfinished_runs_after_the_next_start():
  configure(shutdown={'drain': '1s', 'unfinished': 'requeue'})
  service.begin()
  gate = Gate('later')
  await_that('the job runs', gate.arrivals)
  must('systemctl', 'stop', service.UNIT)
  assert shown('Result') == 'success', shown('Result')
  assert not service.processes(), service.processes()
  must('systemctl', 'start', service.UNIT)
  await_that('the job runs again', lambda: gate.arrivals() == 2)
  gate.open()
  await_that('the job is done', lambda: service.jobs()[gate.job] == 'DONE')


# ---- when it fails ----


def is_started_anew(after):
  """After what `after` does to the main process another one serves."""
  pid, restarts = service.main_pid(), int(shown('NRestarts'))
  after(pid)
  await_that('it is started anew', lambda: int(shown('NRestarts')) == restarts + 1 and service.is_active())
  assert service.main_pid() != pid


def a_crash_loses_no_job():
  configure()
  service.begin()
  before = service.jobs()
  gate = Gate('crashes')
  await_that('the job runs', gate.arrivals)
  is_started_anew(lambda pid: os.kill(pid, signal.SIGKILL))
  await_that('the job runs again', lambda: gate.arrivals() == 2)
  gate.open()
  await_that('the job is done', lambda: service.jobs()[gate.job] == 'DONE')
  after = service.jobs()
  assert all(after.get(job) == state for job, state in before.items()), (before, after)


def a_daemon_that_hangs_is_started_anew():
  configure()
  drop_in('WatchdogSec=10s\n')
  service.begin()
  gate = Gate('hangs')
  await_that('the job runs', gate.arrivals)
  is_started_anew(lambda pid: os.kill(pid, signal.SIGSTOP))
  gate.open()
  await_that('the job is done', lambda: service.jobs()[gate.job] == 'DONE')
  drop_in('')


def a_lost_launcher_is_a_failure():
  configure()
  service.begin()
  launcher = [pid for pid, command in service.processes() if pid != service.main_pid()]
  assert len(launcher) == 1, service.processes()
  is_started_anew(lambda _: os.kill(launcher[0], signal.SIGKILL))


# ---- drop-ins, the next version, the end ----


def the_drop_in_for_containers_starts():
  must('cp', '/usr/share/trestle/containers.conf', '/etc/systemd/system/trestle.service.d/')
  service.begin()
  pipelines.word_count(pipelines.PROCESS)
  os.remove('/etc/systemd/system/trestle.service.d/containers.conf')
  service.begin()


def its_exposure_is_ok():
  level = must('systemd-analyze', 'security', '--no-pager', service.UNIT).strip().splitlines()[-1]
  print('  ' + level)
  assert float(level.split()[-3]) < 5, level


def installing_it_again_restarts_it():
  pid, before = service.main_pid(), service.jobs()
  must(*APT, 'install', '--reinstall', '--no-install-recommends', DEB)
  assert service.is_active() and service.main_pid() != pid
  assert service.jobs() == before


def removing_ends_it_and_purging_leaves_nothing():
  must(*APT, 'remove', 'trestle')
  assert not service.processes(), service.processes()
  assert os.path.exists('/var/lib/trestle/catalogue.db')
  must(*APT, 'purge', 'trestle')
  left = [path for path in ('/var/lib/trestle', '/var/cache/trestle', '/etc/trestle') if os.path.exists(path)]
  assert not left, left


CASES = [
    installing_starts_it,
    it_runs_as_its_user_in_its_directories,
    its_groups_are_its_own,
    a_client_is_the_worker,
    it_warns_of_nothing,
    the_service_starts_workers,
    the_sandbox_leaves_common_things_alone,
    workers_are_held_to_their_limits,
    a_worker_without_memory_ends_alone,
    isolated_workers_are_services,
    a_jobs_lines_are_found_in_the_journal,
    reload_reads_the_configuration,
    reload_refuses_a_mistake,
    a_mistake_is_not_tried_again,
    stop_waits_for_jobs,
    what_is_unfinished_runs_after_the_next_start,
    a_crash_loses_no_job,
    a_daemon_that_hangs_is_started_anew,
    a_lost_launcher_is_a_failure,
    the_drop_in_for_containers_starts,
    its_exposure_is_ok,
    installing_it_again_restarts_it,
    removing_ends_it_and_purging_leaves_nothing,
]


def main():
  wanted = sys.argv[2:]
  # all others need an installed package
  cases = [case for case in CASES if not wanted or case is installing_starts_it or case.__name__ in wanted]
  failed = 0
  for case in cases:
    started = time.monotonic()
    try:
      case()
      print('%s: %.0f s' % (case.__name__, time.monotonic() - started), flush=True)
    except Exception:  # pylint: disable=broad-except
      failed += 1
      print('FAILED  %s: %s' % (case.__name__, traceback.format_exc().strip()), flush=True)
      print(run('journalctl', '--boot', '--no-pager', '--lines=20', '--unit=' + service.UNIT).output, flush=True)
  print('%d passed, %d failed, 0 skipped' % (len(cases) - failed, failed), flush=True)


if __name__ == '__main__':
  main()
