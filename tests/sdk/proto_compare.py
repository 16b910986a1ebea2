"""Compares Trestle's wire contract with the one inside the installed apache-beam package.

    proto_compare.py DESCRIPTOR_SET URN_HEADER

DESCRIPTOR_SET is what the build makes of proto/*.proto (`contract.pb`), URN_HEADER is model/urn.h. Run it with the
Python of the project's virtual environment.

Both contracts are flattened into {name: facts}: one entry for each message, field, oneof, enum, enum value, service,
rpc and extension. The entries are then compared in both directions, so that an SDK release that adds a field fails
here and names the field. The URN table is compared with the URNs in the SDK's enum options in the same way.

What is not compared: comments, file paths, json_name, the order of declarations, and options for the generated code of
other languages. Two facts are normalised: a proto3 `optional x` is the one-field oneof `_x`, which is what protoc makes
of it; and the prose "description" in a metric's specification is left out on both sides.

Exit code 0 if all is equal, 1 if something differs, 2 if the comparison could not be made.
"""

import importlib
import logging
import os
import pathlib
import re
import sys

from google.protobuf import descriptor_pb2
from google.protobuf import text_format
from google.protobuf.message import DecodeError

# Files of the SDK that Trestle does not speak: {stem: why}.
SKIPPED = {}

TYPE_NAMES = {number: name[5:].lower() for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()}
LABEL_NAMES = {number: name[6:].lower() for name, number in descriptor_pb2.FieldDescriptorProto.Label.items()}


class Unusable(Exception):
  """The comparison cannot be made."""


def stem(path):
  return os.path.basename(path).removesuffix('.proto')


def load_sdk():
  """The SDK's files by stem. Importing them also registers the extensions that carry URNs."""
  import apache_beam.portability.api as api
  root = pathlib.Path(api.__file__).parent
  files = {}
  for path in sorted(root.rglob('*_pb2.py')):
    module = '.'.join((api.__name__, ) + path.relative_to(root).with_suffix('').parts)
    descriptor = importlib.import_module(module).DESCRIPTOR
    name = stem(descriptor.name)
    if name in files:
      raise Unusable(f'two files of the SDK are called {name}')
    files[name] = descriptor_pb2.FileDescriptorProto.FromString(descriptor.serialized_pb)
  return files


def load_ours(path):
  with open(path, 'rb') as stream:
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(stream.read())
  return {stem(f.name): f for f in descriptors.file if not f.name.startswith(('google/', 'protobuf-c/'))}


def option_text(options):
  """Options as text, without the prose of metric specifications."""
  for field, value in options.ListFields():
    if field.name == 'monitoring_info_spec':
      kept = [a for a in value.annotations if a.key != 'description']
      del value.annotations[:]
      value.annotations.extend(kept)
  return text_format.MessageToString(options, as_one_line=True)


def flatten(file):
  """{group: {entry: facts}}. A group is a message, an enum or a service, and is what is counted."""
  groups = {'file': {'file': {'package': file.package, 'syntax': file.syntax}}}

  def add(group, entry, **facts):
    groups.setdefault(group, {})[entry] = facts

  def add_field(group, kind, name, field, oneofs=()):
    add(
        group,
        f'{kind} {name}',
        number=field.number,
        type=TYPE_NAMES[field.type],
        type_name=field.type_name,
        label=LABEL_NAMES[field.label],
        oneof=oneofs[field.oneof_index].name if field.HasField('oneof_index') else '',
        default=field.default_value,
        extends=field.extendee,
        options=option_text(field.options))

  def add_enum(scope, enum):
    name = scope + enum.name
    add(name, f'enum {name}', reserved=reserved(enum), options=option_text(enum.options))
    for value in enum.value:
      add(name, f'enum value {name}.{value.name}', number=value.number, options=option_text(value.options))

  def add_message(scope, message):
    name = scope + message.name
    options = option_text(message.options)  # among them map_entry
    add(name, f'message {name}', reserved=reserved(message), options=options)
    for field in message.field:
      add_field(name, 'field', f'{name}.{field.name}', field, message.oneof_decl)
    for oneof in message.oneof_decl:
      add(name, f'oneof {name}.{oneof.name}', options=option_text(oneof.options))
    for extension in message.extension:
      add_field(name, 'extension', f'{name}.{extension.name}', extension)
    for enum in message.enum_type:
      add_enum(name + '.', enum)
    for nested in message.nested_type:
      add_message(name + '.', nested)

  def reserved(owner):
    return str(sorted((r.start, r.end) for r in owner.reserved_range) + sorted(owner.reserved_name))

  for extension in file.extension:
    add_field('extensions', 'extension', extension.name, extension)
  for enum in file.enum_type:
    add_enum('', enum)
  for message in file.message_type:
    add_message('', message)
  for service in file.service:
    add(service.name, f'service {service.name}', options=option_text(service.options))
    for rpc in service.method:
      add(
          service.name,
          f'rpc {service.name}.{rpc.name}',
          request=rpc.input_type,
          response=rpc.output_type,
          request_stream=rpc.client_streaming,
          response_stream=rpc.server_streaming,
          options=option_text(rpc.options))
  return groups


class Tally:
  """Counts comparisons and prints the differences each one found."""
  def __init__(self):
    self.passed = 0
    self.failed = 0
    self.compared = {}  # kind of entry -> number of entries

  def judge(self, where, differences):
    if differences:
      self.failed += 1
    else:
      self.passed += 1
    for difference in differences:
      print(f'{where}: {difference}')

  def count(self, kind, number=1):
    self.compared[kind] = self.compared.get(kind, 0) + number


def compare_entries(ours, sdk):
  """Differences between two {entry: facts}, in both directions."""
  for entry in sorted(ours.keys() | sdk.keys()):
    if entry not in sdk:
      yield f'{entry}: missing in the SDK'
    elif entry not in ours:
      yield f'{entry}: missing in ours: {facts_text(sdk[entry])}'
    else:
      for fact in ours[entry].keys() | sdk[entry].keys():
        a, b = ours[entry].get(fact), sdk[entry].get(fact)
        if a != b:
          yield f'{entry}: {fact} differs: ours {a!r}, SDK {b!r}'


def facts_text(facts):
  return ', '.join(f'{fact} {value}' for fact, value in facts.items() if value not in ('', False, '[]'))


def compare_files(ours, sdk, tally):
  for name in sorted(SKIPPED.keys() - sdk.keys()):
    tally.judge(name, ['skipped here, but the SDK no longer has it'])
  for name in sorted((ours.keys() | sdk.keys()) - SKIPPED.keys()):
    if name not in ours or name not in sdk:
      tally.judge(name + '.proto', [f'file missing in {"the SDK" if name in ours else "ours"}'])
      continue
    our_groups, sdk_groups = flatten(ours[name]), flatten(sdk[name])
    for group in sorted(our_groups.keys() | sdk_groups.keys()):
      a, b = our_groups.get(group, {}), sdk_groups.get(group, {})
      tally.judge(name + '.proto', list(compare_entries(a, b)))
      for entry in b:
        is_map = 'map_entry: true' in b[entry].get('options', '')
        tally.count('map entry' if is_map else entry.rpartition(' ')[0] or 'file')


def sdk_urns(files):
  """({URN: {origins}}, {metric URN: type URN}) of the SDK's enum options."""
  urns, metric_types = {}, {}

  def add_enum(scope, enum):
    for value in enum.value:
      for option, content in value.options.ListFields():
        if option.name == 'beam_urn':
          urn = content
        elif option.name == 'monitoring_info_spec':
          urn = content.urn
          metric_types[urn] = content.type
        else:
          continue
        urns.setdefault(urn, set()).add(f'{scope}{enum.name}.{value.name}')

  def add_message(scope, message):
    for enum in message.enum_type:
      add_enum(f'{scope}{message.name}.', enum)
    for nested in message.nested_type:
      add_message(f'{scope}{message.name}.', nested)

  for name, file in files.items():
    if name not in SKIPPED:
      for enum in file.enum_type:
        add_enum('', enum)
      for message in file.message_type:
        add_message('', message)
  return urns, metric_types


def parse_list(text, macro, columns):
  """The rows of one X-macro list of urn.h. A row that is not understood ends the comparison."""
  body = re.search(rf'^#define {macro}\(X\)((?:.*\\\n)*.*)$', text, re.MULTILINE)
  if not body:
    raise Unusable(f'no list {macro} in the URN header')
  code = re.sub(r'/\*.*?\*/', '', body[1].replace('\\\n', ' '), flags=re.DOTALL)
  column = r'\s*(?:"([^"]*)"|(\w+))\s*'
  row = re.compile(r'\s*X\(' + ','.join([column] * columns) + r'\)')
  rows, position = [], 0
  while match := row.match(code, position):
    rows.append(tuple(g for g in match.groups() if g is not None))
    position = match.end()
  if code[position:].strip():
    raise Unusable(f'{macro}: row not understood: {code[position:].strip()[:100]}')
  return rows


def compare_urns(path, files, tally):
  with open(path, encoding='utf-8') as stream:
    text = stream.read()
  urns, metric_types = sdk_urns(files)

  strings = {}  # constant -> URN
  ours = {}
  for constant, urn, origin in parse_list(text, 'URN_PROTOCOL_LIST', 3):
    strings[constant] = urn
    ours[urn] = set(origin.split(', '))
  for urn in sorted(ours.keys() | urns.keys()):
    differences = []
    if urn not in urns:
      differences.append(f'{urn}: missing in the SDK')
    elif urn not in ours:
      differences.append(f'{urn}: missing in ours, from {", ".join(sorted(urns[urn]))}')
    elif ours[urn] != urns[urn]:
      differences.append(f'{urn}: origin differs: ours {sorted(ours[urn])}, SDK {sorted(urns[urn])}')
    tally.judge('URN table', differences)
    tally.count('URN')

  for constant, urn, _ in parse_list(text, 'URN_SDK_LIST', 3):
    strings[constant] = urn
    tally.judge('URN table', [f'{urn}: listed as an SDK\'s own, but the protocol has it'] if urn in urns else [])
    tally.count('URN of an SDK\'s own')

  our_types = {strings.get(a, a): strings.get(b, b) for a, b in parse_list(text, 'URN_METRIC_TYPE_LIST', 2)}
  for urn in sorted(our_types.keys() | metric_types.keys()):
    a, b = our_types.get(urn), metric_types.get(urn)
    tally.judge('metric types', [] if a == b else [f'{urn}: ours {a}, SDK {b}'])
    tally.count('metric type')


def main(arguments):
  if len(arguments) != 2:
    print('usage: proto_compare.py DESCRIPTOR_SET URN_HEADER', file=sys.stderr)
    return 2
  logging.disable(logging.WARNING)  # the SDK remarks on what else is not installed
  try:
    sdk = load_sdk()
  except ImportError as error:
    raise Unusable(f'cannot import the SDK: {error}') from error
  ours = load_ours(arguments[0])
  tally = Tally()
  compare_files(ours, sdk, tally)
  compare_urns(arguments[1], sdk, tally)
  print('compared: ' + ', '.join(f'{kind} {number}' for kind, number in sorted(tally.compared.items())))
  print(f'{tally.passed} passed, {tally.failed} failed')
  return 1 if tally.failed else 0


if __name__ == '__main__':
  try:
    sys.exit(main(sys.argv[1:]))
  except (Unusable, OSError, DecodeError) as error:
    print(error, file=sys.stderr)
    sys.exit(2)
