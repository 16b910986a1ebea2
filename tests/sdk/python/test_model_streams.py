"""Streams: a TestStream whose events a service sends, and windows that a user's function merges."""
import itertools
import unittest

import apache_beam as beam
from apache_beam import coders
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.test_stream_service import TestStreamServiceController
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterProcessingTime, AfterWatermark, DefaultTrigger
from apache_beam.transforms.window import TimestampCombiner, TimestampedValue

from model_pipeline import pipeline
from test_model_windows import BoundedSessions, BrokenMerge, Shelf, Shelves

_CODER = coders.FastPrimitivesCoder()
_Payload = beam_runner_api_pb2.TestStreamPayload
_Event = _Payload.Event


def _element(value, seconds, tag='None'):
  return _Event(element_event=_Event.AddElements(tag=tag, elements=[
      _Payload.TimestampedElement(encoded_element=_CODER.encode(value), timestamp=seconds * 1000000)]))


def _watermark(seconds, tag='None'):
  return _Event(watermark_event=_Event.AdvanceWatermark(tag=tag, new_watermark=seconds * 1000000))


class _Reader:
  """What a TestStreamServiceController reads its events from."""
  def __init__(self, events):
    self._events = events

  def read_multiple(self, labels):
    yield from self._events


class _service:
  def __init__(self, events):
    self._controller = TestStreamServiceController(_Reader(events))

  def __enter__(self):
    self._controller.start()
    return self._controller.endpoint

  def __exit__(self, *_):
    self._controller.stop()


class TestStreamServices(unittest.TestCase):
  def test_panes_follow_the_watermark_that_the_service_sends(self):
    events = [
        _element(('k', 1), 1), _element(('k', 2), 11), _watermark(10), _element(('k', 3), 2), _watermark(20),
        _element(('k', 4), 3)]
    with _service(events) as endpoint, pipeline('service', '--streaming') as p:
      got = (
          p | TestStream(coder=_CODER, endpoint=endpoint) | beam.WindowInto(window.FixedWindows(10), allowed_lateness=100,
              trigger=AfterWatermark(late=AfterCount(1)), accumulation_mode=AccumulationMode.DISCARDING)
          | beam.GroupByKey() | beam.MapTuple(lambda k, v, w=beam.DoFn.WindowParam: (int(w.start), sorted(v)))
          | beam.Filter(lambda e: e[1]))  # the last panes, which Python asks for even when they are empty
      assert_that(got, equal_to([(0, [1]), (0, [3]), (0, [4]), (10, [2])]))

  def test_more_events_than_are_read_ahead(self):
    count = 500
    events = itertools.chain.from_iterable((_element(('k', i), i), _watermark(i)) for i in range(count))
    with _service(events) as endpoint, pipeline('long-service', '--streaming') as p:
      sums = (
          p | TestStream(coder=_CODER, endpoint=endpoint) | beam.WindowInto(window.FixedWindows(100))
          | beam.CombinePerKey(sum))
      assert_that(sums, equal_to([('k', sum(range(i, i + 100))) for i in range(0, count, 100)]))

  def test_two_outputs(self):
    events = [_element(1, 1, 'left'), _watermark(5, 'left'), _element(2, 1, 'right'), _watermark(5, 'right')]
    with _service(events) as endpoint, pipeline('two-outputs', '--streaming') as p:
      both = p | TestStream(coder=_CODER, endpoint=endpoint, output_tags=['left', 'right'])
      assert_that(both['left'], equal_to([1]), label='left')
      assert_that(both['right'], equal_to([2]), label='right')

  def test_a_service_that_breaks_fails_the_job(self):
    def broken():
      yield _element(1, 1)
      raise RuntimeError('the reader broke on purpose')

    with self.assertRaisesRegex(Exception, 'test stream service at .*the reader broke on purpose'):
      with _service(broken()) as endpoint, pipeline('broken-service', '--streaming') as p:
        p | TestStream(coder=_CODER, endpoint=endpoint) | beam.Map(print)

  def test_a_service_that_is_not_there_fails_the_job(self):
    with _service([]) as endpoint:
      pass
    with self.assertRaisesRegex(Exception, 'test stream service at ' + endpoint):
      with pipeline('no-service', '--streaming') as p:
        p | TestStream(coder=_CODER, endpoint=endpoint) | beam.Map(print)


class Describe(beam.DoFn):
  """Panes that are not empty: the key, values, window, timing, whether it is the first."""
  def process(self, element, w=beam.DoFn.WindowParam, pane=beam.DoFn.PaneInfoParam):
    key, values = element
    name = w.name if isinstance(w, Shelf) else (int(w.start), int(w.end))
    values = sorted(values)
    if values:
      yield key, values, name, ('early', 'on time', 'late')[pane.timing], pane.is_first


class MergingWindowsOfAStream(unittest.TestCase):
  def _panes(self, stream, fn, want, trigger=DefaultTrigger(), mode=AccumulationMode.DISCARDING, lateness=0, **more):
    with pipeline('merging-stream', '--streaming') as p:
      got = (
          p | stream | beam.Map(lambda e: e).with_output_types(tuple[str, int])
          | beam.WindowInto(fn, trigger=trigger, accumulation_mode=mode, allowed_lateness=lateness, **more)
          | beam.GroupByKey() | beam.ParDo(Describe()))
      assert_that(got, equal_to(want))

  def test_early_panes_of_sessions_that_end_after_a_while(self):
    at = lambda value, time: TimestampedValue(('k', value), time)
    stream = (
        TestStream(coder=_CODER).add_elements([at(1, 0)]).add_elements([at(2, 5)]).add_elements([at(3, 20)])
        .add_elements([at(4, 12)]).advance_watermark_to(100).advance_watermark_to_infinity())
    self._panes(
        stream, BoundedSessions(10, 25), [
            ('k', [1], (0, 10), 'early', True), ('k', [1, 2], (0, 15), 'early', True), ('k', [3], (20, 30), 'early', True),
            # 12 joins what is before it, and with that the session is full.
            ('k', [1, 2, 4], (0, 22), 'early', True), ('k', [1, 2, 4], (0, 22), 'on time', False),
            ('k', [3], (20, 30), 'on time', False)],
        AfterWatermark(early=AfterCount(1)), AccumulationMode.ACCUMULATING)

  def test_early_panes_of_windows_of_an_unknown_coder(self):
    at = lambda key, time: TimestampedValue((key, time), time)
    stream = (
        TestStream(coder=_CODER).add_elements([at('a', 11), at('b', 11), at('a', 13), at('a', 19)])
        .add_elements([at('a', 12), at('b', 14), at('c', 21)]).advance_watermark_to(30).advance_watermark_to_infinity())
    self._panes(
        stream, Shelves(), [
            ('a', [11, 13], '1x', 'early', True), ('a', [12], '1x', 'on time', False), ('a', [19], '19', 'on time', True),
            ('b', [11, 14], '1x', 'early', True), ('c', [21], '2x', 'on time', True)],
        AfterWatermark(early=AfterCount(2)))

  def test_late_panes_and_what_is_too_late(self):
    at = lambda value, time: TimestampedValue(('k', value), time)
    stream = (
        TestStream(coder=_CODER).add_elements([at(1, 0), at(2, 5)]).advance_watermark_to(20).add_elements([at(3, 8)])
        .add_elements([at(4, 30)]).advance_watermark_to(50).add_elements([at(5, 1)]).advance_watermark_to_infinity())
    self._panes(
        stream, BoundedSessions(10, 25), [
            ('k', [1, 2], (0, 15), 'on time', True), ('k', [3], (0, 18), 'late', True), ('k', [4], (30, 40), 'on time', True)],
        AfterWatermark(late=AfterCount(1)), lateness=30)

  def test_a_trigger_of_processing_time(self):
    at = lambda value, time: TimestampedValue(('k', value), time)
    stream = (
        TestStream(coder=_CODER).add_elements([at(1, 0)]).advance_processing_time(3).add_elements([at(2, 5)])
        .advance_processing_time(10).add_elements([at(3, 9)]).advance_watermark_to_infinity())
    self._panes(
        stream, BoundedSessions(10, 25), [('k', [1, 2], (0, 15), 'early', True), ('k', [3], (0, 19), 'on time', True)],
        AfterWatermark(early=AfterProcessingTime(5)))

  def test_many_keys_while_the_watermark_moves(self):
    keys, times = ['k%d' % i for i in range(40)], range(0, 60, 4)
    stream = TestStream(coder=_CODER)
    for i, time in enumerate(times):
      stream = stream.add_elements([TimestampedValue((key, time), time) for key in keys])
      if i % 5 == 4:
        stream = stream.advance_watermark_to(time - 12)
    sessions = [([0, 4, 8, 12], (0, 22)), ([16, 20, 24, 28], (16, 38)), ([32, 36, 40, 44], (32, 54)), ([48, 52, 56], (48, 66))]
    self._panes(
        stream.advance_watermark_to_infinity(), BoundedSessions(10, 25),
        [(key, values, w, 'on time', True) for key in keys for values, w in sessions],
        timestamp_combiner=TimestampCombiner.OUTPUT_AT_EARLIEST)

  def test_an_error_of_the_users_merge_is_told(self):
    stream = TestStream(coder=_CODER).add_elements([TimestampedValue(('k', 1), 1)]).advance_watermark_to_infinity()
    with self.assertRaisesRegex(Exception, 'this merge is broken on purpose'):
      self._panes(stream, BrokenMerge(10, 25), [])

  def test_side_inputs_in_windows_that_could_merge_are_not_merged(self):
    with pipeline('merging-side', '--streaming') as p:
      side = (
          p | 'Side' >> TestStream(coder=_CODER).add_elements([TimestampedValue('s', 13)]).advance_watermark_to_infinity()
          | 'SideWindows' >> beam.WindowInto(Shelves()))
      main = (
          p | 'Main' >> TestStream(coder=_CODER).add_elements([TimestampedValue('m', 13)]).advance_watermark_to_infinity()
          | 'MainWindows' >> beam.WindowInto(window.FixedWindows(14)))
      got = main | beam.Map(lambda m, s: (m, list(s)), beam.pvalue.AsIter(side))
      assert_that(got, equal_to([('m', ['s'])]))
