#!/usr/bin/env python3
"""Runs the benchmark programs in C, in turn, and keeps what they print as a result file; bench/engine, bench/limit and bench/large build
them and call this.

  native.py engine BUILD RESULT.json [--reps N] [ARGUMENT OF bench-engine ...]
  native.py limit  BUILD RESULT.json [--reps N] [--sizes 1000,100] [--bytes N] [ARGUMENT OF bench-group ...]
  native.py large  BUILD RESULT.json [--reps N] [--bytes N] [--budget MB] [ARGUMENT OF bench-group ...]

For bench/run: `budget MB` prints a configuration, `describe VERSIONS BUDGET_MB MODE` what a result file begins with, and
`keep ROWS.jsonl DESCRIPTION RESULT.json` makes one.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import stats

MEBI = 1 << 20
MESSAGE_BYTES = MEBI  # of the daemon and of the C harness


def budget_yaml(megabytes):
  return 'memory:\n  total: %dMiB\n  per_job: %dMiB\n' % (megabytes, megabytes)


def run(program, arguments, env=None):
  """The JSON lines that it printed."""
  done = subprocess.run([program] + [str(a) for a in arguments], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                        env=dict(os.environ, **(env or {})))
  if done.returncode != 0:
    sys.exit('%s %s: exit code %d' % (program, ' '.join(map(str, arguments)), done.returncode))
  rows = [json.loads(line) for line in done.stdout.splitlines()]
  for row in rows:
    print(json.dumps(row), file=sys.stderr, flush=True)
  return rows


def programs(build):
  return {
      'TRESTLE_BINARY': os.environ.get('TRESTLE_BIN') or os.path.join(build, 'trestle'),
      'TRESTLE_HARNESS_BINARY': os.path.join(build, 'tests/harness/trestle-harness'),
  }


def bench(build, name):
  return os.path.join(build, 'bench/bench-' + name)


def measure_engine(args, rest):
  for row in run(bench(args.build, 'engine'), ['--reps', args.reps] + rest):
    yield row


def measure_limit(args, rest):
  for rep in range(args.reps):
    for hold in (0, 1):
      yield from (dict(row, rep=rep) for row in run(
          bench(args.build, 'stream'), ['--bytes', args.bytes, '--message', MESSAGE_BYTES, '--hold', hold]))
    for size in args.sizes.split(','):
      yield from (dict(row, rep=rep) for row in run(
          bench(args.build, 'group'), ['--bytes', args.bytes, '--size', size, '--par-do', 1] + rest, programs(args.build)))


def measure_large(args, rest):
  with tempfile.TemporaryDirectory(prefix='trestle-bench-') as scratch:
    config = []
    if args.budget:
      path = os.path.join(scratch, 'config.yaml')
      with open(path, 'w', encoding='utf-8') as f:
        f.write(budget_yaml(args.budget))
      config = ['--config', path]
    for rep in range(args.reps):
      yield from (dict(row, rep=rep) for row in run(
          bench(args.build, 'group'), ['--bytes', args.bytes] + config + rest, programs(args.build)))


KINDS = {
    # measure, repetitions, bytes
    'engine': (measure_engine, 9, 0),
    'limit': (measure_limit, 9, 512 * MEBI),
    'large': (measure_large, 1, 8000000000),
}


def measure(kind, argv):
  measure_kind, reps, size = KINDS[kind]
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog='bench/' + kind)
  parser.add_argument('build', help=argparse.SUPPRESS)
  parser.add_argument('result', help=argparse.SUPPRESS)
  parser.add_argument('--reps', type=int, default=reps)
  if kind != 'engine':
    parser.add_argument('--bytes', type=int, default=size, help='of records in one run')
  if kind == 'limit':
    parser.add_argument('--sizes', default='1000,100', help='bytes of a record')
  if kind == 'large':
    parser.add_argument('--budget', type=int, default=512, metavar='MB', help='0: no configuration')
  args, rest = parser.parse_known_args(argv)
  about = stats.describe_run()
  if kind == 'large':
    about['budget_mb'] = args.budget
    if '--keys' not in rest:
      rest += ['--keys', str(1000000)]
    if '--shards' not in rest:
      rest += ['--shards', '64']
  stats.save(args.result, kind, about, list(measure_kind(args, rest)))


def main():
  command, rest = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ('', [])
  if command in KINDS:
    measure(command, rest)
  elif command == 'budget' and len(rest) == 1:
    print(budget_yaml(int(rest[0])), end='')
  elif command == 'describe' and len(rest) == 3:
    print(json.dumps(dict(stats.describe_run(), versions=rest[0], budget_mb=int(rest[1]), mode=rest[2]), ensure_ascii=False))
  elif command == 'keep' and len(rest) == 3:
    with open(rest[0], encoding='utf-8') as f:
      rows = [json.loads(line) for line in f]
    if not rows:
      sys.exit('native.py: %s is empty' % rest[0])
    about = json.loads(rest[1])
    stats.save(rest[2], about['mode'] if about['mode'] in ('latency', 'soak') else 'runners', about, rows)
  else:
    sys.exit(__doc__)


if __name__ == '__main__':
  main()
