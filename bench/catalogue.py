"""What bench/catalogue runs.

  catalogue.py TRESTLE PROTO_DIRECTORY JOBS RUNNING

The finished jobs have an Impulse and nothing else; those that run wait for a worker that never connects. All are submitted by `trestle submit`, so no SDK is needed.
"""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'cli'))
import pipeline_file

TIMES = 30
LIMIT_MS = 100


def times_ms(action):
  found = []
  for _ in range(TIMES):
    began = time.monotonic()
    action()
    found.append((time.monotonic() - began) * 1000)
  return found


def measure(trestle, endpoint, page):
  def get(path):
    with urllib.request.urlopen(page + path) as answer:
      answer.read()

  works = {
      'trestle jobs': lambda: subprocess.run([trestle, 'jobs', '--endpoint', endpoint], check=True, stdout=subprocess.DEVNULL),
      'trestle jobs --all --json': lambda: subprocess.run([trestle, 'jobs', '--all', '--json', '--endpoint', endpoint], check=True, stdout=subprocess.DEVNULL),
      'GET /': lambda: get('/'),
      'GET /api/v1/server': lambda: get('/api/v1/server'),
      'GET /api/v1/jobs': lambda: get('/api/v1/jobs'),
      'GET /metrics': lambda: get('/metrics'),
  }
  worst = 0
  print('| what | median | slowest of %d |\n| --- | ---: | ---: |' % TIMES)
  for name, action in works.items():
    found = times_ms(action)
    if '--all' not in name:  # which fetches every page
      worst = max(worst, statistics.median(found))
    print('| `%s` | %.1f ms | %.1f ms |' % (name, statistics.median(found), max(found)))
  return worst


def wait_for(pattern, path):
  while True:
    with open(path) as file:
      found = re.search(pattern, file.read())
    if found:
      return found[1]
    time.sleep(0.01)


def main():
  trestle, protos, jobs, running = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
  with tempfile.TemporaryDirectory(prefix='trestle-bench-') as home:
    silent = os.path.join(home, 'silent')
    with open(silent, 'w') as file:
      file.write('#!/bin/sh\nexec sleep 600\n')
    os.chmod(silent, 0o755)
    config = os.path.join(home, 'trestle.yaml')
    with open(config, 'w') as file:
      file.write('worker_connect_timeout: 600s\nretention:\n  max_jobs: 2000\n')
    log = os.path.join(home, 'log')
    with open(log, 'w') as err:
      daemon = subprocess.Popen([trestle, 'serve', '--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', '--state-dir', home + '/state', '--cache-dir',
                                 home + '/cache', '--config', config], stdout=subprocess.PIPE, stderr=err, text=True)
    try:
      endpoint = daemon.stdout.readline().split()[-1]
      page = wait_for(r'web page on (\S+)', log)
      pipeline_file.write(protos, home + '/done', None)
      pipeline_file.write(protos, home + '/runs', silent)
      for number in range(jobs):
        subprocess.run([trestle, 'submit', home + '/done', '--endpoint', endpoint, '--name', 'done-%d' % number], check=True, stdout=subprocess.DEVNULL)
      for number in range(running):
        subprocess.run([trestle, 'submit', home + '/runs', '--endpoint', endpoint, '--name', 'runs-%d' % number], check=True, stdout=subprocess.DEVNULL)
      print('%d jobs, %d of them running:\n' % (jobs + running, running))
      worst = measure(trestle, endpoint, page)
    finally:
      daemon.terminate()
      daemon.communicate()
  return 1 if worst > LIMIT_MS else 0


if __name__ == '__main__':
  sys.exit(main())
