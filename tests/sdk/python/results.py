#!/usr/bin/env python3
"""Sums up one suite's results against the list of its expected failures.

  results.py RESULTS.jsonl EXPECTED.txt [--jobs-only] [--incomplete TEXT] [--partial]

RESULTS has one JSON object a line: test, outcome (passed, failed, skipped), seconds, jobless, needs (pipeline_needs.py), text.
A test may have several lines (set-up, call, tear-down); the worst counts.
EXPECTED has one test id a line, then ` # ` and the reason; other lines that start with # are remarks.

A failing test on the list counts as passed: it did what the list says. A passing test on the list is a failure, because the
list only ever shrinks; so is an id on the list that did not run (unless --partial: a selection was asked for). A reason that
starts with "racy: " is for a test that races with the harness it shares a process with: it may pass, and when it fails it counts as skipped.
--jobs-only leaves out tests that sent no job: they say nothing about the endpoint.
--incomplete adds one failure: the run ended before its end, and TEXT says how.
Ends with `N passed, N failed, N skipped`; the exit code is 1 on any failure or where nothing passed.
"""
import argparse
import json
import os
import sys

_WORST_LAST = ['passed', 'skipped', 'failed']


def read_expected(path):
  """Test id -> reason. A line without a reason is an error: a list that does not say why cannot shrink."""
  expected = {}
  if not os.path.exists(path):
    return expected
  with open(path, encoding='utf-8') as f:
    for number, line in enumerate(f, 1):
      line = line.strip()
      if not line or line.startswith('#'):
        continue
      test, separator, reason = line.partition(' # ')
      if not separator or not reason.strip():
        raise SystemExit('%s:%d: no reason given for %s' % (path, number, test))
      expected[test.strip()] = reason.strip()
  return expected


def read_results(path):
  """Test id -> its worst row."""
  worst = {}
  if not os.path.exists(path):
    return worst
  with open(path, encoding='utf-8', errors='replace') as f:
    for line in f:
      try:
        row = json.loads(line)
      except ValueError:
        continue  # the last line of a run that was killed
      old = worst.get(row['test'])
      if old is not None:
        whole = dict(jobless=row['jobless'] or old['jobless'], needs=row['needs'] or old['needs'],
                     seconds=row['seconds'] + old['seconds'])
        if _WORST_LAST.index(row['outcome']) <= _WORST_LAST.index(old['outcome']):
          row = old
        row = dict(row, **whole)
      worst[row['test']] = row
  return worst


def one_line(text, limit):
  """The last lines of a traceback say most."""
  text = ' '.join(text.split())
  return text if len(text) <= limit else '...' + text[-limit:]


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('results')
  parser.add_argument('expected')
  parser.add_argument('--jobs-only', action='store_true')
  parser.add_argument('--partial', action='store_true')
  parser.add_argument('--incomplete')
  args = parser.parse_args()

  expected = read_expected(args.expected)
  rows = read_results(args.results)
  jobless = [t for t, row in rows.items() if row['jobless'] and args.jobs_only]
  counts = dict.fromkeys(_WORST_LAST, 0)
  as_expected = 0

  for test in sorted(rows):
    if test in jobless:
      if test in expected:
        counts['failed'] += 1
        print('SENT NO JOB, TAKE IT OFF THE LIST  %s' % test)
      continue
    row, outcome = rows[test], rows[test]['outcome']
    if test in expected:
      if expected[test].startswith('racy: '):
        if outcome == 'failed':
          print('LOST ITS RACE  %s  (%s)' % (test, expected[test]))
          outcome = 'skipped'
      elif outcome == 'failed':
        outcome = 'passed'
        as_expected += 1
      else:
        print('%s BUT IS ON THE LIST  %s  (%s)' % (outcome.upper(), test, expected[test]))
        outcome = 'failed'
    elif outcome == 'failed':
      needs = ', needs ' + ' '.join(row['needs']) if row['needs'] else ''
      print('FAILED  %s  (%.0f s%s)  %s' % (test, row['seconds'], needs, one_line(row['text'], 300)))
    counts[outcome] += 1
  if not args.partial and not args.incomplete:
    for test in sorted(set(expected) - set(rows)):
      counts['failed'] += 1
      print('DID NOT RUN BUT IS ON THE LIST  %s  (%s)' % (test, expected[test]))
  if args.incomplete:
    counts['failed'] += 1
    print('INCOMPLETE  %s' % args.incomplete)

  if jobless:
    print('%d tests sent no job and are not counted' % len(jobless))
  if as_expected:
    print('%d tests failed as %s says they do' % (as_expected, os.path.basename(args.expected)))
  print('%(passed)d passed, %(failed)d failed, %(skipped)d skipped' % counts)
  sys.exit(1 if counts['failed'] or not counts['passed'] else 0)


if __name__ == '__main__':
  main()
