"""xlang.py HOST:PORT EXPANSION_HOST:PORT SCRATCH: Python pipelines over LOOPBACK with transforms of a Java expansion service, which run in
a JVM that the runner starts. Closes with its totals."""
import logging
import os
import sys
import time
import traceback

import apache_beam as beam
import grpc
from apache_beam.io.external.generate_sequence import GenerateSequence
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms import window
from apache_beam.transforms.external import ExternalTransform, ImplicitSchemaPayloadBuilder, JavaExternalTransform

ENDPOINT = sys.argv[1]
EXPANSION = sys.argv[2]
SCRATCH = sys.argv[3]
# of the fixed windows below, in seconds
SIZE = 10


def java(name):
  """The transform Transforms.NAME of src."""
  return JavaExternalTransform('Transforms$' + name, expansion_service=EXPANSION)()


def write_line(element, path):
  with open(path, 'a') as f:
    f.write(repr(element) + '\n')


def results(make, *arguments):
  """Runs the pipeline that make builds, with its results, as text, in order."""
  path = os.path.join(SCRATCH, make.__name__ + str(len(os.listdir(SCRATCH))))
  options = ['--runner=PortableRunner', '--job_endpoint=' + ENDPOINT] + list(arguments or ['--environment_type=LOOPBACK'])
  pipeline = beam.Pipeline(options=PipelineOptions(options))
  make(pipeline) | 'write' >> beam.Map(write_line, path)
  pipeline.run().wait_until_finish()
  if not os.path.exists(path):
    return []
  with open(path) as f:
    return sorted(f.read().splitlines())


def check(make, expected, *arguments):
  seen = results(make, *arguments)
  assert seen == sorted(map(repr, expected)), seen


def stamped(elements):
  """Elements of (value, seconds)."""
  return beam.Create(elements) | beam.MapTuple(lambda value, at: window.TimestampedValue(value, at))


def sequence(p):
  return p | GenerateSequence(start=1, stop=11, expansion_service=EXPANSION) | beam.Map(lambda x: x * x)


def a_java_source_feeds_python():
  check(sequence, [x * x for x in range(1, 11)])


def both_languages_run_without_a_container_engine():
  check(sequence, [x * x for x in range(1, 11)], '--environment_type=DOCKER')


def a_java_source_of_a_stream_feeds_python():
  def stream(p):
    # the SDK's GenerateSequence does not pass a period on
    return p | ExternalTransform(
        GenerateSequence.URN,
        ImplicitSchemaPayloadBuilder({'start': 0, 'stop': 20, 'elements_per_period': 5, 'period': 10}),
        EXPANSION) | beam.Map(lambda x: x)

  check(stream, range(20), '--environment_type=LOOPBACK', '--streaming')


def java_groups_a_stream_of_python_as_its_watermark_says():
  def sums(p):
    events = (
        TestStream().add_elements([window.TimestampedValue(('a', 1), 1), window.TimestampedValue(('a', 2), 2)])
        .advance_watermark_to(SIZE + 1).add_elements([window.TimestampedValue(('a', 3), 12)])
        # late: its window has expired
        .add_elements([window.TimestampedValue(('a', 4), 3)]).advance_watermark_to_infinity())
    return (
        p | events | beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
        | beam.WindowInto(window.FixedWindows(SIZE)) | java('GroupSizes') | 'sums' >> java('SumByTimer')
        | beam.Map(lambda pair, end=beam.DoFn.WindowParam: (pair, int(end.end))))

  check(sums, [(('a', 2), SIZE), (('a', 1), 2 * SIZE)], '--environment_type=LOOPBACK', '--streaming')


def java_groups_and_counts_what_python_made():
  def count(p):
    return (
        p | beam.Create(['a', 'b', 'a', 'żółw', '']).with_output_types(str)
        | JavaExternalTransform('org.apache.beam.sdk.transforms.Count', expansion_service=EXPANSION).perElement())

  check(count, [('a', 2), ('b', 1), ('żółw', 1), ('', 1)])


def pairs(p, elements):
  return p | stamped(elements) | beam.Map(lambda pair: pair).with_output_types(tuple[str, int])


def java_sees_the_windows_of_python():
  def windows(p):
    return (
        p | stamped([('a', 1), ('b', 12), ('c', 19)]) | beam.Map(lambda x: x).with_output_types(str)
        | beam.WindowInto(window.FixedWindows(SIZE)) | java('WithWindow'))

  check(windows, [('a', 9999), ('b', 19999), ('c', 19999)])


def java_groups_in_the_windows_of_python():
  def sizes(p):
    return (
        pairs(p, [(('a', 1), 1), (('a', 2), 2), (('a', 3), 12), (('b', 4), 3)])
        | beam.WindowInto(window.SlidingWindows(2 * SIZE, SIZE)) | java('GroupSizes'))

  check(sizes, [('a', 2), ('a', 3), ('a', 1), ('b', 1), ('b', 1)])


def python_groups_in_the_sessions_of_java():
  def sessions(p):
    return (
        pairs(p, [(('a', 1), 1), (('a', 2), 9), (('a', 3), 30), (('b', 4), 3)]) | java('IntoSessions')
        | beam.GroupByKey() | beam.MapTuple(lambda key, values: (key, sorted(values))))

  check(sessions, [('a', [1, 2]), ('a', [3]), ('b', [4])])


def java_reads_a_side_input_of_python():
  def look_up(p):
    prices = p | 'prices' >> beam.Create([('a', 1), ('b', 2)]).with_output_types(tuple[str, int])
    words = p | 'words' >> beam.Create(['a', 'c', 'a', 'b']).with_output_types(str)
    return {'words': words, 'prices': prices} | java('LookUp')

  check(look_up, [('a', 1), ('a', 1), ('b', 2)])


def a_side_input_is_read_in_the_windows_of_the_other_language():
  def look_up(p):
    prices = (
        p | 'prices' >> stamped([(('a', 1), 1), (('a', 2), 12)])
        | beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
        | 'windows of prices' >> beam.WindowInto(window.FixedWindows(SIZE)))
    words = (
        p | 'words' >> stamped([('a', 2), ('a', 13), ('a', 14)]) | 'typed' >> beam.Map(lambda x: x).with_output_types(str)
        | 'windows of words' >> beam.WindowInto(window.FixedWindows(SIZE)))
    return {'words': words, 'prices': prices} | java('LookUp')

  check(look_up, [('a', 1), ('a', 2), ('a', 2)])


def python_reads_a_side_input_of_java():
  def read(p):
    numbers = p | GenerateSequence(start=0, stop=5, expansion_service=EXPANSION)
    counts = (
        p | 'words' >> beam.Create(['a', 'b', 'a']).with_output_types(str)
        | JavaExternalTransform('org.apache.beam.sdk.transforms.Count', expansion_service=EXPANSION).perElement())
    return p | beam.Create(['a', 'b']) | 'read' >> beam.Map(
        lambda word, every, by_word: (word, sorted(every), by_word[word]),
        beam.pvalue.AsIter(numbers), beam.pvalue.AsDict(counts))

  check(read, [('a', [0, 1, 2, 3, 4], 2), ('b', [0, 1, 2, 3, 4], 1)])


def java_keeps_state_and_timers_by_the_keys_of_python():
  def sums(p):
    return (
        pairs(p, [(('a', 1), 1), (('a', 2), 2), (('a', 3), 12), (('b', 4), 3)])
        | beam.WindowInto(window.FixedWindows(SIZE)) | java('SumByTimer') | beam.Map(lambda pair: pair))

  check(sums, [('a', 3), ('a', 3), ('b', 4)])


def rows_of_java_are_rows_of_python():
  def rows(p):
    return (
        p | beam.Create(['beam', '']).with_output_types(str) | java('ToRows')
        | beam.Map(lambda row: (row.word, row.length, row.rest)))

  check(rows, [('beam', 4, 'eam'), ('', 0, None)])


def main():
  # the service is starting
  grpc.channel_ready_future(grpc.insecure_channel(EXPANSION)).result(timeout=60)
  passed = failed = 0
  for case in (a_java_source_feeds_python, both_languages_run_without_a_container_engine,
               a_java_source_of_a_stream_feeds_python, java_groups_a_stream_of_python_as_its_watermark_says,
               java_groups_and_counts_what_python_made, java_sees_the_windows_of_python,
               java_groups_in_the_windows_of_python, python_groups_in_the_sessions_of_java,
               java_reads_a_side_input_of_python, a_side_input_is_read_in_the_windows_of_the_other_language,
               python_reads_a_side_input_of_java, java_keeps_state_and_timers_by_the_keys_of_python,
               rows_of_java_are_rows_of_python):
    started = time.monotonic()
    try:
      case()
      passed += 1
    except Exception:  # pylint: disable=broad-except
      failed += 1
      print('FAILED  %s: %s' % (case.__name__, traceback.format_exc()))
    logging.warning('%s: %.1f s', case.__name__, time.monotonic() - started)
  print('%d passed, %d failed, 0 skipped' % (passed, failed))
  sys.exit(1 if failed else 0)


if __name__ == '__main__':
  main()
