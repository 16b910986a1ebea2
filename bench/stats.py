"""Medians and what is known about them, and result files.

A result file is one JSON object: kind ("runners", "latency", "soak", "limit", "engine" or "large"), what was measured on (machine, versions, date, load
when it began), and `rows`, one object for each measurement, with its repetition in `rep`.
"""
import datetime
import json
import math
import os
import platform
import statistics


def interval(values):
  """The narrowest pair of order statistics, as far from either end, between which the median lies with at least 95 % confidence, whatever the
  distribution (of nine values: the second lowest and the second highest). The whole range where there are fewer than six."""
  values, n = sorted(values), len(values)
  cut, tail = 0, 0.0
  while cut < n // 2:
    tail += math.comb(n, cut) / 2**n
    if 2 * tail > 0.05:
      break
    cut += 1
  cut = max(cut - 1, 0)
  return values[cut], values[n - 1 - cut]


class Estimate:
  """A median with its interval."""
  def __init__(self, values):
    self.count = len(values)
    self.median = statistics.median(values)
    self.low, self.high = interval(values)

  def text(self, unit='', scale=1):
    digits = digits_for(self.median * scale)
    median, low, high = ('%.*f' % (digits, v * scale) for v in (self.median, self.low, self.high))
    text = median + (' ' + unit if unit else '')
    return text if self.count == 1 else '%s (%s–%s)' % (text, low, high)


def digits_for(value):
  """So that three digits are shown, and never more than three behind the point."""
  if value <= 0:
    return 0
  return min(max(2 - math.floor(math.log10(value)), 0), 3)


def estimate(values):
  """None where there are no values."""
  values = [v for v in values if v is not None]
  return Estimate(values) if values else None


def machine():
  model, memory_kb = 'unknown processor', 0
  with open('/proc/cpuinfo', encoding='utf-8') as f:
    for line in f:
      if line.startswith('model name'):
        model = line.split(':', 1)[1].strip()
        break
  with open('/proc/meminfo', encoding='utf-8') as f:
    for line in f:
      if line.startswith('MemTotal'):
        memory_kb = int(line.split()[1])
  return '%d × %s, %.0f GB, Linux %s' % (len(os.sched_getaffinity(0)), model, memory_kb / 1048576, platform.release())


def describe_run():
  """What goes into a result file beside the rows; call it before measuring."""
  return {
      'date': datetime.date.today().isoformat(),
      'machine': machine(),
      'load_at_start': round(os.getloadavg()[0], 2),
  }


def save(path, kind, about, rows):
  with open(path + '.new', 'w', encoding='utf-8') as f:
    head = json.dumps(dict(about, kind=kind), ensure_ascii=False)
    f.write(head[:-1] + ', "rows": [\n')
    f.write(',\n'.join(json.dumps(row, ensure_ascii=False) for row in rows))
    f.write('\n]}\n')
  os.replace(path + '.new', path)


def load(path):
  with open(path, encoding='utf-8') as f:
    return json.load(f)
