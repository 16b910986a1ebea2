"""Windows that a user's function merges, and side inputs in windows of other kinds than the main input's."""
import typing
import unittest

import apache_beam as beam
from apache_beam import coders
from apache_beam.coders.coders import IntervalWindowCoder
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window
from apache_beam.transforms.window import TimestampCombiner, TimestampedValue

from model_pipeline import booted_pipeline, pipeline


class Shelf(window.BoundedWindow):
  """A window that is no interval: a name and the end of time in it. Its coder is the SDK's, unknown to any runner."""
  def __init__(self, name, end):
    super().__init__(end)
    self.name = name

  def __hash__(self):
    return hash((self.name, self.end))

  def __eq__(self, other):
    return (self.name, self.end) == (other.name, other.end)

  def __repr__(self):
    return 'Shelf(%s, %s)' % (self.name, self.end)


class ShelfCoder(coders.Coder):
  def encode(self, shelf):
    return ('%s@%d' % (shelf.name, shelf.end.micros // 1000)).encode()

  def decode(self, encoded):
    name, millis = encoded.decode().split('@')
    return Shelf(name, beam.utils.timestamp.Timestamp(micros=int(millis) * 1000))

  def is_deterministic(self):
    return True


class Shelves(window.NonMergingWindowFn):
  """Each element on the shelf of its number's tens and units; those of the same tens merge, unless the units are 9."""
  def assign(self, context):
    number = int(context.timestamp)
    return [Shelf('%02d' % number, beam.utils.timestamp.Timestamp(number + 1))]

  def is_merging(self):
    return True

  def merge(self, context):
    by_tens = {}
    for shelf in context.windows:
      if not shelf.name.endswith('9'):
        by_tens.setdefault(shelf.name[:-1], []).append(shelf)
    for tens, shelves in by_tens.items():
      context.merge(shelves, Shelf(tens + 'x', max(s.end for s in shelves)))

  def get_window_coder(self):
    return ShelfCoder()


class BoundedSessions(window.WindowFn):
  """Sessions that end after a while: the usual example of a merge that only the user's code can do. Interval windows."""
  def __init__(self, gap, longest):
    self.gap, self.longest = gap, longest

  def assign(self, context):
    return [window.IntervalWindow(context.timestamp, context.timestamp + self.gap)]

  def merge(self, context):
    together = []
    for w in sorted(context.windows, key=lambda w: w.start):
      if together and w.start < together[-1].end and w.end - together[0].start <= self.longest:
        together.append(w)
        continue
      self._merge(context, together)
      together = [w]
    self._merge(context, together)

  def _merge(self, context, together):
    if len(together) > 1:
      context.merge(together, window.IntervalWindow(together[0].start, together[-1].end))

  def get_window_coder(self):
    return IntervalWindowCoder()


class BrokenMerge(BoundedSessions):
  def merge(self, context):
    raise RuntimeError('this merge is broken on purpose')


class Describe(beam.DoFn):
  def process(self, element, w=beam.DoFn.WindowParam, t=beam.DoFn.TimestampParam, pane=beam.DoFn.PaneInfoParam):
    key, values = element
    name = w.name if isinstance(w, Shelf) else (int(w.start), int(w.end))
    yield key, sorted(values), name, t.micros // 1000, pane.is_first, pane.is_last


_FIRST_THREE = beam.Map(lambda e: e[:3]).with_output_types(typing.Any)


class _timed(beam.PTransform):
  """Triples of key, value and timestamp as timestamped pairs."""
  def __init__(self, *elements):
    super().__init__()
    self.elements = elements

  def expand(self, pbegin):
    at = beam.MapTuple(lambda key, value, time: TimestampedValue((key, value), time))
    return pbegin | beam.Create(self.elements) | at.with_output_types(tuple[str, int])


class MergingWindows(unittest.TestCase):
  def _shelves(self, combiner, want):
    with pipeline('shelves') as p:
      got = (
          p | _timed(('a', 1, 11), ('a', 2, 13), ('a', 3, 19), ('a', 4, 21), ('b', 5, 13), ('b', 6, 11), ('b', 7, 13))
          | beam.WindowInto(Shelves(), timestamp_combiner=combiner) | beam.GroupByKey() | beam.ParDo(Describe()))
      assert_that(got, equal_to(want))

  def test_windows_of_an_unknown_coder_at_their_end(self):
    self._shelves(TimestampCombiner.OUTPUT_AT_EOW, [
        ('a', [1, 2], '1x', 13999, True, True), ('a', [3], '19', 19999, True, True), ('a', [4], '2x', 21999, True, True),
        ('b', [5, 6, 7], '1x', 13999, True, True)])

  def test_windows_of_an_unknown_coder_at_the_earliest(self):
    self._shelves(TimestampCombiner.OUTPUT_AT_EARLIEST, [
        ('a', [1, 2], '1x', 11000, True, True), ('a', [3], '19', 19000, True, True), ('a', [4], '2x', 21000, True, True),
        ('b', [5, 6, 7], '1x', 11000, True, True)])

  def test_windows_of_an_unknown_coder_at_the_latest(self):
    self._shelves(TimestampCombiner.OUTPUT_AT_LATEST, [
        ('a', [1, 2], '1x', 13000, True, True), ('a', [3], '19', 19000, True, True), ('a', [4], '2x', 21000, True, True),
        ('b', [5, 6, 7], '1x', 13000, True, True)])

  def test_bounded_sessions(self):
    with pipeline('bounded-sessions') as p:
      got = (
          p | _timed(*[('k', i, 5 * i) for i in range(10)]) | beam.WindowInto(BoundedSessions(10, 25))
          | beam.GroupByKey() | beam.ParDo(Describe()) | _FIRST_THREE)
      assert_that(got, equal_to([('k', [0, 1, 2, 3], (0, 25)), ('k', [4, 5, 6, 7], (20, 45)), ('k', [8, 9], (40, 55))]))

  def test_a_combine_sees_merged_windows_and_a_second_grouping_leaves_them(self):
    with pipeline('combine-merged') as p:
      sums = (
          p | _timed(*[('k%d' % (i % 3), i, i) for i in range(60)]) | beam.WindowInto(BoundedSessions(10, 30))
          | beam.CombinePerKey(sum))
      again = sums | beam.GroupByKey() | beam.ParDo(Describe())
      want = {}
      for key in range(3):
        # each session: from its first element on, all that end within 30 of it
        first = None
        for i in range(key, 60, 3):
          if first is None or i + 10 - first > 30:
            first = i
          want.setdefault(first, []).append(i)
      ends = {first: max(v) + 10 for first, v in want.items()}
      assert_that(
          again | beam.Map(lambda e: (e[1], e[2])).with_output_types(typing.Any),
          equal_to([([sum(v)], (first, ends[first])) for first, v in want.items()]))

  def test_many_keys_with_many_different_windows(self):
    count = 20000

    def spread(i):
      for j in range(1 + i % 5):
        yield TimestampedValue(('key%d' % i, j), 7 * (i % 1000) + 3 * j)

    with pipeline('many-keys') as p:
      groups = (
          p | beam.Create(range(count), reshuffle=False) | beam.FlatMap(spread).with_output_types(tuple[str, int])
          | beam.WindowInto(BoundedSessions(10, 100)) | beam.GroupByKey() | beam.ParDo(Describe()))
      wrong = groups | beam.Filter(lambda e: e[1] != list(range(1 + int(e[0][3:]) % 5)))
      assert_that(wrong, equal_to([]), label='whole')
      assert_that(groups | 'Unwindowed' >> beam.WindowInto(window.GlobalWindows()) | beam.combiners.Count.Globally(), equal_to([count]), label='all')

  def test_one_key_with_many_windows(self):
    with pipeline('many-windows') as p:
      groups = (
          p | beam.Create(range(30000), reshuffle=False) | beam.Map(lambda i: TimestampedValue(('k', i), 20 * i)).with_output_types(tuple[str, int])
          | beam.WindowInto(BoundedSessions(10, 100)) | beam.GroupByKey())
      assert_that(groups | 'Unwindowed' >> beam.WindowInto(window.GlobalWindows()) | beam.combiners.Count.Globally(), equal_to([30000]))

  def test_workers_that_the_runner_starts_merge_as_well(self):
    with booted_pipeline('booted-merge') as p:
      got = (
          p | _timed(('k', 1, 1), ('k', 2, 5)) | beam.WindowInto(BoundedSessions(10, 25)) | beam.GroupByKey()
          | beam.ParDo(Describe()) | _FIRST_THREE)
      assert_that(got, equal_to([('k', [1, 2], (1, 15))]))

  def test_an_error_of_the_users_merge_is_told(self):
    with self.assertRaisesRegex(Exception, 'this merge is broken on purpose'):
      with pipeline('broken-merge') as p:
        p | _timed(('k', 1, 1)) | beam.WindowInto(BrokenMerge(10, 25)) | beam.GroupByKey() | beam.Map(print)


class WindowedSideInputs(unittest.TestCase):
  def _read(self, main_fn, side_fn, want):
    with pipeline('windowed-side') as p:
      side = p | 'Side' >> _timed(*[('s', i, i) for i in range(0, 40, 10)]) | 'SideWindows' >> beam.WindowInto(side_fn)
      main = p | 'Main' >> _timed(*[('m', i, i) for i in range(5, 40, 10)]) | 'MainWindows' >> beam.WindowInto(main_fn)
      got = main | beam.Map(lambda m, s: (m[1], sorted(v for _, v in s)), beam.pvalue.AsIter(side | beam.Values() | beam.Map(
          lambda v: ('s', v))))
      assert_that(got, equal_to(want))

  def test_fixed_in_fixed(self):
    self._read(window.FixedWindows(10), window.FixedWindows(20), [(5, [0, 10]), (15, [0, 10]), (25, [20, 30]), (35, [20, 30])])

  def test_fixed_in_global(self):
    self._read(window.FixedWindows(10), window.GlobalWindows(), [(i, [0, 10, 20, 30]) for i in (5, 15, 25, 35)])

  def test_fixed_in_sliding(self):
    # The side window is the one that the main window's last moment is assigned to; of several, the last that starts.
    with pipeline('sliding-side') as p:
      side = p | 'Side' >> _timed(*[('s', i, i) for i in range(0, 40, 10)]) | 'SideWindows' >> beam.WindowInto(
          window.SlidingWindows(20, 10))
      main = p | 'Main' >> _timed(('m', 25, 25)) | 'MainWindows' >> beam.WindowInto(window.FixedWindows(10))
      got = main | beam.Map(lambda m, s: (m[1], len(list(s))), beam.pvalue.AsIter(side))
      assert_that(got, equal_to([(25, 2)]))

  def test_sessions_in_fixed(self):
    self._read(window.Sessions(5), window.FixedWindows(20), [(5, [0, 10]), (15, [0, 10]), (25, [20, 30]), (35, [20, 30])])

  def test_a_window_that_the_side_input_does_not_have_is_empty(self):
    with pipeline('absent-window') as p:
      side = p | 'Side' >> _timed(('s', 1, 1)) | 'SideWindows' >> beam.WindowInto(window.FixedWindows(10))
      main = p | 'Main' >> _timed(('m', 25, 25), ('m', 5, 5)) | 'MainWindows' >> beam.WindowInto(window.FixedWindows(10))
      got = main | beam.Map(lambda m, s, d: (m[1], list(s), d), beam.pvalue.AsIter(side),
                            beam.pvalue.AsSingleton(side, default_value='none'))
      assert_that(got, equal_to([(25, [], 'none'), (5, [('s', 1)], ('s', 1))]))

  def test_custom_windows_as_side_windows(self):
    with pipeline('shelf-side') as p:
      side = p | 'Side' >> _timed(('s', 1, 13), ('s', 2, 25)) | 'SideWindows' >> beam.WindowInto(Shelves())
      main = p | 'Main' >> _timed(('m', 1, 13)) | 'MainWindows' >> beam.WindowInto(window.FixedWindows(14))
      got = main | beam.Map(lambda m, s: (m, list(s)), beam.pvalue.AsIter(side))
      assert_that(got, equal_to([(('m', 1), [('s', 1)])]))
