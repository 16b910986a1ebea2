#!/usr/bin/env python3
"""make_text.py FILE [MEGABYTES]: writes a text that is the same on every machine: words of a skewed distribution, some beyond
ASCII, some with an apostrophe, between punctuation and empty lines."""
import os
import random
import sys


def main():
  path, size = sys.argv[1], int(float(sys.argv[2] if len(sys.argv) > 2 else 20) * (1 << 20))
  rnd = random.Random(20)
  letters = 'eeeeeaaaaiiioootttnnnsssrrrhhllddccuummffppggwwyybbvkxjqz' + 'éüñßøлжд漢'
  words = [''.join(rnd.choices(letters, k=rnd.randint(1, 11))) for _ in range(30000)]
  words += [word + "'s" for word in words[:300]]
  ends = ['', '', '', '', '', ',', ';', '.', '!', '--', ' "']
  last = len(words) - 1
  written = 0
  with open(path + '.new', 'wb') as f:
    while written < size:
      count = rnd.randrange(0, 24)
      line = ' '.join(words[min(int(rnd.expovariate(1 / 2500)), last)] + rnd.choice(ends) for _ in range(count))
      written += f.write((line + '\n').encode('utf-8'))
  os.replace(path + '.new', path)


if __name__ == '__main__':
  main()
