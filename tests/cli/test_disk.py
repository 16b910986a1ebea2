#!/usr/bin/env python3
"""A full disk: what the commands and the health check say of it, and that the daemon goes on when there is room again.

  test_disk.py TRESTLE PROTO_DIRECTORY
"""
import errno
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import pipeline_file
import running
from running import DEADLINE_S, Daemon, run

PROTOS = None


class FullDisk(unittest.TestCase):
  """The state directory is a small file system of the daemon's own mount namespace, reached through /proc."""

  MOUNT = 'mkdir -p "$1/state" && mount -t tmpfs -o size=16m tmpfs "$1/state" && shift && exec "$@"'
  BEFORE = ['unshare', '--mount', *([] if os.geteuid() == 0 else ['--map-root-user']), 'sh', '-c', MOUNT, 'sh', '{}']

  def setUp(self):
    with tempfile.TemporaryDirectory(prefix='trestle-cli-') as directory:
      probe = subprocess.run([*(word.format(directory) for word in self.BEFORE), 'true'], capture_output=True)
    if probe.returncode != 0:
      self.skipTest('this machine lets nobody mount a tmpfs')
    self.daemon = Daemon(before=self.BEFORE)
    self.addCleanup(self.daemon.stop)
    self.pipeline = os.path.join(self.daemon.directory, 'impulse.pb')
    pipeline_file.write(PROTOS, self.pipeline, None)

  def ask(self, *words, **more):
    return run(*words, '--endpoint', self.daemon.endpoint, **more)

  def readiness(self):
    page = re.search(r'web page on (http://\S+)', self.daemon.log_text())[1]
    try:
      with urllib.request.urlopen(page + '/readyz', timeout=DEADLINE_S) as answer:
        return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
      with error:
        return error.code, error.read().decode()

  def fill(self):
    path = f'/proc/{self.daemon.process.pid}/root{self.daemon.directory}/state/fill'
    with open(path, 'wb', buffering=0) as file:
      try:
        while True:
          file.write(bytes(4096))
      except OSError as error:
        self.assertEqual(error.errno, errno.ENOSPC)
    return path

  def test_a_full_disk_is_told_and_its_end_needs_no_restart(self):
    job = self.ask('submit', '--wait', self.pipeline, check=0)[1].split(':')[0]
    self.assertEqual(self.readiness(), (200, 'ready\n'))
    filled = self.fill()
    self.assertEqual(self.readiness(), (503, 'the disk of the state directory is full'))
    self.assertIn('the disk is full', self.ask('submit', self.pipeline, check=1)[2])
    self.assertRegex(self.ask('show', job, check=0)[1], r'What stands out\n  the disk is full: .* where \S+/state is')
    self.assertEqual(json.loads(self.ask('jobs', '--json', check=0)[1])['total'], 1)
    os.remove(filled)
    self.assertEqual(self.readiness(), (200, 'ready\n'))
    self.ask('submit', '--wait', self.pipeline, check=0)


if __name__ == '__main__':
  running.TRESTLE, PROTOS = map(os.path.abspath, sys.argv[1:3])
  running.main(sys.argv[3:])
