#!/usr/bin/env python3
"""A stand-in for the daemon's HTTP listener: serves web/ and the fixtures, with the daemon's headers, and notes what it was asked.

  mock.py [PORT]     by hand, to look at the page without a daemon
"""
import http.server
import json
import mimetypes
import os
import socket
import sys
import threading
import time
import urllib.parse

import fixtures

WEB = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'web')
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
IMPORTANCE = ['DEBUG', 'DETAILED', 'BASIC', 'WARNING', 'ERROR']
mimetypes.add_type('text/javascript', '.js')


class Refusal(Exception):
  def __init__(self, status, code, message):
    super().__init__(message)
    self.status, self.code = status, code


def pick_messages(lines, query):
  least = IMPORTANCE.index(query.get('min_importance') or 'BASIC')
  text = query.get('contains', '').lower()
  after = int(query.get('after_seq') or 0)
  limit = int(query.get('limit') or 200)
  fitting = [m for m in lines if m['seq'] > after and (m['state'] or IMPORTANCE.index(m['importance']) >= least) and text in m['text'].lower()]
  page = fitting[-limit:] if query.get('newest') else fitting[:limit]
  return {'messages': page, 'last_seq': page[-1]['seq'] if page else after, 'has_more': len(fitting) > len(page)}


def pick_jobs(jobs, query):
  states = [s for s in query.get('states', '').split(',') if s]
  text = query.get('contains', '').lower()
  limit = int(query.get('limit') or 100)
  all_jobs = [j['detail']['summary'] for j in jobs.values()]
  fitting = [j for j in all_jobs if (not states or j['state'] in states) and (text in j['id'].lower() or text in j['name'].lower())]
  return {'jobs': fitting[:limit], 'total': len(fitting), 'has_more': len(fitting) > limit}


class Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'

  def log_message(self, *arguments):
    pass

  def send(self, status, body, kind='application/json'):
    self.send_response(status)
    for name, value in [('Content-Type', kind), ('Content-Length', str(len(body))), ('Content-Security-Policy', POLICY), ('X-Content-Type-Options', 'nosniff'),
                        ('Referrer-Policy', 'no-referrer'), ('Cache-Control', 'no-store')]:
      self.send_header(name, value)
    self.end_headers()
    self.wfile.write(body)

  def send_json(self, value, status=200):
    self.send(status, json.dumps(value).encode())

  def handle_api(self, answer):
    url = urllib.parse.urlsplit(self.path)
    parts = [urllib.parse.unquote(p) for p in url.path.split('/')[3:]]
    query = {name: ','.join(values) for name, values in urllib.parse.parse_qs(url.query).items()}
    self.server.asked.append((self.command, url.path, dict(self.headers)))
    try:
      self.send_json(answer(parts, query))
    except Refusal as e:
      self.send_json({'error': {'code': e.code, 'message': str(e)}}, e.status)

  def do_GET(self):
    if self.path.startswith('/api/v1/'):
      self.handle_api(self.answer)
      return
    name = urllib.parse.urlsplit(self.path).path.lstrip('/') or 'index.html'
    file = os.path.join(WEB, os.path.basename(name))
    if name != os.path.basename(name) or not os.path.isfile(file):
      self.send(404, b'not found', 'text/plain')
      return
    with open(file, 'rb') as f:
      self.send(200, f.read(), (mimetypes.guess_type(file)[0] or 'text/plain') + '; charset=utf-8')

  def do_POST(self):
    self.rfile.read(int(self.headers.get('Content-Length') or 0))
    self.handle_api(self.act)

  def answer(self, parts, query):
    world = self.server.world()
    if parts == ['server']:
      return world['server']
    if parts == ['jobs']:
      return pick_jobs(world['jobs'], query)
    job = world['jobs'].get(parts[1])
    if not job:
      raise Refusal(404, 'NOT_FOUND', 'there is no job "%s"' % parts[1])
    if len(parts) == 2:
      return job['detail']
    if parts[2] == 'workers':
      if parts[3] not in job['status']:
        raise Refusal(503, 'UNAVAILABLE', 'worker "%s" gave no status in 5 s' % parts[3])
      return {'worker_id': parts[3], 'text': job['status'][parts[3]]}
    if parts[2] == 'samples' and not job['samples']:
      raise Refusal(409, 'FAILED_PRECONDITION', 'the job was not submitted with --experiments=enable_data_sampling')
    return {'graph': lambda: job['graph'], 'messages': lambda: pick_messages(job['messages'], query), 'metrics': lambda: {'metrics': job['metrics']},
            'samples': lambda: {'samples': [s for s in job['samples'] if query.get('pcollection', '') in ('', s['pcollection'])]}}[parts[2]]()

  def act(self, parts, query):
    del query
    if self.headers.get('X-Trestle') != '1' or self.headers.get('Content-Type') != 'application/json':
      raise Refusal(403, 'PERMISSION_DENIED', 'a POST needs the header X-Trestle: 1 and a JSON content type')
    self.server.acted.append(tuple(parts))
    return {}


class Mock(http.server.ThreadingHTTPServer):
  """Listens on 127.0.0.1; `change(world)` may be set to alter what is served; `asked` and `acted` are what came."""
  daemon_threads = True
  allow_reuse_address = True

  def __init__(self, port=0):
    super().__init__(('127.0.0.1', port), Handler)
    self.asked, self.acted, self.connections = [], [], []
    self.change = lambda world: None
    self.port = self.server_address[1]
    self.thread = threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True)
    self.thread.start()

  def world(self):
    world = fixtures.world(int(time.time() * 1000))
    for job_id in [parts[1] for parts in self.acted if parts[2:] == ('cancel',)]:
      world['jobs'][job_id]['detail']['summary']['state'] = 'CANCELLED'
    self.change(world)
    return world

  def handle_error(self, request, client_address):
    if not isinstance(sys.exc_info()[1], ConnectionError):  # the page takes back what it no longer needs
      super().handle_error(request, client_address)

  def process_request(self, request, client_address):
    self.connections.append(request)
    super().process_request(request, client_address)

  def close(self):
    self.shutdown()
    for connection in self.connections:
      try:
        connection.shutdown(socket.SHUT_RDWR)
      except OSError:
        pass  # closed already
    self.server_close()
    self.thread.join()


if __name__ == '__main__':
  mock = Mock(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
  print('http://127.0.0.1:%d/' % mock.port, flush=True)
  mock.thread.join()
