"""Elements that come too late: what counters say of them."""
import unittest

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import trigger, userstate, window
from apache_beam.transforms.window import TimestampedValue

from model_pipeline import pipeline


def _counters(result, name):
  return {
      (counter.key.step, counter.key.metric.namespace): counter.committed
      for counter in result.metrics().query(MetricsFilter().with_name(name))['counters']
  }


class Count(beam.DoFn):
  SEEN = userstate.BagStateSpec('seen', VarIntCoder())

  def process(self, element, seen=beam.DoFn.StateParam(SEEN)):
    seen.add(element[1])
    yield sum(seen.read())


class DroppedTest(unittest.TestCase):
  """What comes too late is dropped, and said to have been."""
  def _run(self, name, make, expected, **windowing):
    p = pipeline(name, '--streaming', '--allow_unsafe_triggers')
    stream = (
        TestStream(coder=VarIntCoder())
        .advance_watermark_to(0).add_elements([TimestampedValue(1, 1)])
        .advance_watermark_to(20).add_elements([TimestampedValue(2, 2), TimestampedValue(3, 23)])
        .add_elements([TimestampedValue(4, 4)])
        .advance_watermark_to_infinity())
    values = (
        p | stream | beam.WindowInto(window.FixedWindows(10), **windowing)
        | beam.Map(lambda value: ('k', value)))
    assert_that(make(values), equal_to(expected))
    result = p.run()
    result.wait_until_finish()
    return result

  def test_grouping(self):
    result = self._run(
        'dropped-late', lambda values: values | 'Group' >> beam.GroupByKey() | beam.MapTuple(lambda _, v: sorted(v)),
        [[1], [3]])
    self.assertEqual(_counters(result, 'DroppedDueToLateness'),
                     {('Group', 'org.apache.beam.runners.core.ReduceFnRunner'): 2})
    self.assertEqual(_counters(result, 'DroppedDueToClosedWindow'), {})

  def test_trigger_that_is_finished(self):
    result = self._run(
        'dropped-closed', lambda values: values | 'Group' >> beam.GroupByKey() | beam.MapTuple(lambda _, v: sorted(v)),
        [[1], [3]], trigger=trigger.AfterWatermark(), accumulation_mode=trigger.AccumulationMode.DISCARDING,
        allowed_lateness=100)
    self.assertEqual(_counters(result, 'DroppedDueToLateness'), {})
    self.assertEqual(_counters(result, 'DroppedDueToClosedWindow'),
                     {('Group', 'org.apache.beam.runners.core.ReduceFnRunner'): 2})

  def test_state(self):
    result = self._run('dropped-state', lambda values: values | 'Count' >> beam.ParDo(Count()), [1, 3])
    self.assertEqual(_counters(result, 'StatefulParDoDropped'),
                     {('Count', 'org.apache.beam.runners.core.StatefulDoFnRunner'): 2})


if __name__ == '__main__':
  unittest.main()
