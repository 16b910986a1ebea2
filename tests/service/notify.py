"""Plays the service manager: a socket at $NOTIFY_SOCKET, a watchdog's time, and a daemon that has to tell what it does.

  notify.py TRESTLE

One line a case, and `N passed, N failed, N skipped`.
"""
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile

LIMIT_S = 30  # for what comes at once when all is well


class Manager:
  """`address` is a path, or @NAME in the abstract namespace."""
  def __init__(self, address):
    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    self._socket.bind('\0' + address[1:] if address[0] == '@' else address)
    self.address, self.heard = address, []

  def hear(self):
    """The next message as a list of lines, or None when none came in time."""
    if not select.select([self._socket], [], [], LIMIT_S)[0]:
      return None
    self.heard.append(self._socket.recv(4096).decode().split('\n'))
    return self.heard[-1]

  def hear_until(self, is_wanted):
    """The next such message, or None when none came in time."""
    while True:
      message = self.hear()
      if message is None or is_wanted(message):
        return message

  def hear_of(self, line):
    """Whether a message with this line comes."""
    return self.hear_until(lambda message: line in message) is not None

  def close(self):
    self._socket.close()


def serve(trestle, home, **environment):
  return subprocess.Popen([trestle, 'serve', '--listen', '127.0.0.1:0', '--state-dir', os.path.join(home, 'state')],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})


class Cases:
  def __init__(self, trestle):
    self._trestle, self._passed, self._failed = trestle, 0, 0

  def check(self, name, holds, about=''):
    if holds:
      self._passed += 1
    else:
      self._failed += 1
      print('FAILED  %s: %s' % (name, about))

  def life(self, home, address):
    """From the start to the end."""
    manager = Manager(address)
    daemon = serve(self._trestle, home, NOTIFY_SOCKET=address, WATCHDOG_USEC='200000')
    try:
      listening = daemon.stdout.readline().split()[-1]
      ready = manager.hear()
      self.check('ready', ready == ['READY=1', 'STATUS=Listening on ' + listening], ready)
      self.check('sign of life', manager.hear_of('WATCHDOG=1') and manager.hear_of('WATCHDOG=1'), manager.heard)
      daemon.send_signal(signal.SIGHUP)
      reloading = manager.hear_until(lambda message: message[0] == 'RELOADING=1')
      self.check('reloading', reloading and reloading[1].startswith('MONOTONIC_USEC='), manager.heard)
      self.check('reloaded', manager.hear_of('READY=1'), manager.heard)
      daemon.send_signal(signal.SIGTERM)
      self.check('stopping', manager.hear_of('STOPPING=1'), manager.heard)
      self.check('more time', manager.hear_of('EXTEND_TIMEOUT_USEC=30000000'), manager.heard)
      self.check('ended', daemon.wait(LIMIT_S) == 0, daemon.returncode)
    finally:
      daemon.kill()
      daemon.communicate()
      manager.close()

  def other_pid(self, home):
    """A watchdog that is meant for another process is nothing to us."""
    manager = Manager(os.path.join(home, 'other'))
    daemon = serve(self._trestle, home, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC='1000', WATCHDOG_PID='1')
    try:
      daemon.stdout.readline()
      daemon.send_signal(signal.SIGTERM)
      self.check('no watchdog of others', manager.hear_of('STOPPING=1') and ['WATCHDOG=1'] not in manager.heard, manager.heard)
      daemon.wait(LIMIT_S)
    finally:
      daemon.kill()
      daemon.communicate()
      manager.close()

  def refused(self, home, address, words):
    daemon = serve(self._trestle, home, NOTIFY_SOCKET=address)
    try:
      _, err = daemon.communicate(timeout=LIMIT_S)
      self.check('refused ' + address[:20], daemon.returncode == 1 and words in err, err)
    finally:
      daemon.kill()
      daemon.communicate()

  def end(self):
    print('%d passed, %d failed, 0 skipped' % (self._passed, self._failed))
    return self._failed


def main():
  cases = Cases(sys.argv[1])
  with tempfile.TemporaryDirectory() as home:
    cases.life(home, os.path.join(home, 'notify'))
    cases.life(home, '@trestle-test-%d' % os.getpid())
    cases.other_pid(home)
    cases.refused(home, os.path.join(home, 'nobody'), 'NOTIFY_SOCKET')
    cases.refused(home, 'relative', 'neither /PATH nor @NAME')
    cases.refused(home, '/' + 'x' * 200, 'characters')
  return 1 if cases.end() else 0


if __name__ == '__main__':
  sys.exit(main())
