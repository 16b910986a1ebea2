"""Writes the cases of the SDK's standard_coders.yaml as lines for tests/unit/coder_cases.c.

    cases.py > FILE

A line has five fields, with a tab between them:

    NAME  CODER  CONTEXT  HEX  FACTS

CODER is an expression of URNs, `beam:coder:kv:v1(beam:coder:bytes:v1,beam:coder:varint:v1)`. CONTEXT is `nested`, `outer`
(the bytes do not say where they end) or `any`. HEX are the example's bytes. FACTS is what a decoder makes of them, empty where the
runner has none:

    max=MS window=START..END                                         windows; `global` for the global one
    timestamp=MS window=... pane=FIRST/LAST/TIMING/INDEX/ON_TIME     windowed values
    key=HEX tag=HEX window=... clear=0|1 fire=MS hold=MS             timers

A constant header (param_windowed_value) is a second case: a windowed value of bytes.
"""
import pathlib
import sys

import apache_beam.portability.api as api
import yaml

GLOBAL_WINDOW_END = 9223371950454775


def short(urn):
  return urn.split(':')[2]


def expression(spec):
  components = spec.get('components')
  return spec['urn'] + ('(%s)' % ','.join(map(expression, components)) if components else '')


def window_text(window):
  return 'global' if isinstance(window, str) else '%d..%d' % (window['end'] - window['span'], window['end'])


def windows_text(windows):
  return 'window=' + ','.join(map(window_text, windows))


def pane_text(pane):
  return 'pane=%d/%d/%s/%d/%d' % (pane['is_first'], pane['is_last'], pane['timing'], pane['index'], pane['on_time_index'])


def window_facts(_, window):
  if isinstance(window, dict) and 'window' in window:
    window = window['window']
  is_global = isinstance(window, str)
  return 'max=%d window=%s' % (GLOBAL_WINDOW_END if is_global else window['end'] - 1, 'global' if is_global else window_text(window))


def windowed_value_facts(_, value):
  return 'timestamp=%d %s %s' % (value['timestamp'], windows_text(value['windows']), pane_text(value['pane']))


def timer_facts(spec, timer):
  if spec['components'][0]['urn'] != 'beam:coder:string_utf8:v1':
    raise SystemExit('a timer whose key is not a string: cases.py must learn to encode it')
  key = timer['userKey'].encode()
  text = 'key=%s tag=%s %s clear=%d' % ((bytes([len(key)]) + key).hex(), timer['dynamicTimerTag'].encode().hex(),
                                        windows_text(timer['windows']), timer['clearBit'])
  return text if timer['clearBit'] else text + ' fire=%d hold=%d' % (timer['fireTimestamp'], timer['holdTimestamp'])


FACTS = {
    'beam:coder:global_window:v1': window_facts,
    'beam:coder:interval_window:v1': window_facts,
    'beam:coder:custom_window:v1': window_facts,
    'beam:coder:windowed_value:v1': windowed_value_facts,
    'beam:coder:timer:v1': timer_facts,
}


def write(*fields):
  print('\t'.join(fields))


def main():
  path = pathlib.Path(api.__file__).parent / 'standard_coders.yaml'
  for number, case in enumerate(yaml.safe_load_all(path.read_text(encoding='utf-8'))):
    spec = case['coder']
    urn = spec['urn']
    context = {None: 'any', True: 'nested', False: 'outer'}[case.get('nested')]
    for place, (encoded, value) in enumerate(case['examples'].items()):
      name = '%d.%d %s' % (number, place, short(urn))
      facts = FACTS[urn](spec, value) if urn in FACTS else ''
      write(name, expression(spec), context, encoded.encode('latin1').hex(), facts)
      if urn == 'beam:coder:param_windowed_value:v1':
        header = 'beam:coder:windowed_value:v1(beam:coder:bytes:v1,%s)' % expression(spec['components'][1])
        write(name + ' header', header, 'nested', spec['payload'].encode('latin1').hex(), windowed_value_facts(spec, value))


if __name__ == '__main__':
  sys.exit(main())
