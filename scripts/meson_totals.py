#!/usr/bin/env python3
"""meson_totals.py TESTLOG.json: sums up one `meson test` run in test cases, where the programs say how many they had.

A program of the check library says `100%: Checks: N, Failures: F, Errors: E` for each of its runs; others may close with
`N passed, N failed, N skipped`, or speak TAP. Any other program counts as one case. Exit code 77 means skipped. A program that
ends badly without a failed case (a crash, a time-out, a sanitizer's report) counts as one failure.
Prints what failed with the end of its output, then the totals; the exit code is 1 on any failure.
"""
import json
import os
import re
import sys

CHECK = re.compile(r'^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)', re.M)
TOTALS = re.compile(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$', re.M)
TAP = re.compile(r'^(not )?ok\b(?:.*?(# *skip))?', re.M | re.I)
SHOWN_LINES = 25


def cases(test):
  """(passed, failed, skipped) of one program."""
  text = test.get('stdout') or ''
  checks, totals = CHECK.findall(text), TOTALS.findall(text)
  if checks:
    ran = sum(int(c[0]) for c in checks)
    failed = sum(int(c[1]) + int(c[2]) for c in checks)
    count = [ran - failed, failed, 0]
  elif totals:
    count = [int(n or 0) for n in totals[-1]]
  elif re.search(r'^1\.\.\d+', text, re.M):
    lines = TAP.findall(text)
    count = [sum(not bad and not skip for bad, skip in lines), sum(bool(bad) for bad, _ in lines),
             sum(bool(skip) and not bad for bad, skip in lines)]
  else:
    count = [0, 0, 0]
  result = test['result']
  if result in ('SKIP', 'IGNORED'):
    return [0, 0, 1]
  if result not in ('OK', 'EXPECTEDFAIL'):
    count[1] = max(count[1], 1)
  elif not any(count):
    count[0] = 1
  return count


def main():
  total = [0, 0, 0]
  if os.path.exists(sys.argv[1]):
    with open(sys.argv[1], encoding='utf-8', errors='replace') as f:
      for test in map(json.loads, f):
        count = cases(test)
        total = [a + b for a, b in zip(total, count)]
        print('%-44s %6.1f s  %d passed, %d failed, %d skipped' % (test['name'], test['duration'], *count))
        if count[1]:
          print('  FAILED  %s: %s (exit code %s)' % (test['name'], test['result'], test.get('returncode')))
          output = '%s\n%s' % (test.get('stdout') or '', test.get('stderr') or '')
          for line in [line for line in output.splitlines() if line.strip()][-SHOWN_LINES:]:
            print('  | ' + line)
  print('%d passed, %d failed, %d skipped' % tuple(total))
  sys.exit(1 if total[1] else 0)


if __name__ == '__main__':
  main()
