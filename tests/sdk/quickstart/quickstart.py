"""quickstart.py HOST:PORT DOCUMENT DIRECTORY SCRATCH LOG [PATTERN]: does what DOCUMENT (docs/quickstart.md) says, section by section.

In a section `## NAME`
  `FILE`: and a fenced block after it   is a file;
  an indented block                     is commands for a shell, which stops at the first that fails;
  a fenced block of `text`              are lines that the commands since the last such block print, among others and in any order.
A command that ends with & serves until the section is over; the next ones wait for the ports that it names.
Files and commands are in DIRECTORY, which is kept, so that what was installed is there the next time. In place of /tmp there is SCRATCH, in place of
port 8099 the endpoint, and in place of the other ports from 8000 to 8098 free ones. Sections without commands are not counted.
Closes with its totals; PATTERN chooses sections by name.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

LIMIT_S = int(os.environ.get('TEST_TIMEOUT', '1200'))
PORT = re.compile(r'\b80\d\d\b')
TERMINAL_ESCAPE = re.compile(r'\x1b\[[0-9;]*m')  # Maven writes one, whatever it writes to
MISSING_PROGRAM = 127


class Section:
  def __init__(self, name):
    self.name = name
    self.files = {}
    self.steps = [Step()]

  def has_commands(self):
    return any(step.commands for step in self.steps)


class Step:
  def __init__(self):
    self.commands = []
    self.expected = []


def parse(document):
  sections, section, fence, file = [], None, None, None
  for line in document.splitlines():
    if fence is not None:
      if line == '```':
        fence = None
      else:
        fence.append(line)
    elif line.startswith('```'):
      fence = []
      if file:
        section.files[file] = fence
      elif line == '```text':
        fence = section.steps[-1].expected
        section.steps.append(Step())
      file = None
    elif line.startswith('## '):
      section = Section(line[3:])
      sections.append(section)
    elif section and line.startswith('    '):
      section.steps[-1].commands.append(line[4:])
    elif section and (named := re.search(r'`([\w./-]+)`:$', line)):
      file = named.group(1)
  return sections


class Ports:
  def __init__(self, endpoint):
    self.ports = {'8099': endpoint.rpartition(':')[2]}

  def replace(self, text):
    return PORT.sub(lambda found: self.of(found.group()), text)

  def of(self, port):
    if port not in self.ports:
      with socket.socket() as s:
        s.bind(('localhost', 0))
        self.ports[port] = str(s.getsockname()[1])
    return self.ports[port]


END_OF_STEP = '=== end of a step'
AWAIT_PORT = '''
await_port() {
  until (exec 3<>"/dev/tcp/localhost/$1") 2>/dev/null; do kill -0 $! 2>/dev/null || exit 1; sleep 0.1; done
}
'''


def script(section, ports, translate):
  """The section's commands; those that go on with a backslash are one."""
  lines = ['set -e -o pipefail', AWAIT_PORT]
  for step in section.steps:
    for command in '\n'.join(step.commands).replace('\\\n', ' ').splitlines():
      lines.append(translate(command))
      if command.endswith('&'):
        lines += ['await_port ' + ports.of(port) for port in PORT.findall(command) if port != '8099']
    lines.append('echo %s' % END_OF_STEP)
  return '\n'.join(lines)


def run(section, ports, directory, scratch, log):
  """None, or why it failed."""
  translate = lambda text: ports.replace(text.replace('/tmp/', scratch + '/'))
  for name, lines in section.files.items():
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
      f.write(translate('\n'.join(lines) + '\n'))
  log.write('=== %s\n' % section.name)
  log.flush()
  output_path = os.path.join(scratch, 'output')
  with open(output_path, 'w') as output:
    shell = subprocess.Popen(['bash', '-c', script(section, ports, translate)], cwd=directory, stdin=subprocess.DEVNULL,
                             stdout=output, stderr=log, start_new_session=True)
    try:
      status = shell.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
      status = 'none within %d s' % LIMIT_S
    finally:
      end_session(shell)
  with open(output_path) as f:
    printed = TERMINAL_ESCAPE.sub('', f.read())
  log.write(printed)
  log.flush()
  if status != 0:
    return 'status %s%s' % (status, ' (a program is missing)' if status == MISSING_PROGRAM else '')
  for step, output in zip(section.steps, printed.split(END_OF_STEP)):
    lines = {line.rstrip() for line in output.splitlines()}
    missing = [line for line in map(translate, step.expected) if line not in lines]
    if missing:
      return 'it did not print %r' % missing
  return None


def end_session(shell):
  """What was started with &, too."""
  try:
    os.killpg(shell.pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
      os.killpg(shell.pid, 0)
      shell.poll()
      time.sleep(0.05)
    os.killpg(shell.pid, signal.SIGKILL)
  except ProcessLookupError:
    pass
  shell.wait()


def main():
  endpoint, document, directory, scratch, log_path = sys.argv[1:6]
  pattern = re.compile(sys.argv[6] if len(sys.argv) > 6 else '')
  ports = Ports(endpoint)
  passed = failed = 0
  with open(document) as f:
    sections = [section for section in parse(f.read()) if section.has_commands() and pattern.search(section.name)]
  with open(log_path, 'w') as log:
    for section in sections:
      started = time.monotonic()
      folder = os.path.join(scratch, str(passed + failed))
      os.mkdir(folder)
      why = run(section, ports, directory, folder, log)
      if why:
        failed += 1
        print('FAILED  %s: %s (log: %s)' % (section.name, why, log_path))
      else:
        passed += 1
        print('ok      %s (%d s)' % (section.name, time.monotonic() - started))
        shutil.rmtree(folder)
      sys.stdout.flush()
  print('%d passed, %d failed, 0 skipped' % (passed, failed))
  sys.exit(1 if failed or not passed else 0)


if __name__ == '__main__':
  main()
