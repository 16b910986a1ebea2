#!/usr/bin/env python3
"""The commands of `trestle` and daemons that serve with TLS, want certificates, or tokens: who gets through, and what those are told who do not.

  test_connection.py TRESTLE PROTO_DIRECTORY
"""
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

import pipeline_file
import running
from running import Daemon, run

PROTOS = None
# Certificates: an authority's, those that it signed (of which `expired` is no longer valid), and a stranger's that nobody did.
MAKE_CERTIFICATES = '''
new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
$new -x509 -subj /CN=authority -keyout authority.key -out authority.pem
$new -x509 -subj /CN=stranger -keyout stranger.key -out stranger.pem
printf 'subjectAltName=DNS:localhost,DNS:trestle.company' >names
sign() { $new -subj /CN=$1 -keyout $1.key -out $1.csr; openssl x509 -req -in $1.csr -CA authority.pem -CAkey authority.key -CAcreateserial -extfile names -out $1.pem -days $2; }
sign server 1; sign client 1; sign expired 0
cat client.pem client.key >both.pem
'''


class Impostor:
  """A server with a certificate that nobody of ours signed, and all that it is told in spite of that."""

  def __init__(self, certificate, key):
    self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    self.context.load_cert_chain(certificate, key)
    self.context.set_alpn_protocols(['h2'])
    self.listener = socket.create_server(('127.0.0.1', 0))
    self.endpoint = 'localhost:%d' % self.listener.getsockname()[1]
    self.connections, self.heard = 0, b''
    self.thread = threading.Thread(target=self.serve)
    self.thread.start()

  def serve(self):
    while True:
      try:
        connection, _ = self.listener.accept()
      except OSError:  # it is shut down
        return
      self.connections += 1
      with connection:
        self.hear(connection)

  def hear(self, connection):
    try:
      with self.context.wrap_socket(connection, server_side=True) as secured:
        while words := secured.recv(1000):
          self.heard += words
    except OSError:  # the client has hung up, as it should
      pass

  def stop(self):
    self.listener.shutdown(socket.SHUT_RDWR)
    self.thread.join()
    self.listener.close()


class Connections(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    cls.daemons = {}
    cls.directory = tempfile.mkdtemp(prefix='trestle-connection-')
    try:
      cls.prepare()
    except BaseException:
      cls.tearDownClass()
      raise

  @classmethod
  def prepare(cls):
    made = subprocess.run(['sh', '-ec', MAKE_CERTIFICATES], cwd=cls.directory, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    words = dict(line.split(': ') for line in run('token', 'tester', check=0)[1].splitlines())
    cls.token = words['token'].strip()
    cls.write('tokens', words['line'].strip())
    cls.write('token', cls.token + '\n')
    cls.write('wrong-token', cls.token[:-1] + ('0' if cls.token[-1] != '0' else '1'))
    cls.pipeline = cls.path('impulse.pb')
    pipeline_file.write(PROTOS, cls.pipeline, None)
    tls = {'certificate': cls.path('server.pem'), 'key': cls.path('server.key')}
    auth = {'tokens_file': cls.path('tokens')}
    configurations = {
        'plain': {}, 'tls': {'tls': tls}, 'mutual': {'tls': {**tls, 'client_ca': cls.path('authority.pem')}},
        'tokens': {'tls': tls, 'auth': auth}, 'plain-tokens': {'auth': auth},
        'expired': {'tls': {'certificate': cls.path('expired.pem'), 'key': cls.path('expired.key')}},
    }
    for name, configuration in configurations.items():
      cls.daemons[name] = Daemon(config=json.dumps(configuration))  # YAML takes JSON

  @classmethod
  def tearDownClass(cls):
    codes = [daemon.stop() for daemon in cls.daemons.values()]
    shutil.rmtree(cls.directory, ignore_errors=True)
    assert not any(codes), f'the daemons ended with {codes}'

  @classmethod
  def path(cls, name):
    return os.path.join(cls.directory, name)

  @classmethod
  def write(cls, name, text):
    with open(cls.path(name), 'w') as file:
      file.write(text)

  def endpoint(self, name, host='localhost'):
    return f'{host}:' + self.daemons[name].endpoint.rpartition(':')[2]

  def ask(self, daemon, *words, command=('jobs', ), host='localhost', **named):
    """@FILE in a word is a file of the test's directory."""
    words = [word.replace('@', self.directory + '/') for word in words]
    return run(*command, '--endpoint', self.endpoint(daemon, host), *words, **named)

  def is_told(self, daemon, *words, code=1, **named):
    return self.ask(daemon, *words, check=code, **named)[2]

  # ---- who gets through

  def test_a_job_is_run_watched_and_shown_over_mutual_tls(self):
    credentials = ('--tls-ca=@authority.pem', '--tls-cert=@client.pem', '--tls-key=@client.key')
    job = self.ask('mutual', *credentials, command=('submit', self.pipeline, '--wait'), check=0)[1].split(':')[0]
    for command in (('show', '-f', job), ('logs', '-f', job), ('metrics', job), ('graph', job), ('jobs', '--all')):
      self.ask('mutual', *credentials, command=command, check=0)
    self.ask('mutual', *credentials, command=('cancel', job), check=3)
    self.ask('mutual', '--tls-ca=@authority.pem', '--tls-cert=@both.pem', check=0)

  def test_a_server_is_known_by_an_authority_or_by_its_own_certificate(self):
    self.ask('tls', '--tls-ca=@authority.pem', check=0)
    self.ask('tls', '--tls-ca=@server.pem', check=0)
    self.ask('tls', '--tls', env={'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH': self.path('authority.pem')}, check=0)

  def test_a_server_may_be_dialled_by_an_address_and_known_by_a_name(self):
    for name in ('localhost', 'trestle.company'):
      self.ask('tls', '--tls-ca=@authority.pem', '--tls-server-name', name, host='127.0.0.1', check=0)

  def test_a_token_comes_from_a_file_or_the_environment(self):
    for daemon, words in (('tokens', ['--tls-ca=@authority.pem']), ('plain-tokens', [])):
      self.ask(daemon, *words, '--token-file=@token', check=0)
      self.ask(daemon, *words, env={'TRESTLE_TOKEN': self.token}, check=0)
      self.ask(daemon, *words, env={'TRESTLE_TOKEN_FILE': self.path('token')}, check=0)
      self.ask(daemon, *words, '--token-file=@token', env={'TRESTLE_TOKEN': 'wrong'}, check=0)

  def test_variables_do_as_well_as_flags(self):
    env = {'TRESTLE_ENDPOINT': self.endpoint('mutual', '127.0.0.1'), 'TRESTLE_TLS_CA': self.path('authority.pem'),
           'TRESTLE_TLS_CERT': self.path('client.pem'), 'TRESTLE_TLS_KEY': self.path('client.key'),
           'TRESTLE_TLS_SERVER_NAME': 'localhost'}
    run('jobs', env=env, check=0)

  # ---- who does not, and what they are told

  def test_plaintext_and_tls_do_not_meet(self):
    for daemon in ('tls', 'mutual'):
      self.assertIn(f'{self.endpoint(daemon)} speaks TLS: --tls-ca FILE says', self.is_told(daemon))
    for daemon in ('plain', 'plain-tokens'):
      self.assertRegex(self.is_told(daemon, '--tls-ca=@authority.pem'), f'the server at {self.endpoint(daemon)} .*does not speak TLS; leave out --tls')

  def test_a_servers_certificate_must_be_an_authoritys(self):
    told = self.is_told('tls', '--tls-ca=@stranger.pem')
    self.assertIn(f'the certificate of the server at {self.endpoint("tls")} is signed by "CN=authority", which is not in {self.path("stranger.pem")}', told)
    self.assertIn("which is not in the list of the system's authorities; --tls-ca names others", self.is_told('tls', '--tls'))
    self.assertIn('is not valid: certificate has expired', self.is_told('expired', '--tls-ca=@authority.pem'))

  def test_a_servers_certificate_must_name_it(self):
    told = self.is_told('tls', '--tls-ca=@authority.pem', host='127.0.0.1')
    self.assertIn('is for DNS:localhost, DNS:trestle.company, not for 127.0.0.1: dial it by its name, or say that with --tls-server-name', told)
    self.assertIn('not for elsewhere:', self.is_told('tls', '--tls-ca=@authority.pem', '--tls-server-name=elsewhere'))

  def test_a_client_must_show_the_certificate_that_is_wanted(self):
    told = self.is_told('mutual', '--tls-ca=@authority.pem')
    self.assertIn('wants a certificate: --tls-cert and --tls-key show it one signed by "CN=authority"', told)
    told = self.is_told('mutual', '--tls-ca=@authority.pem', '--tls-cert=@stranger.pem', '--tls-key=@stranger.key')
    self.assertIn(f'does not take the certificate in {self.path("stranger.pem")}; it wants one signed by "CN=authority"', told)

  def test_a_token_is_missing_or_wrong(self):
    for daemon, words in (('tokens', ['--tls-ca=@authority.pem']), ('plain-tokens', [])):
      self.assertIn('refuses a call without a token ($TRESTLE_TOKEN, or --token-file FILE)', self.is_told(daemon, *words))
      self.assertIn(f'refuses the token of {self.path("wrong-token")}: ', self.is_told(daemon, *words, '--token-file=@wrong-token'))
      self.assertIn('refuses the token of TRESTLE_TOKEN: ', self.is_told(daemon, *words, env={'TRESTLE_TOKEN': 'wrong'}))

  def test_streams_are_told_the_same(self):
    for command in (('submit', self.pipeline, '--wait'), ('show', '-f', 'x'), ('logs', '-f', 'x'), ('cancel', 'x')):
      self.assertIn('which is not in ' + self.path('stranger.pem'), self.is_told('tls', '--tls-ca=@stranger.pem', command=command))

  def test_a_wrong_file_is_wrong_usage(self):
    self.assertIn('--tls-ca: cannot read /no/such: No such file', self.is_told('tls', '--tls-ca=/no/such', code=2))
    self.assertIn('--token-file: cannot read /no/such: No such file', self.is_told('tls', '--token-file=/no/such', code=2))
    self.assertIn('is not that of the certificate in', self.is_told('tls', '--tls-cert=@client.pem', '--tls-key=@stranger.key', code=2))

  def test_nobody_there_is_nobody_there_with_tls_too(self):
    code, _, err = run('jobs', '--endpoint', 'localhost:1', '--tls-ca', self.path('authority.pem'))
    self.assertEqual(code, 5)
    self.assertIn('no server answers at localhost:1', err)

  def test_an_impostor_hears_nothing(self):
    impostor = Impostor(self.path('stranger.pem'), self.path('stranger.key'))
    self.addCleanup(impostor.stop)
    words = ['--endpoint', impostor.endpoint, '--token-file', self.path('token')]
    for more in (['--tls-ca', self.path('authority.pem')], ['--tls-ca', self.path('stranger.pem')], ['--tls']):
      self.assertIn('the certificate of the server', run('jobs', *words, *more, check=1)[2])
    self.assertGreaterEqual(impostor.connections, 3)
    self.assertEqual(impostor.heard, b'')

  # ---- doctor

  def address(self, daemon, *words, host='localhost'):
    out = self.ask(daemon, '--config', self.daemons[daemon].config, '--json', *words, command=('doctor', ), host=host)[1]
    return [(check['level'], check['text']) for check in json.loads(out)['checks'] if check['area'] == 'address']

  def test_doctor_speaks_tls_where_the_configuration_does(self):
    level, text = self.address('tls')[0]
    self.assertEqual((level, text.rpartition(': ')[0]), ('ok', 'a Trestle serves at ' + self.endpoint('tls')))
    level, text = self.address('mutual')[0]
    self.assertEqual(level, 'warn')
    self.assertIn('wants a certificate', text)
    self.assertEqual([level for level, _ in self.address('mutual', '--tls-cert=@both.pem')], ['ok'] * 4)


if __name__ == '__main__':
  running.TRESTLE, PROTOS = map(os.path.abspath, sys.argv[1:3])
  for name in [name for name in os.environ if name.startswith('TRESTLE_T')]:
    del os.environ[name]
  running.main(sys.argv[3:])
