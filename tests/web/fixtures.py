"""What a daemon might say: jobs in each situation that the page has to make clear, as its JSON has them (proto/trestle_inspection.proto).

`world(now_ms)` is everything at that time; figures of running jobs grow with it.
"""
import datetime
import json
import random
import time

START_MS = int(time.time() * 1000)

TRACEBACK = '''stage 3 (Parse lines): bundle 41 failed 4 times; the last time worker sdk-worker-1 said:
Traceback (most recent call last):
  File "/usr/lib/python3/site-packages/apache_beam/runners/worker/sdk_worker.py", line 313, in _execute
    response = task()
  File "/usr/lib/python3/site-packages/apache_beam/runners/worker/sdk_worker.py", line 388, in <lambda>
    lambda: self.create_worker().do_instruction(request), request)
  File "/usr/lib/python3/site-packages/apache_beam/runners/worker/sdk_worker.py", line 658, in do_instruction
    return getattr(self, request_type)(
  File "/usr/lib/python3/site-packages/apache_beam/runners/worker/bundle_processor.py", line 1119, in process_bundle
    input_op_by_transform_id[element.transform_id].process_encoded(
  File "apache_beam/runners/common.py", line 1498, in apache_beam.runners.common.DoFnRunner.process
  File "/home/ada/orders/pipeline.py", line 57, in process
    yield parse_order(line)
  File "/home/ada/orders/orders/parse.py", line 23, in parse_order
    return Order(id=int(fields[0]), price=Decimal(fields[3]))
ValueError: invalid literal for int() with base 10: 'order_id' [while running 'Parse lines/ParDo(ParseOrder)']
'''

JAVA_TRACE = '''java.lang.RuntimeException: java.lang.IllegalStateException: bad order
\tat org.apache.beam.sdk.util.UserCodeException.wrap(UserCodeException.java:39)
\tat com.acme.Orders$ParseFn$DoFnInvoker.invokeProcessElement(Unknown Source)
\tat org.apache.beam.fn.harness.FnApiDoFnRunner.processElementForParDo(FnApiDoFnRunner.java:810)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.lang.IllegalStateException: bad order
\tat com.acme.Orders$ParseFn.process(Orders.java:44)
\t... 32 more
'''

GO_TRACE = '''while executing Process for Plan[s3]
panic: bad order
goroutine 41 [running]:
runtime/debug.Stack()
\t/usr/local/go/src/runtime/debug/stack.go:24 +0x65
main.parse({0xc0001, 0x5})
\t/home/ada/orders/main.go:31 +0x1d
github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec.(*ParDo).ProcessElement
\t/root/go/pkg/mod/github.com/apache/beam/sdks/v2@v2.77.0/go/pkg/beam/core/runtime/exec/pardo.go:90 +0x1d
'''

DUMP = '''========== ACTIVE PROCESSING BUNDLES ==========
---- instruction bundle-17, stage 4, running for 312.4 s, last transition 311.9 s ago ----
state: process-msecs, step: Enrich/CallService

========== THREADS ==========
--- Thread #140231 name: Thread-13 (worker) and other 1 threads, alive ---
  File "/usr/lib/python3.11/threading.py", line 1002, in _bootstrap
    self._bootstrap_inner()
  File "/usr/lib/python3/site-packages/apache_beam/runners/common.py", line 1498, in process
    self.do_fn_invoker.invoke_process(windowed_value)
  File "/home/ada/orders/enrich.py", line 88, in call_service
    return self.session.get(url).json()
  File "/usr/lib/python3/site-packages/urllib3/connection.py", line 211, in connect
    sock = self._new_conn()
'''

PROBE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>"\'&amp;'
DEEP_PROBE = '</text></svg><script>window.pwned=1</script><svg onload="window.pwned=1">'


def rfc3339(ms):
  return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.000Z')


def transform(index, name, urn='beam:transform:pardo:v1', elements=0, time_ms=0):
  return {'id': 't%d' % index, 'name': name, 'urn': urn, 'elements_in': elements, 'elements_out': elements, 'bytes_out': elements * 48, 'time_ms': time_ms}


def stage(index, name, transforms, state='done', elements=0, **more):
  fields = {
      'index': index, 'name': name, 'kind': 'executable', 'environment': 'env1', 'transforms': transforms, 'state': state, 'is_streaming': False,
      'bundles_running': 0, 'bundles_done': 12, 'bundles_failed': 0, 'elements_waiting': 0, 'elements_in': elements, 'bytes_in': elements * 40,
      'input_watermark': 'end' if state == 'done' else 'start', 'output_watermark': 'end' if state == 'done' else 'start', 'waits_for': '',
      'progress': 1 if state == 'done' else 0}
  fields.update(more)
  return fields


def edge(source, target, elements=0, is_side_input=False, name=None):
  return {'from_stage': source, 'to_stage': target, 'pcollection': 'pc_%d_%d%s' % (source, target, '_side' if is_side_input else ''),
          'pcollection_name': name or 'stage %d.out' % source, 'elements': elements, 'bytes': elements * 40, 'is_side_input': is_side_input}


def summary(job_id, name, state, age_s, now_ms, **more):
  fields = {'id': job_id, 'name': name, 'state': state, 'submitted_ms': now_ms - age_s * 1000, 'started_ms': now_ms - age_s * 1000 + 900,
            'ended_ms': 0, 'progress': 0, 'is_streaming': False, 'queue_place': 0, 'error': '', 'retries': 0, 'priority': 0, 'sdk': 'Python 2.77.0'}
  if state in ('DONE', 'FAILED', 'CANCELLED'):
    fields['ended_ms'] = fields['started_ms'] + min(age_s * 700, 84_000)
    fields['progress'] = 1 if state == 'DONE' else 0.4
  fields.update(more)
  return fields


def bundle(number, stage_name, running_ms, silent_ms, attempt=1):
  return {'id': number, 'stage': stage_name, 'running_ms': running_ms, 'silent_ms': silent_ms, 'attempt': attempt}


def worker(number, bundles=(), state='connected', **more):
  fields = {'id': 'sdk-worker-%d' % number, 'environment': 'env1', 'state': state, 'slots': 2, 'bundles': list(bundles), 'connected_ms': START_MS,
            'has_status': True}
  fields.update(more)
  return fields


def detail(short, **more):
  fields = {
      'summary': short, 'states': [{'state': 'STOPPED', 'time_ms': short['submitted_ms']}, {'state': 'STARTING', 'time_ms': short['submitted_ms'] + 300},
                                   {'state': 'RUNNING', 'time_ms': short['started_ms']}],
      'error': short['error'], 'options_json': json.dumps({
          'beam:option:job_name:v1': short['name'], 'beam:option:runner:v1': 'PortableRunner', 'beam:option:save_main_session:v1': True,
          'beam:option:experiments:v1': ['use_sdf_read', 'enable_data_sampling'], 'beam:option:input:v1': '/srv/orders/2026-11/*.csv'}),
      'environments': [{'id': 'env1', 'urn': 'beam:env:docker:v1', 'about': 'apache/beam_python3.11_sdk:2.77.0', 'way': 'native', 'sdk': 'Python 2.77.0'}],
      'memory_bytes': 84 << 20, 'peak_memory_bytes': 310 << 20, 'disk_bytes': 0, 'workers': [], 'warnings': 0, 'waits_for': ''}
  if short['ended_ms']:
    fields['states'].append({'state': short['state'], 'time_ms': short['ended_ms']})
  fields.update(more)
  return fields


def small_graph(slow_ms, is_live, middle='running', waiting=0, failed=0):
  """Read, parse and enrich, group, write; with a side input."""
  n = 2_400_000
  done = min(n, 40 + slow_ms // 12)
  return {'is_live': is_live, 'stages': [
      stage(0, 'Read orders', [transform(0, 'Read orders/Impulse', 'beam:transform:impulse:v1', 1, 0), transform(1, 'Read orders/Split', elements=1, time_ms=40),
                               transform(2, 'Read orders/ReadFiles', elements=n, time_ms=8200)], elements=1),
      stage(1, 'Read prices', [transform(3, 'Read prices/Create', elements=420, time_ms=35), transform(4, 'Read prices/ToDict', elements=420, time_ms=12)], elements=420),
      stage(2, 'Parse lines', [transform(5, 'Parse lines/ParDo(ParseOrder)', elements=done, time_ms=21000), transform(6, 'Drop returns', elements=done, time_ms=1900),
                               transform(7, 'Enrich/CallService', elements=done, time_ms=slow_ms), transform(8, 'Key by shop', elements=done, time_ms=900)],
            state=middle, elements=done, bundles_running=3 if middle == 'running' else 0, bundles_failed=failed, elements_waiting=waiting, progress=done / n,
            waits_for='%d elements waiting, 3 bundles running' % waiting if waiting else ''),
      stage(3, 'Sum by shop', [transform(9, 'Sum by shop/GroupByKey', 'beam:transform:group_by_key:v1', done)], state='waiting', kind='group_by_key', environment='',
            elements=done),
      stage(4, 'Write sums', [transform(10, 'Sum by shop/Sum'), transform(11, 'Format'), transform(12, 'Write sums/Write')], state='waiting'),
  ], 'edges': [edge(0, 2, n, name='Read orders/ReadFiles.out'), edge(1, 2, 420, True, 'Read prices/ToDict.out'), edge(2, 3, done), edge(3, 4)]}


def large_graph(transforms, seconds):
  """A stream of that many transforms in fused stages of one to nine, with fans, joins, side inputs and edges over many layers."""
  chance = random.Random(7)
  verbs = ['Parse', 'Filter', 'Window', 'Enrich', 'Count per key', 'Join', 'Format', 'Validate', 'Route', 'Deduplicate', 'Rank']
  stages, edges, made = [], [], 0
  while made < transforms:
    index = len(stages)
    count = min(chance.choice([1, 2, 3, 3, 4, 5, 9]), transforms - made)
    name = '%s %s' % (chance.choice(verbs), chance.choice(['clicks', 'orders', 'sessions', 'prices', 'users']))
    listed = [transform(made + i, '%s %d/%s/ParDo(%sFn)' % (name, index, chance.choice(['Map', 'Expand', 'Apply']), chance.choice(verbs).replace(' ', '')),
                        elements=chance.randrange(10, 900_000) + seconds * 50, time_ms=chance.randrange(100, 9000)) for i in range(count)]
    made += count
    stages.append(stage(index, '%s %d' % (name, index), listed, 'running', chance.randrange(10, 900_000) + seconds * 50, is_streaming=True,
                        bundles_running=chance.choice([0, 0, 1, 2]), elements_waiting=chance.choice([0, 0, 0, 4000]), input_watermark=rfc3339(START_MS + seconds * 1000 - 2400),
                        output_watermark=rfc3339(START_MS + seconds * 1000 - 4800), progress=-1, bundles_failed=1 if index == 20 else 0))
    if index >= 4:
      for source in chance.sample(range(max(0, index - 12), index), chance.choice([1, 1, 1, 2, 3])):
        edges.append(edge(source, index, chance.randrange(10, 900_000)))
      if chance.random() < 0.12:
        edges.append(edge(chance.randrange(0, index), index, 300, True))
  stages[37]['transforms'][0]['time_ms'] = 1_400_000 + seconds * 1000
  return {'is_live': True, 'stages': stages, 'edges': edges}


def messages(count, now_ms):
  lines = [{'seq': 1, 'time_ms': START_MS, 'importance': '', 'text': '', 'state': 'RUNNING'}]
  for i in range(count):
    importance = 'WARNING' if i % 17 == 5 else 'DEBUG' if i % 5 == 2 else 'BASIC'
    text = 'bundle %d of stage 2 done: 1,200 elements in 340 ms' % i if importance != 'WARNING' else \
        'bundle %d failed (attempt 1 of 4), it will be run again: ConnectionError: service busy' % i
    lines.append({'seq': i + 2, 'time_ms': START_MS + i * 1000, 'importance': importance, 'text': text, 'state': ''})
  return lines


METRICS = [
    {'transform': 'Parse lines/ParDo(ParseOrder)', 'pcollection': '', 'namespace': 'orders', 'name': 'bad_lines', 'type': 'counter', 'attempted': '17', 'committed': '17'},
    {'transform': 'Enrich/CallService', 'pcollection': '', 'namespace': 'orders', 'name': 'latency_ms', 'type': 'distribution',
     'attempted': 'count 8200, sum 98400, min 3, max 412', 'committed': 'count 8100, sum 97000, min 3, max 412'},
    {'transform': '', 'pcollection': 'pc_0_2', 'namespace': '', 'name': 'beam:metric:element_count:v1', 'type': 'counter', 'attempted': '2400000', 'committed': '2400000'},
    {'transform': 'Enrich/CallService', 'pcollection': '', 'namespace': '', 'name': 'beam:metric:pardo_execution_time:process_bundle_msecs:v1', 'type': 'counter',
     'attempted': '98400', 'committed': '98400'},
]


def world(now_ms):
  """{server, jobs: id -> {detail, graph, messages, metrics, samples, status}}, the newest job first."""
  seconds = max(0, (now_ms - START_MS) // 1000)
  jobs = {}

  def add(short, graph=None, lines=None, metrics=(), samples=(), status=None, **more):
    jobs[short['id']] = {'detail': detail(short, **more), 'graph': graph or {'stages': [], 'edges': [], 'is_live': False}, 'messages': lines or messages(3, now_ms),
                         'metrics': list(metrics), 'samples': list(samples), 'status': status or {}}

  add(summary('queued-7f2a', 'nightly-report', 'STOPPED', 20, now_ms, started_ms=0, queue_place=1))
  add(summary('hang-91c3', 'orders-enrich', 'RUNNING', 1200, now_ms, progress=0.43, retries=2),
      small_graph(61_000, True, waiting=38_211), messages(60, now_ms), METRICS, warnings=4,
      workers=[worker(1, [bundle(17, 'Parse lines', 312_400 + seconds * 1000, 311_900 + seconds * 1000, 2)]), worker(2, [bundle(44, 'Parse lines', 2100, 300)]),
               worker(3, has_status=False, state='starting')],
      status={'sdk-worker-1': DUMP}, waits_for='stage 2 (Parse lines): 38211 elements waiting, 3 bundles running')
  add(summary('slow-52b0', 'orders-daily', 'RUNNING', 900, now_ms, progress=0.31),
      small_graph(742_000 + seconds * 3000, True, waiting=1_204_000), messages(60, now_ms), METRICS,
      [{'pcollection': 'pc_2_3', 'element': "('shop-17', Order(id=4711, price=12.50))", 'time_ms': now_ms, 'exception': ''},
       {'pcollection': 'pc_0_2', 'element': 'order_id,shop,day,price', 'time_ms': now_ms, 'exception': "ValueError: invalid literal for int() with base 10: 'order_id'"}],
      workers=[worker(1, [bundle(8, 'Parse lines', 4100, 200), bundle(9, 'Parse lines', 900, 100)]), worker(2, [bundle(11, 'Parse lines', 2200, 150)])])
  add(summary('large-300', 'clickstream-attribution', 'RUNNING', 86_400 * 3, now_ms, progress=-1, is_streaming=True, sdk='Java 2.65.0, Python 2.77.0', priority=5),
      large_graph(300, seconds), messages(40, now_ms), METRICS, workers=[worker(i) for i in range(1, 9)], disk_bytes=3 << 30)
  add(summary('fail-03de', 'orders-import', 'FAILED', 3600, now_ms, error=TRACEBACK.split('\n', maxsplit=1)[0], retries=3),
      small_graph(21_000, False, 'running', failed=4), messages(25, now_ms) + [
          {'seq': 90, 'time_ms': now_ms, 'importance': 'ERROR', 'text': TRACEBACK, 'state': ''}], METRICS, error=TRACEBACK)
  disk = 'stage 3 (Sum by shop): cannot store 8.0 MiB of grouped data: disk.per_job (10.0 GiB) is used up: No space left on device'
  add(summary('disk-b2b2', 'sessions-sort', 'FAILED', 7200, now_ms, error=disk), small_graph(30_000, False, 'done'), messages(5, now_ms), error=disk, disk_bytes=10 << 30)
  add(summary('done-11aa', 'wordcount', 'DONE', 9000, now_ms), small_graph(4_000, False, 'done'), messages(12, now_ms), METRICS)
  add(summary('xss-1', PROBE, 'FAILED', 9500, now_ms, error=PROBE, sdk=PROBE),
      {'is_live': False, 'stages': [stage(0, PROBE, [transform(0, PROBE), transform(1, DEEP_PROBE)]), stage(1, DEEP_PROBE, [])],
       'edges': [edge(0, 1, 5, name=PROBE)]},
      [{'seq': 1, 'time_ms': now_ms, 'importance': 'ERROR', 'text': PROBE, 'state': ''}],
      [dict(METRICS[0], name=PROBE, transform=PROBE, attempted=PROBE)], [{'pcollection': PROBE, 'element': PROBE, 'time_ms': now_ms, 'exception': PROBE}],
      error=PROBE, options_json=json.dumps({PROBE: PROBE}), workers=[worker(1, id=PROBE)], status={PROBE: PROBE}, waits_for=PROBE)
  for i in range(150):
    add(summary('old-%03d' % i, 'hourly-import-%03d' % i, 'CANCELLED' if i % 9 == 4 else 'DONE', 10_000 + i * 3600, now_ms))
  server = {'version': '0.1.0', 'endpoint': 'localhost:8099', 'started_ms': START_MS - 86_400_000 * 9, 'now_ms': now_ms, 'running_jobs': 3, 'queued_jobs': 1,
            'finished_jobs': 154, 'workers': 13, 'warm_workers': 2, 'bundles': 9, 'memory_bytes': 1200 << 20, 'memory_limit_bytes': 3900 << 20,
            'disk_bytes': 13 << 30, 'disk_limit_bytes': 40 << 30, 'resident_bytes': 141 << 20}
  return {'server': server, 'jobs': jobs}
