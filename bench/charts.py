"""Charts as SVG, with the standard library alone: horizontal bars (linear scale) or dots (logarithmic scale), each with its
interval, and curves over time.

They have no background and change their colours with the reader's: on a white page and on a dark one the same file is readable.
"""
import html
import math

WIDTH, LABEL_WIDTH, RIGHT = 860, 118, 96
ROW, GROUP_GAP, TOP = 19, 15, 78
STYLE = '''
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 12px; fill: #59636e }
  .value { font-size: 12px; fill: #59636e; stroke: #ffffff; stroke-width: 4; stroke-linejoin: round; paint-order: stroke }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .axis { stroke: #818b98; stroke-width: 1 }
  .whisker { stroke: #1f2328; stroke-width: 1.4 }
  .limit { stroke: #cf222e; stroke-width: 1.6; stroke-dasharray: 5 3 }
  .limit-text { font-size: 12px; fill: #cf222e }
  .s0 { fill: #0969da } .s1 { fill: #d4820f } .s2 { fill: #7d8590 } .s3 { fill: #8250df }
  .pale { opacity: 0.38 }
  .line { fill: none; stroke-width: 1.8 }
  .line.s0 { stroke: #0969da } .line.s1 { stroke: #d4820f } .line.s2 { stroke: #7d8590 } .line.s3 { stroke: #8250df }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .value { fill: #9198a1; stroke: #0d1117 }
    .grid { stroke: #3d444d }
    .axis { stroke: #656c76 }
    .whisker { stroke: #f0f6fc }
    .limit { stroke: #ff7b72 }
    .limit-text { fill: #ff7b72 }
    .s0 { fill: #4493f8 } .s1 { fill: #e3a23a } .s2 { fill: #9198a1 } .s3 { fill: #ab7df8 }
    .line { fill: none }
    .line.s0 { stroke: #4493f8 } .line.s1 { stroke: #e3a23a } .line.s2 { stroke: #9198a1 } .line.s3 { stroke: #ab7df8 }
  }
'''


class Chart:
  """groups: [(label, [(series, Estimate or None, head Estimate or None)])]; a head is the pale first part of a bar.

  series: {name: number of its colour}. limits: {label of a group: value} draws a dashed line across that group, or {None: value} across all; `limit_text` says what it is."""
  def __init__(self, title, unit, series, groups, logarithmic=False, limits=None, limit_text='', note='', head_text=''):
    self.title, self.unit, self.series, self.groups = title, unit, series, groups
    self.logarithmic, self.limits, self.limit_text, self.note, self.head_text = logarithmic, limits or {}, limit_text, note, head_text
    values = [e for _, rows in groups for _, e, _ in rows if e]
    self.high = max([e.high for e in values] + list(self.limits.values()) + [1e-9])
    lows = [e.low for e in values if e.low > 0]
    self.low = 0
    if logarithmic:  # whole decades, at least one; what is 0 is drawn at the lower end
      self.low = 10.0**math.floor(math.log10(min(lows or [self.high / 10])))
      self.high = max(10.0**math.ceil(math.log10(self.high)), self.low * 10)
    self.body = []

  # ---- scale

  def x(self, value):
    width = WIDTH - LABEL_WIDTH - RIGHT
    if self.logarithmic:
      part = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
    else:
      part = value / self.high
    return LABEL_WIDTH + width * min(part, 1)

  def ticks(self):
    if self.logarithmic:
      first, last = round(math.log10(self.low)), round(math.log10(self.high))
      return [10.0**e for e in range(first, last + 1)]
    return steps(self.high)

  # ---- drawing

  def add(self, text, *values):
    self.body.append(text % values)

  def text(self, x, y, text, kind='', anchor='start'):
    self.add('<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>', x, y, kind, anchor, html.escape(text))

  def draw_head(self):
    self.text(0, 18, self.title, 'title')
    x = 0
    for name, colour in self.series.items():
      self.add('<rect x="%.1f" y="33" width="12" height="12" rx="2" class="s%d"/>', x, colour)
      self.text(x + 18, 44, name)
      x += 18 + 7.6 * len(name) + 22
    if self.head_text:
      self.add('<rect x="%.1f" y="33" width="12" height="12" rx="2" class="s2 pale"/>', x)
      self.text(x + 18, 44, self.head_text)
      x += 18 + 7.2 * len(self.head_text) + 22
    if self.limits:
      self.add('<line x1="%.1f" x2="%.1f" y1="39" y2="39" class="limit"/>', x, x + 22)
      self.text(x + 28, 44, self.limit_text, 'limit-text')
    if self.note:
      self.text(0, 64, self.note, 'small')

  def draw_axis(self, bottom):
    for tick in self.ticks():
      self.add('<line x1="%.1f" x2="%.1f" y1="%d" y2="%.1f" class="grid"/>', self.x(tick), self.x(tick), TOP, bottom)
      self.text(self.x(tick), bottom + 17, '%g' % tick, 'small', 'middle')
    self.add('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="axis"/>', LABEL_WIDTH, WIDTH - RIGHT, bottom, bottom)
    middle = (LABEL_WIDTH + WIDTH - RIGHT) / 2
    self.text(middle, bottom + 35, self.unit + (', logarithmic scale' if self.logarithmic else ''), 'small', 'middle')

  def draw_whisker(self, estimate, y):
    low, high = self.x(estimate.low), self.x(estimate.high)
    if high - low >= 1:
      cap = 7 if self.logarithmic else 4  # beyond the dot
      self.add('<path d="M%.1f %.1fH%.1fM%.1f %.1fv%dM%.1f %.1fv%d" class="whisker"/>', low, y, high, low, y - cap, 2 * cap, high, y - cap, 2 * cap)

  def draw_value(self, series, estimate, head, y):
    kind, middle, x = self.series[series], y + ROW / 2, self.x(estimate.median)
    if self.logarithmic:
      self.draw_whisker(estimate, middle)
      self.add('<circle cx="%.1f" cy="%.1f" r="4.5" class="s%d"/>', x, middle, kind)
    else:
      begin = self.x(head.median) if head else LABEL_WIDTH
      if head:
        self.add('<rect x="%d" y="%.1f" width="%.1f" height="%d" class="s%d pale"/>', LABEL_WIDTH, y + 2.5, begin - LABEL_WIDTH, ROW - 5, kind)
      self.add('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" class="s%d"/>', begin, y + 2.5, max(x - begin, 1), ROW - 5, kind)
      self.draw_whisker(estimate, middle)
    self.text(self.x(estimate.high) + 9, middle + 4.5, short(estimate.median), 'value')

  def draw_groups(self):
    y = TOP + GROUP_GAP / 2
    for label, rows in self.groups:
      height = ROW * len(rows)
      self.text(LABEL_WIDTH - 10, y + height / 2 + 4.5, label, '', 'end')
      for series, estimate, head in rows:
        if estimate:
          self.draw_value(series, estimate, head, y)
        else:
          self.text(LABEL_WIDTH + 6, y + ROW / 2 + 4.5, '%s: no result' % series, 'small')
        y += ROW
      limit = self.limits.get(label)
      if limit is not None:
        self.add('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="limit"/>', self.x(limit), self.x(limit), y - height - 4, y + 4)
      y += GROUP_GAP
    return y - GROUP_GAP / 2

  def svg(self):
    bottom = TOP + sum(ROW * len(rows) + GROUP_GAP for _, rows in self.groups)
    height = bottom + 44
    self.body = []
    self.draw_head()
    self.draw_axis(bottom)
    if None in self.limits:
      x = self.x(self.limits[None])
      self.add('<line x1="%.1f" x2="%.1f" y1="%d" y2="%.1f" class="limit"/>', x, x, TOP, bottom)
    self.draw_groups()
    return self.page(height)

  def page(self, height):
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">\n<style>%s</style>\n%s\n</svg>\n' %
            (WIDTH + 8, height, WIDTH + 8, height, html.escape(self.title, quote=True), STYLE, '\n'.join(self.body)))


class Curves(Chart):
  """lines: [(series, [(x, y)])], over a linear time axis; y from 0 on. The scale of y ends at `high` where that is given and less than what there is: what is
  beyond is drawn at the edge."""
  HEIGHT = 260

  def __init__(self, title, unit, series, lines, note='', high=None):
    super().__init__('%s, %s' % (title, unit), unit, series, [], note=note)
    self.lines = lines
    points = [p for _, line in lines for p in line]
    self.last = max([x for x, _ in points] + [1e-9])
    self.top = min(max([y for _, y in points] + [1e-9]) * 1.1, high or math.inf)

  def point(self, x, y):
    return LABEL_WIDTH + (WIDTH - LABEL_WIDTH - RIGHT) * x / self.last, TOP + self.HEIGHT * (1 - min(y / self.top, 1))

  def svg(self):
    bottom, self.body = TOP + self.HEIGHT, []
    self.draw_head()
    for tick in steps(self.top):
      _, y = self.point(0, tick)
      self.add('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="grid"/>', LABEL_WIDTH, WIDTH - RIGHT, y, y)
      self.text(LABEL_WIDTH - 8, y + 4.5, '%g' % tick, 'small', 'end')
    for tick in steps(self.last):
      x, _ = self.point(tick, 0)
      self.text(x, bottom + 17, '%g' % tick, 'small', 'middle')
    self.add('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="axis"/>', LABEL_WIDTH, WIDTH - RIGHT, bottom, bottom)
    self.text((LABEL_WIDTH + WIDTH - RIGHT) / 2, bottom + 35, 'minutes', 'small', 'middle')
    for name, line in self.lines:
      path = ' '.join('%.1f,%.1f' % self.point(x, y) for x, y in line)
      self.add('<polyline points="%s" class="line s%d"/>', path, self.series[name])
    return self.page(bottom + 44)


def steps(high):
  """Round numbers from 0 to `high`, at most eight."""
  step = 10**math.floor(math.log10(high / 4))
  step *= next(m for m in (1, 2, 5, 10) if high / (step * m) <= 7)
  return [step * i for i in range(int(high / step + 1e-9) + 1)]


def short(value):
  """Three digits, two of what is small."""
  if value <= 0:
    return '0'
  digits = 2 if value >= 0.1 else 1
  return '%.*f' % (max(digits - math.floor(math.log10(value)), 0), value)
