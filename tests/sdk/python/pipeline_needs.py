"""What a submitted pipeline asks of a runner beyond batch in the global window: a word for each such feature.

The words stand in the list of results, so that a failing test can be put to the feature that it is about.
"""
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

_PRIMITIVES = common_urns.primitives
_PAR_DOS = {
    _PRIMITIVES.PAR_DO.urn, common_urns.sdf_components.PAIR_WITH_RESTRICTION.urn,
    common_urns.sdf_components.SPLIT_AND_SIZE_RESTRICTIONS.urn,
    common_urns.sdf_components.PROCESS_SIZED_ELEMENTS_AND_RESTRICTIONS.urn
}
_RESHUFFLE = common_urns.composites.RESHUFFLE.urn
_GLOBAL_WINDOWS = 'beam:window_fn:global_windows:v1'
_KNOWN_WINDOWS = {'beam:window_fn:%s_windows:v1' % name: name + '-windows' for name in ('fixed', 'sliding', 'session')}


def _par_do_needs(spec):
  payload = beam_runner_api_pb2.ParDoPayload.FromString(spec.payload)
  if payload.state_specs:
    yield 'state'
  domains = beam_runner_api_pb2.TimeDomain
  for timer in payload.timer_family_specs.values():
    yield 'processing-time-timers' if timer.time_domain == domains.PROCESSING_TIME else 'event-time-timers'
  if payload.restriction_coder_id:
    yield 'splittable-dofn'
  if payload.requests_finalization:
    yield 'bundle-finalization'
  if payload.requires_time_sorted_input:
    yield 'time-sorted-input'


def _windowing_needs(strategy):
  urn = strategy.window_fn.urn
  if urn != _GLOBAL_WINDOWS:
    yield _KNOWN_WINDOWS.get(urn, 'custom-windows')
  if strategy.merge_status == beam_runner_api_pb2.MergeStatus.NEEDS_MERGE:
    yield 'merging-windows'
  trigger = strategy.trigger.WhichOneof('trigger')
  if trigger not in (None, 'default', 'never'):
    yield 'triggers'
  if strategy.allowed_lateness:
    yield 'allowed-lateness'


def _inside_reshuffles(transforms):
  """A reshuffle's own windows and triggers are not the pipeline's: a runner treats it as a whole."""
  inside, todo = set(), [i for i, t in transforms.items() if t.spec.urn == _RESHUFFLE]
  while todo:
    one = todo.pop()
    if one in transforms and one not in inside:
      inside.add(one)
      todo += transforms[one].subtransforms
  return inside


def pipeline_needs(pipeline):
  """The sorted words for a pipeline proto."""
  components = pipeline.components
  transforms = components.transforms
  needs = set()
  inside = _inside_reshuffles(transforms)
  collections = set()
  for transform_id, transform in transforms.items():
    if transform.spec.urn == _PRIMITIVES.TEST_STREAM.urn:
      needs.add('test-stream')
    elif transform.spec.urn in _PAR_DOS:
      needs.update(_par_do_needs(transform.spec))
    if transform_id not in inside:
      collections.update(transform.outputs.values())
  for collection_id in collections:
    collection = components.pcollections[collection_id]
    if collection.is_bounded == beam_runner_api_pb2.IsBounded.UNBOUNDED:
      needs.add('unbounded')
    needs.update(_windowing_needs(components.windowing_strategies[collection.windowing_strategy_id]))
  return sorted(needs)
