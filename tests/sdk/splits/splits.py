"""Pipelines that end only if a running bundle is split and the rest of it goes to another worker:

  restriction   one element, one restriction: the first offset is not done before another process has done one
  elements      some elements without any restriction: the first one is not done before all others are
  failure       as `restriction`, and then the first offset raises once: its bundle runs again with what the split left to it

The workers meet at a socket of this process; nothing depends on how long anything takes. What comes out must be each offset once.
"""
import os
import socket
import socketserver
import sys
import threading

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.core import RestrictionProvider

OFFSETS = 64
ELEMENTS = 8


class Meeting:
  """Hears of every visit (number, pid) and holds the first one until enough has happened elsewhere."""
  def __init__(self, is_enough):
    self._is_enough = is_enough
    self._changed = threading.Condition()
    self._visits = []
    self._first = None
    meeting = self

    class Handler(socketserver.StreamRequestHandler):
      def handle(self):
        number, pid = map(int, self.rfile.readline().split())
        self.wfile.write(b'%s\n' % meeting.visit(number, pid).encode())

    self._server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), Handler)
    self._server.daemon_threads = True
    threading.Thread(target=self._server.serve_forever, daemon=True).start()
    self.port = self._server.server_address[1]

  def visit(self, number, pid):
    with self._changed:
      if self._first is None:
        self._first = (number, pid)
        self._changed.wait_for(lambda: self._is_enough(self._first, self._visits))
        return 'first'
      self._visits.append((number, pid))
      self._changed.notify_all()
      return 'later'

  def pids(self):
    with self._changed:
      return {pid for _, pid in self._visits + [self._first]}


def visit(port, number):
  with socket.create_connection(('127.0.0.1', port)) as connection, connection.makefile('rw') as lines:
    lines.write('%d %d\n' % (number, os.getpid()))
    lines.flush()
    return lines.readline().strip()


class Offsets(RestrictionProvider):
  def initial_restriction(self, element):
    return OffsetRange(0, OFFSETS)

  def create_tracker(self, restriction):
    return OffsetRestrictionTracker(restriction)

  def restriction_size(self, element, restriction):
    return restriction.size()


class EachOffset(beam.DoFn):
  def __init__(self, port, fails):
    self._port = port
    self._fails = fails

  def process(self, element, tracker=beam.DoFn.RestrictionParam(Offsets())):
    offset = tracker.current_restriction().start
    while tracker.try_claim(offset):
      if visit(self._port, offset) == 'first' and self._fails:
        raise ValueError('the first visitor fails, once')
      yield offset
      offset += 1


class EachElement(beam.DoFn):
  def __init__(self, port):
    self._port = port

  def process(self, element):
    visit(self._port, element)
    yield element


def seen_elsewhere(first, visits):
  return any(pid != first[1] for _, pid in visits)


def all_others(first, visits):
  return {number for number, _ in visits} >= set(range(ELEMENTS)) - {first[0]}


def main():
  case, options = sys.argv[1], PipelineOptions(sys.argv[2:])
  options.view_as(SetupOptions).save_main_session = False
  meeting = Meeting(all_others if case == 'elements' else seen_elsewhere)
  with beam.Pipeline(options=options) as p:
    if case == 'elements':
      out = p | beam.Create(range(ELEMENTS)) | beam.Reshuffle() | beam.ParDo(EachElement(meeting.port))
      assert_that(out, equal_to(list(range(ELEMENTS))))
    else:
      out = p | beam.Create(['the only one']) | beam.ParDo(EachOffset(meeting.port, case == 'failure'))
      assert_that(out, equal_to(list(range(OFFSETS))))
  if len(meeting.pids()) < 2:
    sys.exit('only one process had work: %s' % meeting.pids())


if __name__ == '__main__':
  main()
