"""Cases about user state that the SDK's own tests leave out: what harnesses keep of it from bundle to bundle, and large state."""
import os
import tempfile

import apache_beam as beam
from apache_beam.coders import BytesCoder, VarIntCoder
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec, CombiningValueStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer)
from apache_beam.utils.timestamp import Timestamp


class _CountSoFar(beam.DoFn):
  """For each element how many of its key came before; the bag holds them."""
  BAG = BagStateSpec('bag', VarIntCoder())

  def process(self, element, bag=beam.DoFn.StateParam(BAG)):
    yield len(list(bag.read()))
    bag.add(element[1])


class _FailFirstBundle(beam.DoFn):
  """Fails where the DoFns before it have written their state already."""
  def __init__(self, marker):
    self._marker = marker

  def process(self, element):
    yield element

  def finish_bundle(self):
    if os.path.exists(self._marker):
      os.remove(self._marker)
      raise RuntimeError('the first bundle fails')


class _CollectThenRead(beam.DoFn):
  """Keeps every value, and reads them all at the end and once more after a round of timers."""
  BAG = BagStateSpec('bag', BytesCoder())
  ROUNDS = ReadModifyWriteStateSpec('rounds', VarIntCoder())
  END = TimerSpec('end', TimeDomain.WATERMARK)

  def process(self, element, bag=beam.DoFn.StateParam(BAG), end=beam.DoFn.TimerParam(END)):
    bag.add(element[1])
    end.set(Timestamp(1000))

  @on_timer(END)
  def read(
      self,
      bag=beam.DoFn.StateParam(BAG),
      rounds=beam.DoFn.StateParam(ROUNDS),
      end=beam.DoFn.TimerParam(END)):
    values = list(bag.read())
    yield len(values), sum(len(value) for value in values), sorted({value[:2] for value in values} or {b''})[-1]
    done = (rounds.read() or 0) + 1
    rounds.write(done)
    if done < 3:
      bag.add(b'%02d' % (90 + done))
      end.set(Timestamp(1000 + done))


class _UpToTheValue(RestrictionProvider):
  def initial_restriction(self, element):
    return OffsetRange(0, element[1])

  def create_tracker(self, restriction):
    return OffsetRestrictionTracker(restriction)

  def restriction_size(self, element, restriction):
    return restriction.size()


class _CountClaims(beam.DoFn):
  """Splittable, with state and a timer: counts what it claims by key, and says how much it was at the end of the window."""
  CLAIMED = CombiningValueStateSpec('claimed', sum)
  END = TimerSpec('end', TimeDomain.WATERMARK)

  def process(
      self,
      element,
      window=beam.DoFn.WindowParam,
      claimed=beam.DoFn.StateParam(CLAIMED),
      end=beam.DoFn.TimerParam(END),
      tracker=beam.DoFn.RestrictionParam(_UpToTheValue())):
    position = tracker.current_restriction().start
    while tracker.try_claim(position):
      claimed.add(1)
      position += 1
    end.set(window.max_timestamp())

  @on_timer(END)
  def say(self, key=beam.DoFn.KeyParam, claimed=beam.DoFn.StateParam(CLAIMED)):
    yield key, claimed.read()


class KeyedState:
  """create_pipeline() is the caller's."""
  def test_failed_bundle_leaves_nothing_in_the_cache(self):
    with tempfile.NamedTemporaryFile(delete=False) as marker:
      pass
    with self.create_pipeline() as p:
      counts = (
          p | beam.Create([('k', i) for i in range(5)]) | beam.ParDo(_CountSoFar())
          | beam.ParDo(_FailFirstBundle(marker.name)))
      assert_that(counts, equal_to([0, 1, 2, 3, 4]))
    self.assertFalse(os.path.exists(marker.name))

  def test_bag_of_50_megabytes(self):
    """More than a bundle of input, more than a page of state, and appended to between reads."""
    size, count = 1 << 20, 50
    with self.create_pipeline() as p:
      read = (
          p | beam.Create(range(count)) | beam.Reshuffle()
          | beam.Map(lambda i: ('k', b'%02d' % i + bytes(size - 2))) | beam.ParDo(_CollectThenRead()))
      assert_that(
          read,
          equal_to([(count, size * count, b'49'), (count + 1, size * count + 2, b'91'),
                    (count + 2, size * count + 4, b'92')]))

  def test_splittable_dofn_with_state_and_timers(self):
    with self.create_pipeline() as p:
      counts = (
          p | beam.Create([('a', 1), ('a', 3), ('a', 6), ('b', 4)])
          | 'Stamp' >> beam.Map(lambda kv: window.TimestampedValue(kv, kv[1])).with_output_types(tuple[str, int])
          | beam.WindowInto(window.FixedWindows(5)) | beam.ParDo(_CountClaims()))
      assert_that(counts, equal_to([('a', 4), ('a', 6), ('b', 4)]))
