"""The pipelines without an end that are measured (bench/latency, bench/soak). Their workers are in the client (LOOPBACK), so that what they
record is in this module's RECORDS.

An element is (number, when the source put it out), the time in seconds since 1970. The source is a splittable DoFn over the numbers; it puts
each of them out when its time has come, and gives the rest back until then (self-checkpoint with a resume time), or waits itself. Its watermark is the time of the
last element.
"""
import threading
import time

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms import trigger, userstate, window
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.utils.timestamp import Timestamp

KEYS = 10
EVERY = 'every'  # panes of what is new, at every element
EARLY = 'early'  # panes of the whole window at every element, and one when the watermark has passed it


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


class Counters:
  """Sums of what was added, by place."""
  def __init__(self, places):
    self._lock, self._sums = threading.Lock(), [0] * places

  def add(self, *values):
    with self._lock:
      self._sums = [a + b for a, b in zip(self._sums, values)]

  def get(self):
    with self._lock:
      return tuple(self._sums)


RECORDS = Records()
COUNTED = Counters(2)  # of soak: elements in bags when their window ended, bags
SILENCES = Counters(1)
SILENCE_S = 0.05


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


class Keep(beam.DoFn):
  """State and timers: the numbers of a window in a bag, the last one in a cell, a timer for the end of the window, which counts the bag, and one
  that goes off when a key was silent for a while."""
  BAG = userstate.BagStateSpec('bag', VarIntCoder())
  LAST = userstate.ReadModifyWriteStateSpec('last', VarIntCoder())
  END = userstate.TimerSpec('end', userstate.TimeDomain.WATERMARK)
  SILENCE = userstate.TimerSpec('silence', userstate.TimeDomain.REAL_TIME)

  def process(self, element, window=beam.DoFn.WindowParam, bag=beam.DoFn.StateParam(BAG), last=beam.DoFn.StateParam(LAST),
              end=beam.DoFn.TimerParam(END), silence=beam.DoFn.TimerParam(SILENCE)):
    number, sent_s = element[1]
    bag.add(number)
    last.write(max(number, last.read() or 0))
    end.set(window.end)
    silence.set(Timestamp(time.time() + SILENCE_S))
    RECORDS.add(number, sent_s)

  @userstate.on_timer(END)
  def count(self, bag=beam.DoFn.StateParam(BAG), last=beam.DoFn.StateParam(LAST)):
    COUNTED.add(sum(1 for _ in bag.read()), 1)
    bag.clear()
    last.clear()

  @userstate.on_timer(SILENCE)
  def note_silence(self):
    SILENCES.add(1)


def apart(group):
  for value in group[1]:
    yield group[0], value


def build_soak(pipeline, interval_s):
  """Source without an end -> keys -> windows of a second -> GroupByKey, a pane at every element -> ParDo with state and timers."""
  keyed = source(pipeline, interval_s, 1 << 40) | 'Key' >> beam.Map(lambda e: (e[0] % KEYS, e)).with_output_types(tuple[int, tuple[int, float]])
  _ = (
      windowed(keyed, EVERY) | beam.GroupByKey() | beam.FlatMap(apart).with_output_types(tuple[int, tuple[int, float]])
      | beam.ParDo(Keep()))
