"""The pipelines without an end that are measured (bench/latency, bench/soak). Their workers are in the client (LOOPBACK), so that what they
record is in this module's RECORDS.

An element is (number, when the source put it out), the time in seconds since 1970. The source is a splittable DoFn over the numbers; it puts
each of them out when its time has come, and gives the rest back until then (self-checkpoint with a resume time), or waits itself. Its watermark is the time of the
last element.
"""
import os
import threading
import time

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms import trigger, window
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.utils.timestamp import Timestamp

KEYS = 10
EVERY = 'every'  # panes of what is new, at every element
EARLY = 'early'  # panes of the whole window at every element, and one when the watermark has passed it
TRIGGERS = (EVERY, EARLY)


class Records:
  """What the workers saw: (when it was seen, the element's number, how long it had been on its way), in seconds."""
  def __init__(self):
    self._lock, self._seen, self._newest = threading.Lock(), [], {}

  def add(self, number, sent_s):
    now = time.time()
    with self._lock:
      self._seen.append((now, number, now - sent_s))

  def add_new(self, key, elements):
    """Of a pane that may have what was there in panes before."""
    now = time.time()
    with self._lock:
      newest = self._newest.get(key, -1)
      self._seen += [(now, number, now - sent_s) for number, sent_s in elements if number > newest]
      self._newest[key] = max(newest, max(number for number, _ in elements))

  def take(self):
    """All since the last time."""
    with self._lock:
      seen, self._seen = self._seen, []
    return seen


RECORDS = Records()


class Numbers(RestrictionProvider):
  """The restriction of an element (first time, interval in seconds, count) is its numbers."""
  def initial_restriction(self, element):
    return OffsetRange(0, element[2])

  def create_tracker(self, restriction):
    return OffsetRestrictionTracker(restriction)

  def restriction_size(self, element, restriction):
    return restriction.size()

  def truncate(self, element, restriction):
    return None  # a drained source has nothing more to say


class Source(beam.DoFn):
  """Interval 0: as fast as it can. One that polls waits for the next element itself, for as long as the runner lets it."""
  def __init__(self, polls):
    self._polls = polls

  @beam.DoFn.unbounded_per_element()
  def process(self, element, tracker=beam.DoFn.RestrictionParam(Numbers()),
              estimator=beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())):
    first_s, interval_s, _ = element
    restriction = tracker.current_restriction()
    for number in range(restriction.start, restriction.stop):
      due_s = first_s + number * interval_s
      while self._polls and time.time() < due_s and number < tracker.current_restriction().stop:
        time.sleep(0.001)
      if not self._polls and time.time() < due_s:
        tracker.defer_remainder(Timestamp(due_s))
        return
      if not tracker.try_claim(number):
        return
      now = time.time()
      estimator.set_watermark(Timestamp(now))
      yield window.TimestampedValue((number, now), Timestamp(now))
    tracker.try_claim(restriction.stop)


def source(pipeline, interval_s, count, polls=False):
  return (
      pipeline | beam.Create([(interval_s, count)])
      | 'Start' >> beam.Map(lambda e: (time.time(), e[0], e[1])).with_output_types(tuple[float, float, int])
      | beam.ParDo(Source(polls)).with_output_types(tuple[int, float]))


def windowed(values, how):
  if how == EVERY:
    return values | beam.WindowInto(
        window.FixedWindows(1), trigger=trigger.Repeatedly(trigger.AfterCount(1)),
        accumulation_mode=trigger.AccumulationMode.DISCARDING, allowed_lateness=60)
  return values | beam.WindowInto(
      window.FixedWindows(1), trigger=trigger.AfterWatermark(early=trigger.AfterCount(1)),
      accumulation_mode=trigger.AccumulationMode.ACCUMULATING)


def record_group(group):
  for number, sent_s in group[1]:
    RECORDS.add(number, sent_s)


def record_new(group):
  RECORDS.add_new(group[0], list(group[1]))


def build_latency(pipeline, how, interval_s, count, polls=False):
  """Source -> keys -> windows of a second -> GroupByKey, a pane at every element -> ParDo."""
  elements = source(pipeline, interval_s, count, polls)
  keyed = elements | 'Key' >> beam.Map(lambda e: (e[0] % KEYS, e)).with_output_types(tuple[int, tuple[int, float]])
  _ = windowed(keyed, how) | beam.GroupByKey() | beam.Map(record_group if how == EVERY else record_new)
