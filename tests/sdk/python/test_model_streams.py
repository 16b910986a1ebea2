"""Streams: a TestStream whose events a service sends."""
import itertools
import unittest

import apache_beam as beam
from apache_beam import coders
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.test_stream_service import TestStreamServiceController
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window

from model_pipeline import pipeline

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
              trigger=beam.trigger.AfterWatermark(late=beam.trigger.AfterCount(1)),
              accumulation_mode=beam.trigger.AccumulationMode.DISCARDING)
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
