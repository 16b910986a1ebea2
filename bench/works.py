"""The pipelines that are measured. Each one checks its own result: it says what came out in a *proof*, a file with one line for each thing
said, and `expected_proof` says what has to be in there. A run whose proof is another one has failed, however fast it was.

`build(work, beam, pipeline, args)` puts one together. args: scale, input (text), out (prefix of what wordcount writes), proof, marker.
The *marker* is a file that the first bundle of the job writes the time into: what passed before it is the start of workers.
"""
import collections
import functools
import glob
import hashlib
import json
import os
import random
import re
import time

KEY_COUNT = 100003
SCATTER = 2654435761

TITLES = {
    'tiny': 'three elements',
    'wordcount': 'read, split, count and write 20 MB of text',
    'gbk': 'GroupByKey of 2,000,000 records of 100 bytes',
    'combine': 'CombinePerKey of 2,000,000 numbers under 10,007 keys',
    'chain': 'ten ParDos over 1,000,000 elements',
    'side': 'a side input of 100 MB',
    'cogbk': 'CoGroupByKey of 1,000,000 and 1,000,000 elements',
    'cpu': '320 elements of some 30 ms of Python each',
}
WORKS = list(TITLES)


def scaled(count, args, parts):
  """A number of elements that `parts` sources share evenly."""
  return max(int(count * args.scale) // parts, 1) * parts


# ------------------------------------------------------------------ what runs in the workers


def prove(line, path):
  """One write of one line: several processes may append."""
  fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
  try:
    os.write(fd, (str(line) + '\n').encode())
  finally:
    os.close(fd)
  return line


def mark(path):
  """The time, where nobody has written it yet."""
  try:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
  except FileExistsError:
    return
  os.write(fd, repr(time.time()).encode())
  os.close(fd)


def marked(beam, path):
  """Elements on; the first bundle writes the marker."""
  class Mark(beam.DoFn):
    def start_bundle(self):
      mark(path)

    def process(self, element):
      yield element

  return beam.ParDo(Mark())


def increment(x):
  return x + 1


def burn(_, rounds=500000):
  """Some 30 ms of Python."""
  total = 0
  for i in range(rounds):
    total += i * i % 7
  return 1 if total >= 0 else 0


def keyed_records(shard, count):
  """`count` records of 100 bytes under about 100,000 keys."""
  value = b'v' * 90
  for i in range(count):
    yield b'k%09d' % ((i * SCATTER + shard) % KEY_COUNT), value


def keyed_numbers(shard, count, keys):
  for i in range(shard * count, shard * count + count):
    yield i * SCATTER % keys, i


def numbers(shard, count):
  return range(shard * count, shard * count + count)


def side_records(shard, count):
  for i in range(shard * count, shard * count + count):
    yield b'%09d' % i + b's' * 991


def find_words(line):
  return re.findall(r"[\w']+", line)


def describe_group(kv):
  """(1, values, values times the key's number): summed up, what is lost or under a wrong key shows."""
  count = 0
  for value in kv[1]:
    count += 1 if len(value) == 90 else 1000000
  return 1, count, count * int(kv[0][1:])


def describe_join(kv):
  key, (left, right) = kv
  left, right = list(left), list(right)
  return 1, len(left), len(right), (sum(left) + 3 * sum(right)) * (key + 1)


def read_side(_, side):
  count = size = numbers_sum = 0
  for value in side:
    count += 1
    size += len(value)
    numbers_sum += int(value[:9])
  return count, size, numbers_sum


def add_up(tuples):
  """Column by column. (A combine function sees its own results again.)"""
  total = ()
  for one in tuples:
    total = tuple(a + b for a, b in zip(total, one)) if total and one else total or one
  return total


# ------------------------------------------------------------------ the pipelines


def sources(beam, p, args, shards, label=''):
  return (
      p | 'Create' + label >> beam.Create(range(shards))
      | 'Mark' + label >> marked(beam, args.marker).with_output_types(int))


def total(beam, values, args):
  """Tuples, summed into the proof."""
  _ = values | beam.CombineGlobally(add_up).without_defaults() | 'Prove' >> beam.Map(prove, args.proof)


def build_tiny(beam, p, args):
  _ = sources(beam, p, args, 3) | beam.Map(increment) | 'Prove' >> beam.Map(prove, args.proof)


def build_wordcount(beam, p, args):
  path = args.marker

  class FindWords(beam.DoFn):
    def start_bundle(self):
      mark(path)

    def process(self, element):
      return find_words(element)

  _ = (
      p | beam.io.ReadFromText(args.input)
      | beam.ParDo(FindWords()).with_output_types(str)
      | beam.combiners.Count.PerElement()
      | beam.MapTuple(lambda word, count: '%s: %d' % (word, count))
      | beam.io.WriteToText(args.out))


def build_gbk(beam, p, args):
  shards = 20
  total(
      beam,
      sources(beam, p, args, shards)
      | beam.FlatMap(keyed_records, scaled(2000000, args, shards) // shards).with_output_types(tuple[bytes, bytes])
      | beam.GroupByKey()
      | beam.Map(describe_group).with_output_types(tuple[int, int, int]), args)


def build_combine(beam, p, args):
  shards = 20
  total(
      beam,
      sources(beam, p, args, shards)
      | beam.FlatMap(keyed_numbers, scaled(2000000, args, shards) // shards, 10007).with_output_types(tuple[int, int])
      | beam.CombinePerKey(sum)
      | beam.MapTuple(lambda key, value: (1, value, (key + 1) * value)).with_output_types(tuple[int, int, int]), args)


def build_chain(beam, p, args):
  shards = 10
  values = (
      sources(beam, p, args, shards)
      | beam.FlatMap(numbers, scaled(1000000, args, shards) // shards).with_output_types(int))
  for i in range(10):
    values = values | 'increment %d' % i >> beam.Map(increment).with_output_types(int)
  _ = values | beam.CombineGlobally(sum) | 'Prove' >> beam.Map(prove, args.proof)


def build_side(beam, p, args):
  shards = 20
  side = (
      sources(beam, p, args, shards)
      | beam.FlatMap(side_records, scaled(100000, args, shards) // shards).with_output_types(bytes))
  total(
      beam,
      p | 'Main' >> beam.Create(range(4))
      | beam.Map(read_side, beam.pvalue.AsIter(side)).with_output_types(tuple[int, int, int]), args)


def build_cogbk(beam, p, args):
  shards, keys = 10, 50021
  sides = [
      sources(beam, p, args, shards, label)
      | 'Numbers' + label >> beam.FlatMap(keyed_numbers,
                                          scaled(1000000, args, shards) // shards, keys).with_output_types(tuple[int, int])
      for label in ('Left', 'Right')
  ]
  total(
      beam,
      tuple(sides) | beam.CoGroupByKey()
      | beam.Map(describe_join).with_output_types(tuple[int, int, int, int]), args)


def build_cpu(beam, p, args):
  count = max(int(320 * args.scale), 1)
  _ = (
      sources(beam, p, args, count)
      | beam.Map(burn).with_output_types(int)
      | beam.CombineGlobally(sum)
      | 'Prove' >> beam.Map(prove, args.proof))


def build(work, beam, p, args):
  globals()['build_' + work](beam, p, args)


# ------------------------------------------------------------------ what has to come out


def expected_tiny(_):
  return ['1', '2', '3']


def expected_gbk(args):
  shards = 20
  counts = collections.Counter(
      (i * SCATTER + shard) % KEY_COUNT for shard in range(shards) for i in range(scaled(2000000, args, shards) // shards))
  return [str((len(counts), sum(counts.values()), sum(key * n for key, n in counts.items())))]


def expected_combine(args):
  count, keys = scaled(2000000, args, 20), 10007
  sums = collections.Counter()
  for i in range(count):
    sums[i * SCATTER % keys] += i
  return [str((len(sums), sum(sums.values()), sum((key + 1) * n for key, n in sums.items())))]


def expected_chain(args):
  count = scaled(1000000, args, 10)
  return [str(count * (count - 1) // 2 + 10 * count)]


def expected_side(args):
  count = scaled(100000, args, 20)
  return [str((4 * count, 4 * count * 1000, 4 * (count * (count - 1) // 2)))]


def expected_cogbk(args):
  count, keys = scaled(1000000, args, 10), 50021
  sums = collections.Counter()
  for i in range(count):
    sums[i * SCATTER % keys] += i
  return [str((min(count, keys), count, count, 4 * sum((key + 1) * n for key, n in sums.items())))]


def expected_cpu(args):
  return [str(max(int(320 * args.scale), 1))]


def expected_wordcount(args):
  counts = collections.Counter()
  with open(args.input, encoding='ascii') as f:
    for line in f:
      counts.update(find_words(line))
  return [digest('%s: %d\n' % item for item in counts.items())]


def digest(lines):
  return hashlib.sha256(''.join(sorted(lines)).encode()).hexdigest()


def expected_proof(work, args, cache):
  """Worked out once and kept in the file `cache`."""
  key = '%s at %g, %s' % (work, args.scale, text_mark(args.input) if work == 'wordcount' else 'generated')
  try:
    with open(cache, encoding='utf-8') as f:
      known = json.load(f)
  except (OSError, ValueError):
    known = {}
  if key not in known:
    known[key] = globals()['expected_' + work](args)
    with open(cache + '.new', 'w', encoding='utf-8') as f:
      json.dump(known, f)
    os.replace(cache + '.new', cache)
  return known[key]


@functools.lru_cache
def text_mark(path):
  with open(path, 'rb') as f:
    return hashlib.sha256(f.read()).hexdigest()[:16]


def actual_proof(work, args):
  """What the job left behind."""
  if work == 'wordcount':
    lines = []
    for path in glob.glob(glob.escape(args.out) + '-*-of-*'):
      with open(path, encoding='utf-8') as f:
        lines += f.readlines()
    return [digest(lines)]
  try:
    with open(args.proof, encoding='utf-8') as f:
      return sorted(f.read().split('\n')[:-1])
  except OSError:
    return []


def make_text(path):
  """20 MB of words of a skewed distribution, the same each time."""
  rnd = random.Random(7)
  words = [''.join(rnd.choices('abcdefghijklmnopqrstuvwxyz', k=rnd.randint(2, 10))) for _ in range(20000)]
  written = 0
  with open(path + '.new', 'w', encoding='ascii') as f:
    while written < 20 << 20:
      written += f.write(' '.join(words[min(int(rnd.expovariate(1 / 2000)), 19999)] for _ in range(10)) + '\n')
  os.replace(path + '.new', path)
