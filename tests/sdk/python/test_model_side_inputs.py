"""Side inputs: every kind of access, several at once, large ones, and in transforms that are more than a ParDo."""
import typing
import unittest

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.pvalue import AsDict, AsIter, AsList, AsMultiMap, AsSingleton
from apache_beam.testing.util import assert_that, equal_to

from model_pipeline import booted_pipeline, pipeline


class _SpreadProvider(beam.transforms.core.RestrictionProvider):
  def initial_restriction(self, element):
    return OffsetRange(0, element)

  def create_tracker(self, restriction):
    return OffsetRestrictionTracker(restriction)

  def restriction_size(self, element, restriction):
    return restriction.size()

  def split(self, element, restriction):
    yield from restriction.split(2)


class SplitSpread(beam.DoFn):
  """A splittable DoFn with side inputs: 0 .. element - 1, times a factor."""
  def process(self, element, factor, names, tracker=beam.DoFn.RestrictionParam(_SpreadProvider())):
    at = tracker.current_restriction().start
    while tracker.try_claim(at):
      yield names[at % len(names)], at * factor
      at += 1


class SumUpTo(beam.CombineFn):
  """Sums with a limit that comes as a side input, in every method."""
  def create_accumulator(self, limit):
    return 0

  def add_input(self, total, value, limit):
    return min(total + value, limit)

  def merge_accumulators(self, totals, limit):
    return min(sum(totals), limit)

  def extract_output(self, total, limit):
    return total, limit


class CountsReads(beam.DoFn):
  """How many values a multimap has for some keys, and that an absent key has none."""
  def process(self, element, table):
    yield element, sum(1 for _ in table[element]), len(list(table['no such key']))


class SideInputs(unittest.TestCase):
  def test_every_kind_at_once(self):
    def use(x, one, default, several, listed, table, multi):
      return x, one, default, sorted(several), sorted(listed), table[x], sorted(multi[x])

    with pipeline('all-sides') as p:
      pairs = p | 'Pairs' >> beam.Create([('a', 1), ('b', 2)])
      more = p | 'More' >> beam.Create([('a', 1), ('b', 2), ('a', 3)])
      got = p | beam.Create(['a', 'b']) | beam.Map(
          use, AsSingleton(p | 'One' >> beam.Create([7])), AsSingleton(p | 'Empty' >> beam.Create([]), default_value=-1),
          AsIter(p | 'Several' >> beam.Create([3, 1])), AsList(p | 'List' >> beam.Create([5])), AsDict(pairs),
          AsMultiMap(more))
      assert_that(got, equal_to([('a', 7, -1, [1, 3], [5], 1, [1, 3]), ('b', 7, -1, [1, 3], [5], 2, [2])]))

  def test_the_same_collection_read_in_two_ways_and_as_the_main_input(self):
    with pipeline('two-ways') as p:
      pairs = p | beam.Create([('a', 1), ('b', 2)])
      got = pairs | beam.Map(lambda kv, it, multi: (kv[0], len(list(it)), list(multi[kv[0]])), AsIter(pairs), AsMultiMap(pairs))
      assert_that(got, equal_to([('a', 2, [1]), ('b', 2, [2])]))

  def test_a_side_input_made_of_a_side_input(self):
    with pipeline('chained-sides') as p:
      first = p | 'First' >> beam.Create([2])
      second = p | 'Second' >> beam.Create([1, 2, 3]) | beam.Map(lambda x, f: x * f, AsSingleton(first))
      got = p | 'Main' >> beam.Create([0]) | 'Use' >> beam.Map(lambda x, s, f: (sorted(s), f), AsIter(second), AsSingleton(first))
      assert_that(got, equal_to([([2, 4, 6], 2)]))

  def test_grouped_data_as_a_side_input(self):
    with pipeline('grouped-side') as p:
      grouped = p | beam.Create([('a', i) for i in range(1000)]) | beam.GroupByKey()
      got = p | 'Main' >> beam.Create([0]) | beam.Map(lambda x, d: sum(d['a']), AsDict(grouped))
      assert_that(got, equal_to([499500]))

  def test_a_combine_per_key(self):
    with pipeline('combine-side') as p:
      limit = p | 'Limit' >> beam.Create([10])
      got = p | beam.Create([('a', 4), ('a', 3), ('b', 8), ('b', 9)]) | beam.CombinePerKey(SumUpTo(), AsSingleton(limit))
      assert_that(got, equal_to([('a', (7, 10)), ('b', (10, 10))]))

  def test_a_combine_of_everything(self):
    with pipeline('combine-all-side') as p:
      limit = p | 'Limit' >> beam.Create([10])
      got = p | beam.Create([4, 3, 8]) | beam.CombineGlobally(SumUpTo(), AsSingleton(limit))
      assert_that(got, equal_to([(10, 10)]))

  def test_a_splittable_dofn(self):
    with pipeline('sdf-side') as p:
      factor, names = p | 'Factor' >> beam.Create([10]), p | 'Names' >> beam.Create(['n'])
      got = p | beam.Create([5, 3]) | beam.ParDo(SplitSpread(), AsSingleton(factor), AsList(names))
      assert_that(got, equal_to([('n', 10 * i) for n in (5, 3) for i in range(n)]))

  def test_a_large_list(self):
    with pipeline('large-list') as p:
      large = p | 'Large' >> beam.Create(range(30000), reshuffle=False) | beam.Map(lambda i: (i, b'x' * 1000))
      got = p | 'Main' >> beam.Create([1, 2, 3]) | 'Use' >> beam.Map(
          lambda x, it: (x, sum(len(v) for _, v in it)), AsIter(large))
      assert_that(got, equal_to([(i, 30000 * 1000) for i in (1, 2, 3)]))


def _table(p, name):
  """Small keys, and one whose values are far more than a page, or sixteen."""
  small = p | name + 'Small' >> beam.Create(range(500), reshuffle=False) | name + 'Keys' >> beam.Map(
      lambda i: ('k%d' % (i % 50), 'v')).with_output_types(typing.Tuple[str, str])
  hot = p | name + 'Hot' >> beam.Create(range(30000), reshuffle=False) | name + 'HotKeys' >> beam.Map(
      lambda i: ('hot', 'v' * 1000)).with_output_types(typing.Tuple[str, str])
  return (small, hot) | name + 'Both' >> beam.Flatten()


class WholeMultimaps(unittest.TestCase):
  """Workers that know of it read keys with their values; LOOPBACK's do not know, and look keys up."""
  def _small(self, p):
    pairs = p | 'Pairs' >> beam.Create([('a', 1), ('b', 2), ('a', 3)])
    got = p | beam.Create(['a', 'b', 'c']) | beam.ParDo(CountsReads(), AsMultiMap(pairs))
    assert_that(got, equal_to([('a', 2, 0), ('b', 1, 0), ('c', 0, 0)]))

  def _large(self, p):
    got = p | beam.Create(['k0', 'k49', 'hot']) | beam.ParDo(CountsReads(), AsMultiMap(_table(p, 'T')))
    assert_that(got, equal_to([('k0', 10, 0), ('k49', 10, 0), ('hot', 30000, 0)]))

  def _many(self, p):
    table = p | 'Many' >> beam.Create(range(5000), reshuffle=False) | 'Keys' >> beam.Map(
        lambda i: ('k%d' % i, 'v')).with_output_types(typing.Tuple[str, str])
    got = p | beam.Create(['k0', 'k4999']) | beam.ParDo(CountsReads(), AsMultiMap(table))
    assert_that(got, equal_to([('k0', 1, 0), ('k4999', 1, 0)]))

  def test_small_in_loopback(self):
    with pipeline('multimap') as p:
      self._small(p)

  def test_small(self):
    with booted_pipeline('booted-multimap') as p:
      self._small(p)

  def test_a_key_with_more_values_than_one_message_should_hold(self):
    with booted_pipeline('booted-hot-key') as p:
      self._large(p)

  def test_a_key_with_more_values_than_one_message_should_hold_in_loopback(self):
    with pipeline('hot-key') as p:
      self._large(p)

  def test_more_keys_than_are_read_at_once(self):
    with booted_pipeline('booted-many-keys') as p:
      self._many(p)
