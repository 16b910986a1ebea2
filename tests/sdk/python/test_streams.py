"""Streams from sources that never end by themselves, as users write them: they end by a drain, a cancel, or because the source says so."""
import contextlib
import os
import signal
import tempfile
import time
import unittest

import apache_beam as beam
import grpc
from apache_beam.coders import VarIntCoder
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark, Repeatedly
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Duration, Timestamp

from model_pipeline import booted_pipeline, pipeline

ENDLESS = 10**9


class _Tracker(OffsetRestrictionTracker):
  def is_bounded(self):
    return False


class _Offsets(RestrictionProvider):
  def __init__(self, count, last_piece):
    self.count = count
    self.last_piece = last_piece

  def initial_restriction(self, element):
    return OffsetRange(0, self.count)

  def create_tracker(self, restriction):
    return _Tracker(restriction)

  def restriction_size(self, element, restriction):
    return restriction.size()

  def truncate(self, element, restriction):
    return OffsetRange(restriction.start, restriction.start + self.last_piece) if self.last_piece else None


def numbers(count, batch, delay, late=None, last_piece=0):
  """ParDo: (element, n) at second n for each n below `count`, `batch` of them at a time and then none for `delay` seconds. `late` has seconds
  by the n after which another element comes for them. A drain leaves it `last_piece` more."""
  class Numbers(beam.DoFn):
    @beam.DoFn.unbounded_per_element()
    def process(
        self, element, tracker=beam.DoFn.RestrictionParam(_Offsets(count, last_piece)),
        estimator=beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())):
      n = begin = tracker.current_restriction().start
      while tracker.try_claim(n):
        yield window.TimestampedValue((element, n), n)
        if late and n in late:
          yield window.TimestampedValue((element, -n), late[n])
        estimator.set_watermark(Timestamp(n))
        n += 1
        if n - begin == batch:
          tracker.defer_remainder(Duration(seconds=delay))
          return

  return beam.ParDo(Numbers())


def write_to(path):
  def write(element):
    with open(path, 'a') as f:
      f.write('%r\n' % (element, ))

  return beam.Map(write)


def lines(path):
  with open(path) as f:
    return f.read().splitlines()


class _running:
  """A pipeline that runs while the block does, and leaves nothing behind."""
  def __init__(self, p):
    self.result = p.run()
    self.id = self.result._job_id

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.result.cancel()
    with contextlib.suppress(RuntimeError):
      self.result.wait_until_finish()

  def drain(self, seconds=20):
    with grpc.insecure_channel(os.environ['JOB_ENDPOINT']) as channel:
      beam_job_api_pb2_grpc.JobServiceStub(channel).Drain(beam_job_api_pb2.DrainJobRequest(job_id=self.id))
    with contextlib.suppress(RuntimeError):
      self.result.wait_until_finish(seconds * 1000)
    return self.result.state


def wait_for(condition, seconds=20):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline, 'waited for %d s' % seconds
    time.sleep(0.02)


class Seen(beam.DoFn):
  STATE = BagStateSpec('seen', VarIntCoder())

  def process(self, element, state=beam.DoFn.StateParam(STATE)):
    key, n = element
    state.add(n)
    seen = list(state.read())
    yield key, (n, len(seen), len(set(seen)))


class Loop(beam.DoFn):
  """Its timer sets itself again for ever."""
  TIMER = TimerSpec('loop', TimeDomain.REAL_TIME)
  STARTED = ReadModifyWriteStateSpec('started', VarIntCoder())

  def process(self, element, started=beam.DoFn.StateParam(STARTED), timer=beam.DoFn.TimerParam(TIMER)):
    if not started.read():
      started.write(1)
      timer.set(Timestamp.now() + 0.1)
    yield element

  @on_timer(TIMER)
  def fire(self, timer=beam.DoFn.TimerParam(TIMER)):
    timer.set(Timestamp.now() + 0.1)


class StreamsTest(unittest.TestCase):
  def setUp(self):
    fd, self.path = tempfile.mkstemp()
    os.close(fd)
    self.addCleanup(os.unlink, self.path)

  def test_late_data_of_a_source(self):
    with pipeline('late', '--streaming') as p:
      panes = (
          p | beam.Create(['k']) | numbers(40, 5, 0.02, late={15: 1, 25: 2, 39: 3})
          | beam.WindowInto(window.FixedWindows(10), trigger=AfterWatermark(late=AfterCount(1)), allowed_lateness=20,
              accumulation_mode=AccumulationMode.DISCARDING)
          | beam.CombinePerKey(beam.combiners.CountCombineFn())
          | beam.MapTuple(lambda k, n, w=beam.DoFn.WindowParam: (int(w.start), n)) | beam.Filter(lambda e: e[1]))
      # what comes for second 3 finds its window expired
      assert_that(panes, equal_to([(0, 10), (0, 1), (0, 1), (10, 10), (20, 10), (30, 10)]))

  def test_two_streams_joined(self):
    with pipeline('join', '--streaming') as p:
      left = p | 'l' >> beam.Create(['a', 'b']) | 'left' >> numbers(20, 5, 0.02) | 'lw' >> beam.WindowInto(window.FixedWindows(10))
      right = p | 'r' >> beam.Create(['a', 'c']) | 'right' >> numbers(20, 3, 0.05) | 'rw' >> beam.WindowInto(window.FixedWindows(10))
      got = (left, right) | beam.CoGroupByKey() | beam.MapTuple(lambda k, v: (k, sum(v[0]), sum(v[1])))
      assert_that(got, equal_to([('a', 45, 45), ('a', 145, 145), ('b', 45, 0), ('b', 145, 0), ('c', 0, 45), ('c', 0, 145)]))

  def test_side_input_of_fixed_windows_that_comes_as_time_goes_by(self):
    now = int(time.time())
    with pipeline('slow-side', '--streaming') as p:
      side = p | 'side' >> PeriodicImpulse(now, now + 3, 1, apply_windowing=True) | beam.Map(lambda t: int(float(t)) - now)
      main = (
          p | 'main' >> beam.Create([window.TimestampedValue(i, now + i) for i in range(3)])
          | beam.WindowInto(window.FixedWindows(1)))
      assert_that(main | 'cross' >> beam.FlatMap(lambda x, ys: [(x, y) for y in ys], beam.pvalue.AsIter(side)),
          equal_to([(i, i) for i in range(3)]))

  def test_side_input_that_changes(self):
    p = pipeline('changing-side', '--streaming')
    side = (
        p | 's' >> beam.Create(['k']) | 'side' >> numbers(ENDLESS, 1, 0.2)
        | 'sw' >> beam.WindowInto(window.GlobalWindows(), trigger=Repeatedly(AfterCount(1)),
            accumulation_mode=AccumulationMode.DISCARDING))
    # with the window, because Python's SDK reads arguments of the global window once in a worker's life (apache/beam #28776)
    _ = (
        p | 'm' >> beam.Create(['k']) | 'main' >> numbers(ENDLESS, 1, 0.1)
        | beam.Map(lambda e, s, w=beam.DoFn.WindowParam: s[1], beam.pvalue.AsSingleton(side)) | write_to(self.path))
    with _running(p):
      wait_for(lambda: len(set(lines(self.path))) >= 4)
    got = [int(line) for line in lines(self.path)]
    self.assertEqual(got, sorted(got))

  def test_drains_fire_what_is_open(self):
    p = pipeline('drain', '--streaming')
    _ = (
        p | beam.Create(['k']) | numbers(ENDLESS, 5, 0.01) | beam.WindowInto(window.FixedWindows(ENDLESS))
        | beam.ParDo(Seen()) | beam.GroupByKey() | beam.MapTuple(lambda k, v: (k, sorted(v) == [(i, i + 1, i + 1) for i in range(len(v))]))
        | write_to(self.path))
    with _running(p) as job:
      time.sleep(1)
      self.assertEqual(job.drain(), 'DRAINED')
    self.assertEqual(lines(self.path), ["('k', True)"])

  def test_drains_whatever_the_source_is_doing(self):
    for delay in (0, 0.01, 0.1):
      p = pipeline('drain', '--streaming')
      _ = p | beam.Create(['k']) | numbers(ENDLESS, 5, delay) | beam.ParDo(Loop()) | write_to(self.path)
      with _running(p) as job:
        count = len(lines(self.path))
        wait_for(lambda: len(lines(self.path)) > count)
        self.assertEqual(job.drain(), 'DRAINED')

  def test_drains_truncate_once(self):
    p = pipeline('truncate', '--streaming')
    _ = p | beam.Create(['k']) | numbers(ENDLESS, 5, 0, last_piece=23) | write_to(self.path)
    with _running(p) as job:
      wait_for(lambda: lines(self.path))
      self.assertEqual(job.drain(), 'DRAINED')
    got = lines(self.path)
    self.assertEqual(got, ["('k', %d)" % i for i in range(len(got))])
    self.assertEqual(len(got) % 5, 3)

  def test_cancelled(self):
    p = pipeline('cancel', '--streaming')
    _ = p | beam.Create(['k']) | numbers(ENDLESS, 5, 0.01) | write_to(self.path)
    with _running(p) as job:
      wait_for(lambda: lines(self.path))
      self.assertEqual(job.result.wait_until_finish(100), 'RUNNING')
      job.result.cancel()
      self.assertEqual(job.result.state, 'CANCELLED')
      time.sleep(0.5)
      count = len(lines(self.path))
      time.sleep(0.5)
      self.assertEqual(len(lines(self.path)), count)

  def test_what_the_users_code_raises_is_told(self):
    def fail(element):
      if element[1] == 17:
        raise ValueError('no seventeen')
      return element

    p = pipeline('raise', '--streaming')
    _ = p | beam.Create(['k']) | numbers(ENDLESS, 5, 0.01) | beam.Map(fail)
    with self.assertRaisesRegex(RuntimeError, '(?s)FAILED.*in fail.*ValueError: no seventeen'):
      p.run().wait_until_finish()

  def test_killed_workers_lose_and_double_nothing(self):
    p = booted_pipeline('killed', '--streaming')
    _ = (
        p | beam.Create(['a', 'b']) | numbers(100, 2, 0.05) | beam.Map(self._note_pid, self.path) | beam.ParDo(Seen())
        | beam.WindowInto(window.FixedWindows(ENDLESS)) | beam.GroupByKey()
        | beam.MapTuple(lambda k, v: (k, sorted(v) == [(i, i + 1, i + 1) for i in range(100)])) | write_to(self.path))
    with _running(p) as job:
      for _ in range(2):
        before = len(lines(self.path))
        wait_for(lambda: len(lines(self.path)) > before + 20)
        with contextlib.suppress(ProcessLookupError):
          os.kill(int(lines(self.path)[-1]), signal.SIGKILL)
      self.assertEqual(job.result.wait_until_finish(30000), 'DONE')
    self.assertEqual(sorted(line for line in lines(self.path) if not line.isdigit()), ["('a', True)", "('b', True)"])

  @staticmethod
  def _note_pid(element, path):
    import os
    with open(path, 'a') as f:
      f.write('%d\n' % os.getpid())
    return element
