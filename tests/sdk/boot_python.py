"""Does for one Python SDK worker what the boot program of the SDK's container does: asks the provision service who it is,
fetches the staged artifacts, and becomes sdk_worker_main (the same process, so that its death is the worker's)."""
import argparse
import hashlib
import os
import sys
import tempfile

import grpc
from google.protobuf import json_format, text_format

from apache_beam.portability import common_urns
from apache_beam.portability.api import (beam_artifact_api_pb2, beam_artifact_api_pb2_grpc, beam_provision_api_pb2,
                                         beam_provision_api_pb2_grpc, beam_runner_api_pb2, endpoints_pb2)

_TIMEOUT_S = 60
_UNLIMITED = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)]
_NEEDS_PIP = {'requirements.txt', 'extra_packages.txt', 'workflow.tar.gz'}


def connect(url, worker_id):
  """A channel, and the metadata that says to the daemon who asks."""
  return grpc.insecure_channel(url, options=_UNLIMITED), (('worker_id', worker_id), )


def provision(args):
  channel, who = connect(args.provision_endpoint, args.id)
  with channel:
    stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
    request = beam_provision_api_pb2.GetProvisionInfoRequest()
    return stub.GetProvisionInfo(request, timeout=_TIMEOUT_S, metadata=who).info


def fetch(artifact, stub, who, folder):
  """One artifact into the folder, under the name it was staged for, checked against its digest."""
  staging_to = common_urns.artifact_roles.STAGING_TO.urn
  if artifact.role_urn != staging_to:
    return None
  name = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload).staged_name
  path = os.path.join(folder, name)
  if not os.path.abspath(path).startswith(os.path.abspath(folder) + os.sep):
    raise ValueError('artifact name %r leaves the staging folder' % name)
  os.makedirs(os.path.dirname(path), exist_ok=True)
  digest = hashlib.sha256()
  with open(path, 'wb') as f:
    request = beam_artifact_api_pb2.GetArtifactRequest(artifact=artifact)
    for part in stub.GetArtifact(request, timeout=_TIMEOUT_S, metadata=who):
      digest.update(part.data)
      f.write(part.data)
  if artifact.type_urn == common_urns.artifact_types.FILE.urn:
    want = beam_runner_api_pb2.ArtifactFilePayload.FromString(artifact.type_payload).sha256
    if want and want != digest.hexdigest():
      raise ValueError('artifact %s: sha256 is %s, not %s' % (name, digest.hexdigest(), want))
  return name


def fetch_all(info, args, folder):
  if not info.dependencies:
    return []
  os.makedirs(folder)
  channel, who = connect(info.artifact_endpoint.url or args.artifact_endpoint, args.id)
  with channel:
    stub = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(channel)
    request = beam_artifact_api_pb2.ResolveArtifactsRequest(
        artifacts=info.dependencies,
        preferred_urns=[common_urns.artifact_types.FILE.urn, common_urns.artifact_types.URL.urn])
    resolved = stub.ResolveArtifacts(request, timeout=_TIMEOUT_S, metadata=who).replacements
    return [fetch(artifact, stub, who, folder) for artifact in resolved]


def descriptor(url):
  return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url), as_one_line=True)


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--id', required=True)
  parser.add_argument('--provision_endpoint', required=True)
  for name in ('logging', 'artifact', 'control'):
    parser.add_argument('--%s_endpoint' % name, default='')
  args, _ = parser.parse_known_args()

  info = provision(args)
  home = tempfile.mkdtemp(prefix='worker-', dir=os.environ.get('TRESTLE_TEST_SCRATCH') or None)
  names = fetch_all(info, args, os.path.join(home, 'staged'))
  unsupported = _NEEDS_PIP.intersection(names)
  if unsupported:
    sys.exit('%s: staged, but this boot program installs nothing' % ', '.join(sorted(unsupported)))

  options = os.path.join(home, 'pipeline_options.json')
  with open(options, 'w', encoding='utf-8') as f:
    f.write(json_format.MessageToJson(info.pipeline_options))
  env = dict(
      os.environ,
      WORKER_ID=args.id,
      PIPELINE_OPTIONS_FILE=options,
      SEMI_PERSISTENT_DIRECTORY=home,
      LOGGING_API_SERVICE_DESCRIPTOR=descriptor(info.logging_endpoint.url or args.logging_endpoint),
      CONTROL_API_SERVICE_DESCRIPTOR=descriptor(info.control_endpoint.url or args.control_endpoint),
      RUNNER_CAPABILITIES=' '.join(info.runner_capabilities),
      JOB_ID=info.metadata.get('job_id', ''),
      JOB_NAME=info.metadata.get('job_name', ''))
  if info.status_endpoint.url:
    env['STATUS_API_SERVICE_DESCRIPTOR'] = descriptor(info.status_endpoint.url)
  sys.stdout.flush()
  os.execve(sys.executable, [sys.executable, '-m', 'apache_beam.runners.worker.sdk_worker_main'], env)


if __name__ == '__main__':
  main()
