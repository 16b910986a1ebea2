"""Transforms by their shape: flattens, redistribution, batches, outputs, composites, and what only a raw proto can ask for."""
import typing
import unittest

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window
from apache_beam.transforms.util import GroupIntoBatches
from apache_beam.transforms.window import TimestampedValue

from model_pipeline import pipeline


class Metadata(beam.DoFn):
  def process(self, element, w=beam.DoFn.WindowParam, t=beam.DoFn.TimestampParam, pane=beam.DoFn.PaneInfoParam):
    yield element, int(t), int(w.start), int(w.end), pane.index


def _windowed(p):
  return (
      p | beam.Create([('a', 1, 3), ('a', 2, 14), ('b', 3, 5)])
      | beam.MapTuple(lambda k, v, t: TimestampedValue((k, v), t)).with_output_types(typing.Tuple[str, int])
      | beam.WindowInto(window.FixedWindows(10)))


_WINDOWED = [(('a', 1), 3, 0, 10, 0), (('a', 2), 14, 10, 20, 0), (('b', 3), 5, 0, 10, 0)]


class Raw(beam.PTransform):
  """A transform that is nothing but a URN: a leaf, with the output's coder and windowing those of the input."""
  def __init__(self, urn, payload=None, output_type=None):
    super().__init__()
    self.urn, self.payload, self.output_type = urn, payload, output_type

  def expand(self, pcoll):
    out = pvalue.PCollection.from_(pcoll)
    out.element_type = self.output_type or pcoll.element_type
    return out

  def to_runner_api_parameter(self, context):
    return self.urn, self.payload


class Redistribution(unittest.TestCase):
  def _keeps(self, transform):
    with pipeline('redistribute') as p:
      assert_that(_windowed(p) | transform | beam.ParDo(Metadata()), equal_to(_WINDOWED))

  def test_reshuffle(self):
    self._keeps(beam.Reshuffle())

  def test_reshuffle_per_key(self):
    self._keeps(beam.transforms.util.ReshufflePerKey())

  def test_redistribute_by_key(self):
    self._keeps(Raw('beam:transform:redistribute_by_key:v1'))

  def test_redistribute_arbitrarily(self):
    self._keeps(Raw('beam:transform:redistribute_arbitrarily:v1'))


class Flattens(unittest.TestCase):
  def test_mismatched_coders(self):
    with pipeline('flatten-coders') as p:
      ints = p | 'Ints' >> beam.Create([1, 2]).with_output_types(int)
      strings = p | 'Strings' >> beam.Create(['a']).with_output_types(str)
      pairs = p | 'Pairs' >> beam.Create([('k', 1)]) | beam.GroupByKey() | beam.MapTuple(lambda k, v: (k, list(v)))
      got = (ints, strings, pairs) | beam.Flatten()
      assert_that(got, equal_to([1, 2, 'a', ('k', [1])]))

  def test_mismatched_coders_of_grouped_data(self):
    with pipeline('flatten-grouped') as p:
      grouped = p | 'Left' >> beam.Create([('k', 1)]) | beam.GroupByKey()
      lists = p | 'Right' >> beam.Create([('k', [2])])
      got = (grouped, lists) | beam.Flatten() | beam.MapTuple(lambda k, v: (k, list(v)))
      assert_that(got, equal_to([('k', [1]), ('k', [2])]))

  def test_no_input(self):
    with pipeline('flatten-nothing') as p:
      nothing = () | beam.Flatten(pipeline=p)
      assert_that(nothing | beam.Map(lambda x: x), equal_to([]))
      assert_that(nothing | beam.Map(lambda x: ('k', x)).with_output_types(typing.Tuple[str, int]) | beam.GroupByKey(),
                  equal_to([]), label='grouped')

  def test_no_input_as_a_side_input(self):
    with pipeline('flatten-nothing-side') as p:
      nothing = () | beam.Flatten(pipeline=p)
      got = p | beam.Create([1]) | 'Use' >> beam.Map(lambda x, it: (x, list(it)), pvalue.AsIter(nothing))
      assert_that(got, equal_to([(1, [])]))

  def test_the_same_input_twice(self):
    with pipeline('flatten-twice') as p:
      one = p | beam.Create([1, 2])
      assert_that((one, one) | beam.Flatten(), equal_to([1, 1, 2, 2]))

  def test_the_same_input_twice_grouped(self):
    with pipeline('flatten-twice-grouped') as p:
      one = p | beam.Create([('k', 1)])
      got = (one, one, one) | beam.Flatten() | beam.GroupByKey() | beam.MapTuple(lambda k, v: (k, list(v)))
      assert_that(got, equal_to([('k', [1, 1, 1])]))

  def test_of_flattens_and_of_one_output_and_its_source(self):
    with pipeline('flatten-deep') as p:
      one = p | beam.Create([1])
      two = one | beam.Map(lambda x: x + 1)
      inner = (one, two) | 'Inner' >> beam.Flatten()
      assert_that((inner, one, inner) | 'Outer' >> beam.Flatten(), equal_to([1, 2, 1, 1, 2]))

  def test_windowed_inputs(self):
    with pipeline('flatten-windows') as p:
      one = _windowed(p)
      two = one | beam.MapTuple(lambda k, v: (k, -v))
      got = (one, two) | beam.Flatten() | beam.GroupByKey() | beam.MapTuple(lambda k, v: (k, sorted(v)))
      assert_that(got, equal_to([('a', [-1, 1]), ('a', [-2, 2]), ('b', [-3, 3])]))


class Batches(unittest.TestCase):
  def _sizes(self, transform, key=lambda k: k):
    with pipeline('batches') as p:
      got = p | beam.Create([('k%d' % (i % 3), i) for i in range(100)]) | transform
      elements = got | beam.FlatMapTuple(lambda k, batch: [(key(k), v) for v in batch])
      largest = got | beam.MapTuple(lambda k, batch: len(batch)) | beam.CombineGlobally(max)
      assert_that(elements, equal_to([('k%d' % (i % 3), i) for i in range(100)]), label='elements')
      assert_that(largest, equal_to([10]), label='largest')

  def test_group_into_batches(self):
    self._sizes(GroupIntoBatches(10))

  def test_with_sharded_keys(self):
    self._sizes(GroupIntoBatches.WithShardedKey(10), lambda sharded: sharded.key)

  def test_batch_elements(self):
    with pipeline('batch-elements') as p:
      got = p | beam.Create(range(100)) | beam.BatchElements(10, 10) | beam.FlatMap(lambda batch: batch)
      assert_that(got, equal_to(range(100)))


class Outputs(unittest.TestCase):
  def test_several_of_which_some_are_not_read(self):
    def sort(x):
      yield x
      yield pvalue.TaggedOutput('even' if x % 2 == 0 else 'odd', x)
      yield pvalue.TaggedOutput('unread', 'text')

    with pipeline('outputs') as p:
      outs = p | beam.Create(range(6)) | beam.FlatMap(sort).with_outputs('even', 'odd', 'unread', main='all')
      assert_that(outs.even, equal_to([0, 2, 4]), label='even')
      assert_that(outs.all, equal_to(range(6)), label='all')

  def test_an_undeclared_output(self):
    with pipeline('undeclared') as p:
      outs = p | beam.Create([1]) | beam.FlatMap(lambda x: [pvalue.TaggedOutput('surprise', x), x]).with_outputs(main='m')
      assert_that(outs.m, equal_to([1]))

  def test_no_output_is_read(self):
    with pipeline('unread') as p:
      p | beam.Create([1]) | beam.FlatMap(lambda x: [pvalue.TaggedOutput('a', x)]).with_outputs('a', main='m')

  def test_partition(self):
    with pipeline('partition') as p:
      parts = p | beam.Create(range(9)) | beam.Partition(lambda x, n: x % n, 3)
      assert_that(parts[0], equal_to([0, 3, 6]), label='0')
      assert_that(parts[2], equal_to([2, 5, 8]), label='2')

  def test_an_output_in_another_coder_that_is_grouped_and_flattened(self):
    with pipeline('outputs-flattened') as p:
      outs = p | beam.Create([('a', 1), ('b', 2)]) | beam.FlatMap(
          lambda kv: [kv, pvalue.TaggedOutput('text', '%s%d' % kv)]).with_outputs('text', main='pairs')
      pairs = outs.pairs | beam.Map(lambda kv: kv).with_output_types(typing.Tuple[str, int])
      got = (pairs | beam.GroupByKey() | 'Key' >> beam.Map(lambda kv: kv[0]), outs.text) | beam.Flatten()
      assert_that(got, equal_to(['a', 'b', 'a1', 'b2']))


class Nothing(beam.PTransform):
  def expand(self, pcoll):
    return pcoll


class Wrapped(beam.PTransform):
  def expand(self, pcoll):
    return pcoll | Nothing() | beam.Map(lambda x: x + 1) | 'Inner' >> Nothing()


class Composites(unittest.TestCase):
  def test_without_payload_or_without_content(self):
    with pipeline('composites') as p:
      got = p | beam.Create([1]) | Nothing() | Wrapped() | 'Again' >> Wrapped() | 'Last' >> Nothing()
      assert_that(got, equal_to([3]))

  def test_co_group_by_key(self):
    with pipeline('cogroup') as p:
      left, right = p | 'Left' >> beam.Create([('a', 1), ('b', 2)]), p | 'Right' >> beam.Create([('a', 'x'), ('c', 'y')])
      got = {'l': left, 'r': right} | beam.CoGroupByKey() | beam.MapTuple(
          lambda k, groups: (k, sorted(groups['l']), sorted(groups['r'])))
      assert_that(got, equal_to([('a', [1], ['x']), ('b', [2], []), ('c', [], ['y'])]))

  def test_to_string_by_the_sdk(self):
    with pipeline('to-string') as p:
      got = p | beam.Create([('a', 1), ('b', 2)]) | Raw(
          'beam:transform:to_string:v1', output_type=typing.Tuple[str, str]) | beam.Map(lambda kv: kv)
      assert_that(got, equal_to([('a', '1'), ('b', '2')]))

  def test_distinct_and_top(self):
    with pipeline('distinct') as p:
      got = p | beam.Create([1, 2, 2, 3, 3, 3]) | beam.Distinct() | beam.combiners.Top.Largest(2)
      assert_that(got, equal_to([[3, 2]]))
