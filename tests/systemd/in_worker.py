"""What the tests do inside a worker process; each returns what JSON can hold."""
import ctypes
import mmap
import multiprocessing
import os
import socket
import subprocess
import tempfile
import threading


def sandbox():
  """What is said of the process in /proc."""
  with open('/proc/self/status', encoding='ascii') as f:
    fields = dict(line.rstrip('\n').split(':\t', 1) for line in f)
  with open('/proc/self/cgroup', encoding='ascii') as f:
    group = f.read().strip().partition('0::')[2]
  limits = {}
  for name in ('memory.max', 'cpu.max', 'memory.oom.group'):
    with open('/sys/fs/cgroup%s/%s' % (group, name), encoding='ascii') as f:
      limits[name] = f.read().strip()
  return {'uid': os.getuid(), 'group': group, 'limits': limits, 'no_new_privileges': fields['NoNewPrivs'],
          'seccomp': fields['Seccomp'], 'capabilities': fields['CapBnd']}


def allocate():
  """More than any limit the tests set, and touched."""
  return len(bytearray(os.urandom(1 << 20)) * 2048)


def _square(number):
  return number * number


def _run_machine_code():
  """As a JIT compiler does: `mov eax, 42; ret` in memory that can be written and run."""
  with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as code:
    code.write(b'\xb8\x2a\x00\x00\x00\xc3')
    at = ctypes.addressof(ctypes.c_char.from_buffer(code))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(at)()
  return result


def _talk_to_itself():
  with socket.create_server(('127.0.0.1', 0)) as server, socket.create_connection(server.getsockname()) as client:
    peer, _ = server.accept()
    with peer:
      client.sendall(b'x')
      return peer.recv(1).decode()


def common_things():
  """What users' code commonly does, by name; what fails is its error."""
  def thread():
    done = []
    worker = threading.Thread(target=done.append, args=(1, ))
    worker.start()
    worker.join()
    return done

  def pool():
    with multiprocessing.get_context('fork').Pool(2) as processes:
      return processes.map(_square, [1, 2, 3])

  def shell():
    return subprocess.run('echo hello | tr a-z A-Z', shell=True, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

  def files():
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, 'x'), 'w+', encoding='ascii') as f:
      f.write('x')
      f.flush()
      os.rename(f.name, f.name + '2')
      return os.listdir(folder)

  def niceness():
    return os.nice(1) > 0

  found = {}
  things = {'thread': thread, 'pool': pool, 'shell': shell, 'files': files, 'nice': niceness, 'sockets': _talk_to_itself}
  if os.uname().machine == 'x86_64':
    things['machine code'] = _run_machine_code
  for name, thing in things.items():
    try:
      found[name] = thing()
    except Exception as e:  # pylint: disable=broad-except
      found[name] = '%s: %s' % (type(e).__name__, e)
  return found
