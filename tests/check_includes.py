#!/usr/bin/env python3
"""Holds the arrows between the rooms: which folder's C files may include which (docs/architecture.md has the reasons).

  check_includes.py [ROOT]

Prints a line for each arrow that points the wrong way and closes with `N passed, N failed, N skipped`, counted in files.
"""
import os
import re
import subprocess
import sys

# Room -> rooms, or single headers of rooms, that it may include besides its own.
EVERYTHING = None
MAY_INCLUDE = {
    'base': [],
    'wire': ['base', 'proto'],
    'model': ['base'],
    'translate': ['base', 'proto', 'wire', 'model'],
    'engine': ['base', 'model', 'translate/plan.h'],
    'rpc': ['base'],
    'fnapi': ['base', 'proto', 'wire', 'model', 'rpc', 'translate/plan.h', 'engine/engine.h'],
    'worker': ['base', 'proto', 'wire', 'rpc', 'fnapi'],
    'http': ['base'],
    'web': [],
    'jobserver': ['base', 'proto', 'wire', 'model', 'rpc', 'translate', 'engine', 'fnapi', 'worker', 'http', 'web'],
    'cli': ['base', 'proto', 'wire', 'model', 'rpc', 'worker', 'jobserver'],
    'tests': EVERYTHING,
    'bench': EVERYTHING,
}

# What others see of a room through one header: it may include less than its room.
HEADERS = {'translate/plan.h': ['base', 'model']}

# Library header -> the only places, folders or files, that may name it. The tests may name all.
LIBRARIES = [
    (r'grpc/', ['rpc']),
    (r'microhttpd\.h$', ['http/http.c']),
    (r'yaml\.h$', ['jobserver/config_internal.h']),
    (r'sqlite3\.h$', ['jobserver/job_db']),
    (r'jansson\.h$', ['cli/options_struct.c']),
    (r'check\.h$', []),
]

# The first law: the engine and the model do no I/O, read no clock, draw no randomness and start no thread.
DETERMINISTIC = ['engine', 'model']
FORBIDDEN_HEADERS = re.compile(
    r'(pthread|threads|time|unistd|fcntl|poll|dirent|signal|netdb|stdatomic)\.h$'
    r'|(sys/(time|socket|random|stat|mman|epoll|eventfd|timerfd|un|wait|file|uio|ioctl|syscall)|netinet/.*|arpa/.*)\.h$')
FORBIDDEN_CALLS = re.compile(
    r'(?<![\w.>])(fopen|fdopen|open|openat|socket|connect|clock_gettime|gettimeofday|time|clock|rand|rand_r|random|drand48'
    r'|srand|getrandom|arc4random|pthread_create|thrd_create|monotonic_now_ns|wall_clock_ns|wall_clock_ms|fork|sleep|usleep|nanosleep|printf|fprintf|puts|getenv|tmpfile)'
    r'\s*\(')

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def sources(root):
  """The C files of the work tree; git knows best which ones are ours."""
  try:
    listed = subprocess.run(['git', '-c', 'safe.directory=*', 'ls-files', '-co', '--exclude-standard', '*.c', '*.h'],
                            cwd=root, capture_output=True, text=True, check=True).stdout.split('\n')
  except (OSError, subprocess.CalledProcessError):
    listed = [
        os.path.relpath(os.path.join(folder, name), root)
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(('.c', '.h')) and '/build' not in folder
    ]
  return sorted(f for f in listed if f and os.path.exists(os.path.join(root, f)))


def room_of(path):
  return path.split('/')[0] if '/' in path else ''


def target_of(path, quote, name):
  """The file in our tree, or `proto/...` for generated code, that an include means; None for a library's header."""
  if name.endswith('.pb-c.h') or name.startswith('protobuf-c/'):
    return 'proto/' + os.path.basename(name)
  if quote == '<':
    return None
  return name if '/' in name else os.path.join(os.path.dirname(path), name)


def allowed(target, rule):
  return rule is EVERYTHING or target in rule or room_of(target) in rule


class Checker:
  def __init__(self, root):
    self.root = root
    self.files = sources(root)
    self.text = {}
    for path in self.files:
      with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
        self.text[path] = f.read()

  def includes(self, path):
    return [(quote, name) for quote, name in INCLUDE.findall(self.text[path])]

  def check_arrows(self, path):
    room = room_of(path)
    if room not in MAY_INCLUDE:
      return ['is in no room that tests/check_includes.py knows']
    rule = HEADERS.get(path, MAY_INCLUDE[room])
    wrong = []
    for quote, name in self.includes(path):
      target = target_of(path, quote, name)
      if target is None:
        wrong += self.check_library(path, name)
      elif room_of(target) != room or path in HEADERS:
        if not allowed(target, rule):
          wrong.append('includes "%s"; %s may include: %s' %
                       (name, path if path in HEADERS else room + '/', ', '.join(rule) or 'nothing else'))
    return wrong

  def check_library(self, path, name):
    if room_of(path) in ('tests', 'bench'):
      return []
    return [
        'includes <%s>, which belongs to %s' % (name, ', '.join(places) or 'tests')
        for pattern, places in LIBRARIES
        if re.match(pattern, name) and not any(path == place or path.startswith(place + '/') for place in places)
    ]

  def check_deterministic(self, path):
    if room_of(path) not in DETERMINISTIC:
      return []
    wrong = []
    for other, name in self.reached(path):
      if FORBIDDEN_HEADERS.match(name) and room_of(other) in DETERMINISTIC:
        if other == path:
          wrong.append('includes <%s>: no I/O, clock, randomness or thread here' % name)
      elif name.startswith('grpc/') or target_of(other, '"', name).startswith('proto/'):
        wrong.append('reaches %s through %s' % (name, other))
    code = NOT_CODE.sub(lambda m: '\n' * m.group().count('\n'), self.text[path])
    for call in FORBIDDEN_CALLS.finditer(code):
      wrong.append('line %d calls %s()' % (code.count('\n', 0, call.start()) + 1, call.group(1)))
    return wrong

  def reached(self, start):
    """(file, name) for each include that is met from `start`, through our own headers."""
    seen, todo = {start}, [start]
    while todo:
      path = todo.pop()
      for quote, name in self.includes(path):
        yield path, name
        target = target_of(path, quote, name)
        if target in self.text and target not in seen:
          seen.add(target)
          todo.append(target)

  def run(self):
    failed = 0
    for path in self.files:
      wrong = self.check_arrows(path) + self.check_deterministic(path)
      failed += bool(wrong)
      for line in dict.fromkeys(wrong):
        print('FAILED  %s %s' % (path, line))
    print('%d passed, %d failed, 0 skipped' % (len(self.files) - failed, failed))
    return failed


if __name__ == '__main__':
  default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
  sys.exit(1 if Checker(sys.argv[1] if len(sys.argv) > 1 else default).run() else 0)
