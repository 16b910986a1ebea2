"""What a daemon that has nothing to do has on the machine, read from /proc: processes, descriptors, threads, ports, memory, files."""
import collections
import os
import time

# threads of gRPC's own pools, which grow and shrink by their own lights
_GRPC = ('default-executo', 'resolver-execut', 'event_engine', 'grpc_global_tim', 'timer_manager')


def _read(path):
  try:
    with open(path, errors='replace') as f:
      return f.read()
  except OSError:  # the process ended
    return ''


def _list(path):
  try:
    return os.listdir(path)
  except OSError:  # the process ended
    return []


def _processes():
  """Parent -> children, and pid -> program."""
  children, names = collections.defaultdict(list), {}
  for pid in filter(str.isdigit, os.listdir('/proc')):
    name, _, rest = _read('/proc/%s/stat' % pid).partition(') ')
    if rest:
      children[int(rest.split()[1])].append(int(pid))
      names[int(pid)] = name.partition('(')[2]
  return children, names


def descendants(pid):
  """pid -> program, of all processes under this one. The daemon's launcher is the subreaper of what it starts, so that none gets away."""
  children, names = _processes()
  found, todo = {}, list(children[pid])
  while todo:
    child = todo.pop()
    found[child] = names[child]
    todo += children[child]
  return found


def _descriptors(pid):
  targets = []
  for fd in _list('/proc/%d/fd' % pid):
    try:
      targets.append(os.readlink('/proc/%d/fd/%s' % (pid, fd)))
    except OSError:
      pass  # the one that lists them, or closed since
  return targets


def _listening(inodes):
  addresses = []
  for table in 'tcp', 'tcp6':
    for line in _read('/proc/%d/net/%s' % (os.getpid(), table)).splitlines()[1:]:
      fields = line.split()
      if fields[3] == '0A' and 'socket:[%s]' % fields[9] in inodes:
        addresses.append(fields[1])
  return sorted(addresses)


def _threads(pid):
  names = [_read('/proc/%d/task/%s/comm' % (pid, thread)).strip() for thread in _list('/proc/%d/task' % pid)]
  return [name for name in names if name not in _GRPC]


def _status(pid, key):
  return int((_read('/proc/%d/status' % pid).partition(key + ':')[2].split() or ['0'])[0])


class Footprint:
  """Of a daemon and its descendants. Memory is what is not of a file: RssAnon, in KiB."""
  def __init__(self, daemon, folders):
    found = descendants(daemon)
    self.processes = sorted(found.values())
    pids = [daemon, *found]
    targets = [target for pid in pids for target in _descriptors(pid)]
    self.descriptors = collections.Counter(target.split(':')[0] for target in targets)
    self.listening = _listening(set(targets))
    self.threads = sorted(name for pid in pids for name in _threads(pid))
    self.memory = sum(_status(pid, 'RssAnon') for pid in pids)
    self.files = sorted(os.path.join(at, name) for folder in folders for at, _, names in os.walk(folder) for name in names)

  def __str__(self):
    return 'memory %.1f MiB, %d processes, %d threads, %d descriptors, %d listening, %d files' % (
        self.memory / 1024, 1 + len(self.processes), len(self.threads), sum(self.descriptors.values()), len(self.listening),
        len(self.files))

  def grown(self, before, tolerance):
    """What is more than before, one line each. Memory may be more by `tolerance`, a share."""
    lines = []
    for what in 'processes', 'threads', 'descriptors', 'listening', 'files':
      more = collections.Counter(getattr(self, what)) - collections.Counter(getattr(before, what))
      if more:
        lines.append('%s: %s more' % (what, dict(more)))
    if self.memory > before.memory * (1 + tolerance):
      lines.append('memory: %d KiB, before %d (%.1f %% more)' %
                   (self.memory, before.memory, 100 * (self.memory / before.memory - 1)))
    return lines


def when(daemon, folders, condition, seconds):
  """The first footprint that fits, or the one there is when `seconds` are over."""
  until = time.monotonic() + seconds
  while True:
    found = Footprint(daemon, folders)
    if condition(found) or time.monotonic() > until:
      return found
    time.sleep(0.1)
