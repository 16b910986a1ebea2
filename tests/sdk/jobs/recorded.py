"""A pipeline as an SDK's own client submits it, taken down so that it can be submitted again and again at little cost.

The client's program is run once, for a proxy of the Job API in front of the daemon, which keeps what it says in Prepare. Submitting again sends the same
pipeline and offers the same files; the harnesses that run it are the SDK's own.
"""
import concurrent.futures

import grpc
from apache_beam.portability.api import beam_artifact_api_pb2_grpc
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability import artifact_service

_SERVICE = '/org.apache.beam.model.job_management.v1.JobService/'
_STREAMING = {'GetStateStream', 'GetMessageStream'}
_OPTIONS = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)]


class Recorder(grpc.GenericRpcHandler):
  """The Job API on a port of its own, every call passed on to the endpoint. `endpoint` is where, `prepared` the last PrepareJobRequest."""
  def __init__(self, endpoint):
    self.prepared = None
    self._channel = grpc.insecure_channel(endpoint, options=_OPTIONS)
    self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=16), handlers=[self], options=_OPTIONS)
    self.endpoint = '127.0.0.1:%d' % self._server.add_insecure_port('127.0.0.1:0')
    self._server.start()

  def service(self, handler_call_details):
    method = handler_call_details.method
    if not method.startswith(_SERVICE):
      return None
    if method[len(_SERVICE):] in _STREAMING:
      return grpc.unary_stream_rpc_method_handler(lambda request, context: self._stream(method, request, context))
    return grpc.unary_unary_rpc_method_handler(lambda request, context: self._call(method, request, context))

  def _call(self, method, request, context):
    if method == _SERVICE + 'Prepare':
      self.prepared = beam_job_api_pb2.PrepareJobRequest.FromString(request)
    try:
      return self._channel.unary_unary(method)(request)
    except grpc.RpcError as error:
      context.abort(error.code(), error.details())

  def _stream(self, method, request, context):
    call = self._channel.unary_stream(method)(request)
    context.add_callback(call.cancel)
    try:
      yield from call
    except grpc.RpcError as error:
      context.abort(error.code(), error.details())

  def close(self):
    self._server.stop(None).wait()
    self._channel.close()


def _read_file(path):
  return open(path, 'rb')


def submit(endpoint, prepared, name):
  """Prepares, stages and runs a job, on a channel of its own as a client does; returns its last state's name and its last ERROR message."""
  with grpc.insecure_channel(endpoint, options=_OPTIONS) as channel:
    service = beam_job_api_pb2_grpc.JobServiceStub(channel)
    request = beam_job_api_pb2.PrepareJobRequest()
    request.CopyFrom(prepared)
    request.job_name = name
    preparation = service.Prepare(request)
    with grpc.insecure_channel(preparation.artifact_staging_endpoint.url, options=_OPTIONS) as staging:
      artifact_service.offer_artifacts(
          beam_artifact_api_pb2_grpc.ArtifactStagingServiceStub(staging),
          artifact_service.ArtifactRetrievalService(_read_file), preparation.staging_session_token)
    job = service.Run(
        beam_job_api_pb2.RunJobRequest(
            preparation_id=preparation.preparation_id, retrieval_token=preparation.staging_session_token)).job_id
    state, error = None, ''
    for response in service.GetMessageStream(beam_job_api_pb2.JobMessagesRequest(job_id=job)):
      if response.HasField('state_response'):
        state = response.state_response.state
      elif response.message_response.importance == beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR:
        error = response.message_response.message_text
    service.GetJobMetrics(beam_job_api_pb2.GetJobMetricsRequest(job_id=job))
  return beam_job_api_pb2.JobState.Enum.Name(state), error
