#!/usr/bin/env python3
"""Writes C source with the contents of files.

  embed.py OUT.c FILE...

Each file is served under its own name, index.html as "/" (web/resources.h). The type is told by the name's end; an unknown one is an error.
"""
import hashlib
import os
import sys

TYPES = {
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.svg': 'image/svg+xml',
    '.png': 'image/png',
    '.ico': 'image/vnd.microsoft.icon',
    '.json': 'application/json',
    '.txt': 'text/plain; charset=utf-8',
    '.woff2': 'font/woff2',
}


def array(name, content):
  lines = [', '.join(str(byte) for byte in content[i:i + 32]) for i in range(0, len(content), 32)]
  return 'static const unsigned char %s[] = {\n%s\n};\n' % (name, ',\n'.join(lines + ['0']))


def row(name, path, content):
  file = os.path.basename(path)
  kind = TYPES.get(os.path.splitext(file)[1])
  if kind is None:
    sys.exit('embed.py: %s: what is served has one of the endings %s' % (path, ' '.join(TYPES)))
  return '    {"/%s", "%s", "\\"%s\\"", %s, %d},' % (
      '' if file == 'index.html' else file, kind, hashlib.sha256(content).hexdigest()[:32], name, len(content))


def main(out, paths):
  arrays, rows = [], []
  for i, path in enumerate(paths):
    with open(path, 'rb') as f:
      content = f.read()
    arrays.append(array('file_%d' % i, content))
    rows.append(row('file_%d' % i, path, content))
  with open(out, 'w', encoding='ascii') as f:
    f.write('#include "web/resources.h"\n\n%s\nconst struct web_resource web_resources[] = {\n%s\n};\n' %
            ('\n'.join(arrays), '\n'.join(rows)))
    f.write('const size_t web_resource_count = %d;\n' % len(rows))


if __name__ == '__main__':
  main(sys.argv[1], sys.argv[2:])
