#!/usr/bin/env python3
"""pipeline.py KIND HOST:PORT: a small pipeline over LOOPBACK that does well, fails in its own code, is slow or hangs, by KIND."""
import sys
import time

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions


class ParseOrder(beam.DoFn):
  def __init__(self, kind):
    self.kind = kind

  def process(self, element):
    beam.metrics.Metrics.counter('orders', 'parsed').inc()
    yield element % 5, int('order_id' if self.kind == 'fail' and element == 7 else element)


class CallService(beam.DoFn):
  def __init__(self, kind):
    self.kind = kind

  def process(self, element):
    if self.kind == 'slow':
      time.sleep(0.01)
    if self.kind == 'hang' and element[1] == 77:
      self.wait_for_service()
    yield element

  def wait_for_service(self):
    time.sleep(3600)


def main():
  kind, endpoint = sys.argv[1:]
  options = PipelineOptions(['--runner=PortableRunner', '--job_endpoint=' + endpoint, '--environment_type=LOOPBACK', '--experiments=enable_data_sampling'])
  pipeline = beam.Pipeline(options=options)
  prices = pipeline | 'Prices' >> beam.Create([1, 2, 3])
  _ = (pipeline | 'Orders' >> beam.Create(range(100_000 if kind == 'slow' else 300))
       | 'Parse' >> beam.ParDo(ParseOrder(kind)) | 'Call service' >> beam.ParDo(CallService(kind))
       | 'Add prices' >> beam.Map(lambda pair, listed: (pair[0], pair[1] + len(listed)), listed=beam.pvalue.AsList(prices))
       | 'Sum' >> beam.CombinePerKey(sum) | 'Format' >> beam.Map(str))
  result = pipeline.run()
  try:
    print(result.wait_until_finish())
  except RuntimeError as e:
    print(str(e)[:200])


if __name__ == '__main__':
  main()
