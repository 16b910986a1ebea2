"""Writes the SDK's trigger_transcripts.yaml for tests/unit/pane_transcripts.c.

    cases.py > FILE

The SDK's own test module reads the transcripts and makes window and trigger functions of them; what it makes is written down,
a word and its arguments a line:

    case NAME
    windows global|fixed|sessions [SIZE]
    trigger EXPRESSION                  KIND, KIND(CHILD,CHILD) or KIND(NUMBER); `-` where a child is absent
    combiner end_of_window|earliest|latest|...
    accumulation discarding|accumulating
    lateness MS
    input TIMESTAMP...                  one run; the elements are their timestamps
    watermark MS
    clock MS                            processing time
    expect [ATTRIBUTE=VALUE]...         one pane of the last step; attributes that are absent may be anything
    error                               the transcript is wrong, on purpose
    end

A unit of the transcripts is one millisecond. What they say of state is left out, as in the SDK: it is about its own driver.
"""
import pathlib
import sys

import apache_beam.testing
import yaml
from apache_beam.transforms import trigger
from apache_beam.transforms import trigger_test
from apache_beam.transforms import window

COMBINERS = {
    window.TimestampCombiner.OUTPUT_AT_EOW: 'end_of_window',
    window.TimestampCombiner.OUTPUT_AT_EARLIEST: 'earliest',
    window.TimestampCombiner.OUTPUT_AT_LATEST: 'latest',
}


def windows_text(fn):
  if isinstance(fn, window.FixedWindows):
    return 'fixed %d' % float(fn.size)
  if isinstance(fn, window.Sessions):
    return 'sessions %d' % float(fn.gap_size)
  if isinstance(fn, window.GlobalWindows):
    return 'global'
  raise SystemExit('cases.py must learn about %r' % fn)


def trigger_text(fn):
  def call(name, children):
    return '%s(%s)' % (name, ','.join(trigger_text(child) if child else '-' for child in children))

  if fn is None:
    return '-'
  if isinstance(fn, trigger.DefaultTrigger):
    return 'default'
  if isinstance(fn, trigger.AfterCount):
    return 'count(%d)' % fn.count
  if isinstance(fn, trigger.AfterProcessingTime):
    return 'delay(%d)' % fn.delay
  if isinstance(fn, trigger.Repeatedly):
    return call('repeat', [fn.underlying])
  if isinstance(fn, trigger.AfterWatermark):
    # Both are wrapped in a repetition of the SDK's own, which the model implies.
    return call('after_end_of_window', [child and child.underlying for child in (fn.early, fn.late)])
  for kind, name in ((trigger.AfterEach, 'after_each'), (trigger.OrFinally, 'or_finally'), (trigger.AfterAny, 'after_any'),
                     (trigger.AfterAll, 'after_all')):
    if isinstance(fn, kind):
      return call(name, fn.triggers)
  raise SystemExit('cases.py must learn about %r' % fn)


def pane_text(pane):
  words = ['expect']
  for name, value in sorted(pane.items()):
    if name == 'window':
      value = '%d..%d' % tuple(value)
    elif name == 'values':
      value = ','.join(map(str, sorted(value)))
    else:
      value = int(value)
    words.append('%s=%s' % (name, value))
  return ' '.join(words)


class Writer(trigger_test.TranscriptTest):
  def _execute(self, window_fn, trigger_fn, accumulation_mode, timestamp_combiner, allowed_lateness, transcript, spec):
    accumulating = accumulation_mode == trigger.AccumulationMode.ACCUMULATING
    print('case', spec['name'])
    print('windows', windows_text(window_fn))
    print('trigger', trigger_text(trigger_fn))
    print('combiner', COMBINERS.get(timestamp_combiner, str(timestamp_combiner).lower()))
    print('accumulation', 'accumulating' if accumulating else 'discarding')
    print('lateness', int(allowed_lateness))
    for action, argument in transcript:
      if action == 'input':
        print('input', *argument)
      elif action in ('watermark', 'clock'):
        print(action, argument)
      elif action == 'expect':
        for pane in argument:
          print(pane_text(pane))
      elif action != 'state':
        raise SystemExit('cases.py must learn about the action %s' % action)
    if 'error' in spec:
      print('error')
    print('end')


def main():
  path = pathlib.Path(apache_beam.testing.__file__).parent / 'data' / 'trigger_transcripts.yaml'
  for spec in yaml.safe_load_all(path.read_text(encoding='utf-8')):
    Writer('_run_log')._run_log(spec)


if __name__ == '__main__':
  sys.exit(main())
