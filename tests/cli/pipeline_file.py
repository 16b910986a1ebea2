"""Files with a serialized Pipeline, made by protoc from protobuf's text format, so that no SDK is needed."""
import subprocess

PIPELINE = '''
components {
  transforms { key: "impulse" value { unique_name: "Begin" spec { urn: "beam:transform:impulse:v1" } outputs { key: "out" value: "begin" } } }
  %s
  pcollections { key: "begin" value { unique_name: "Begin.out" coder_id: "bytes" is_bounded: BOUNDED windowing_strategy_id: "global" } }
  windowing_strategies { key: "global" value {
    window_fn { urn: "beam:window_fn:global_windows:v1" } merge_status: NON_MERGING window_coder_id: "window"
    trigger { default {} } accumulation_mode: DISCARDING output_time: END_OF_WINDOW closing_behavior: EMIT_IF_NONEMPTY
    on_time_behavior: FIRE_IF_NONEMPTY environment_id: "worker" } }
  coders { key: "bytes" value { spec { urn: "beam:coder:bytes:v1" } } }
  coders { key: "window" value { spec { urn: "beam:coder:global_window:v1" } } }
  environments { key: "worker" value { urn: "beam:env:process:v1" payload: "%s" } }
}
root_transform_ids: "impulse"
%s
'''
WORK = '''
  transforms { key: "work" value { unique_name: "Work" spec { urn: "beam:transform:pardo:v1" payload: "\\n\\006\\n\\004test" }
    inputs { key: "in" value: "begin" } environment_id: "worker" } }
'''


def encode(protos, message, text):
  done = subprocess.run(['protoc', '-I', protos, '--encode=org.apache.beam.model.pipeline.v1.' + message, 'beam_runner_api.proto'],
                        input=text.encode(), capture_output=True)
  assert done.returncode == 0, done.stderr.decode()
  return done.stdout


def write(protos, path, command):
  """An Impulse; with a command, a ParDo behind it in a PROCESS environment that runs that."""
  payload = ''.join(f'\\{byte:03o}' for byte in encode(protos, 'ProcessPayload', 'command: "%s"' % (command or '')))
  text = PIPELINE % (WORK if command else '', payload, 'root_transform_ids: "work"' if command else '')
  with open(path, 'wb') as file:
    file.write(encode(protos, 'Pipeline', text))
