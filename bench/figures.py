"""A runner's processes seen from outside: CPU time and memory, told apart from those of the workers that it starts."""
import os
import threading

TICKS_PER_S = os.sysconf('SC_CLK_TCK')
PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')
SAMPLE_S = 0.02
SAMPLES_PER_LOOK = 25  # at the tree of processes: that is the dear part


def stat_fields(pid):
  """/proc/PID/stat from the state on (what precedes may hold spaces); None where the process is gone."""
  try:
    with open('/proc/%s/stat' % pid) as f:
      text = f.read()
    return text[text.rindex(')') + 2:].split()
  except (OSError, ValueError):
    return None


def process_tree(pid):
  """The process and all below it."""
  children = {}
  for name in os.listdir('/proc'):
    if name.isdigit():
      fields = stat_fields(name)
      if fields:
        children.setdefault(int(fields[1]), []).append(int(name))
  tree, todo = [], [pid]
  while todo:
    one = todo.pop()
    tree.append(one)
    todo += children.get(one, [])
  return tree


def program_of(pid):
  """None where the process is gone."""
  try:
    return os.readlink('/proc/%d/exe' % pid)
  except OSError:
    return None


def cpu_s(runner, program):
  """(the runner's processes, all others below it with those that have ended). The runner's own are those that run its program."""
  own = others = 0
  for pid in process_tree(runner):
    fields = stat_fields(pid)
    if not fields:
      continue
    user, system, children_user, children_system = (int(x) for x in fields[11:15])
    others += children_user + children_system
    if program_of(pid) == program:
      own += user + system
    else:
      others += user + system
  return own / TICKS_PER_S, others / TICKS_PER_S


def high_water_bytes(pid):
  try:
    with open('/proc/%d/status' % pid) as f:
      return next((int(line.split()[1]) << 10 for line in f if line.startswith('VmHWM')), 0)
  except OSError:
    return 0


class RunnerFigures(threading.Thread):
  """From its making to stop()."""
  def __init__(self, pid):
    super().__init__(daemon=True)
    self._pid, self._program, self._done, self._peak_bytes = pid, program_of(pid), threading.Event(), 0
    try:
      with open('/proc/%d/clear_refs' % pid, 'w') as f:
        f.write('5')  # the high-water mark starts anew
    except OSError:
      pass
    self._before = cpu_s(pid, self._program)
    self.start()

  def _own(self):
    return [pid for pid in process_tree(self._pid) if program_of(pid) == self._program]

  def run(self):
    own, number = self._own(), 0
    while True:
      total = 0
      for pid in own:
        try:
          with open('/proc/%d/statm' % pid) as f:
            total += int(f.read().split()[1]) * PAGE_BYTES
        except OSError:
          pass
      self._peak_bytes = max(self._peak_bytes, total)
      if self._done.wait(SAMPLE_S):
        return
      number += 1
      if number % SAMPLES_PER_LOOK == 0:
        own = self._own()

  def stop(self, jobs):
    """The figures, CPU time for one of `jobs`."""
    self._done.set()
    self.join()
    own, others = (after - before for after, before in zip(cpu_s(self._pid, self._program), self._before))
    return {
        'runner_cpu_s': round(own / jobs, 3),
        'worker_cpu_s': round(others / jobs, 3),
        'runner_peak_mb': round(max(high_water_bytes(self._pid), self._peak_bytes) / (1 << 20), 1),
    }
