/* URNs: the names by which Beam calls everything that can be extended.
 *
 * A URN is a string on the wire and an `enum urn` inside Trestle: it is looked up once, where a message comes in, and
 * from then on it is an index into tables of handlers. URN_UNKNOWN is not an error here. Whether an unknown URN is
 * refused or carried along as opaque bytes is for the reader of the message to say, who also has the string to name it.
 *
 * There are two lists. The first holds the URNs of the protocol's own enums, and tests/sdk/proto_compare.py compares it
 * with the installed SDK in both directions. The second holds URNs that only occur as strings in the code of the SDKs.
 * Each is sorted by URN (strcmp), because the look-up is a binary search; tests/unit/test_urn.c holds that. A new row
 * renumbers the rest, so the numbers never leave the process.
 *
 * All functions are pure and may be called from any thread. */
#ifndef MODEL_URN_H
#define MODEL_URN_H

#include <stddef.h>

// clang-format off

/* X(constant, URN, the enum value that carries it; several values are separated by ", ") */
#define URN_PROTOCOL_LIST(X) \
  X(URN_ARTIFACT_ROLE_GO_WORKER_BINARY, "beam:artifact:role:go_worker_binary:v1", \
    "StandardArtifacts.Roles.GO_WORKER_BINARY") \
  X(URN_ARTIFACT_ROLE_PIP_REQUIREMENTS_FILE, "beam:artifact:role:pip_requirements_file:v1", \
    "StandardArtifacts.Roles.PIP_REQUIREMENTS_FILE") \
  X(URN_ARTIFACT_ROLE_STAGING_TO, "beam:artifact:role:staging_to:v1", "StandardArtifacts.Roles.STAGING_TO") \
  X(URN_ARTIFACT_TYPE_DEFERRED, "beam:artifact:type:deferred:v1", "StandardArtifacts.Types.DEFERRED") \
  X(URN_ARTIFACT_TYPE_EMBEDDED, "beam:artifact:type:embedded:v1", "StandardArtifacts.Types.EMBEDDED") \
  X(URN_ARTIFACT_TYPE_FILE, "beam:artifact:type:file:v1", "StandardArtifacts.Types.FILE") \
  X(URN_ARTIFACT_TYPE_MAVEN, "beam:artifact:type:maven:v1", "StandardArtifacts.Types.MAVEN") \
  X(URN_ARTIFACT_TYPE_PYPI, "beam:artifact:type:pypi:v1", "StandardArtifacts.Types.PYPI") \
  X(URN_ARTIFACT_TYPE_URL, "beam:artifact:type:url:v1", "StandardArtifacts.Types.URL") \
  X(URN_CODER_BOOL, "beam:coder:bool:v1", "StandardCoders.Enum.BOOL") \
  X(URN_CODER_BYTES, "beam:coder:bytes:v1", "StandardCoders.Enum.BYTES") \
  X(URN_CODER_CUSTOM_WINDOW, "beam:coder:custom_window:v1", "StandardCoders.Enum.CUSTOM_WINDOW") \
  X(URN_CODER_DOUBLE, "beam:coder:double:v1", "StandardCoders.Enum.DOUBLE") \
  X(URN_CODER_GLOBAL_WINDOW, "beam:coder:global_window:v1", "StandardCoders.Enum.GLOBAL_WINDOW") \
  X(URN_CODER_INTERVAL_WINDOW, "beam:coder:interval_window:v1", "StandardCoders.Enum.INTERVAL_WINDOW") \
  X(URN_CODER_ITERABLE, "beam:coder:iterable:v1", "StandardCoders.Enum.ITERABLE") \
  X(URN_CODER_KV, "beam:coder:kv:v1", "StandardCoders.Enum.KV") \
  X(URN_CODER_LENGTH_PREFIX, "beam:coder:length_prefix:v1", "StandardCoders.Enum.LENGTH_PREFIX") \
  X(URN_CODER_NULLABLE, "beam:coder:nullable:v1", "StandardCoders.Enum.NULLABLE") \
  X(URN_CODER_PARAM_WINDOWED_VALUE, "beam:coder:param_windowed_value:v1", "StandardCoders.Enum.PARAM_WINDOWED_VALUE") \
  X(URN_CODER_ROW, "beam:coder:row:v1", "StandardCoders.Enum.ROW") \
  X(URN_CODER_SCHEMA, "beam:coder:schema:v1", "StandardCoders.Enum.SCHEMA") \
  X(URN_CODER_SHARDED_KEY, "beam:coder:sharded_key:v1", "StandardCoders.Enum.SHARDED_KEY") \
  X(URN_CODER_STATE_BACKED_ITERABLE, "beam:coder:state_backed_iterable:v1", \
    "StandardCoders.Enum.STATE_BACKED_ITERABLE") \
  X(URN_CODER_STRING_UTF8, "beam:coder:string_utf8:v1", "StandardCoders.Enum.STRING_UTF8") \
  X(URN_CODER_TIMER, "beam:coder:timer:v1", "StandardCoders.Enum.TIMER") \
  X(URN_CODER_VARINT, "beam:coder:varint:v1", "StandardCoders.Enum.VARINT") \
  X(URN_CODER_WINDOWED_VALUE, "beam:coder:windowed_value:v1", "StandardCoders.Enum.WINDOWED_VALUE") \
  X(URN_DISPLAY_DATA_LABELLED, "beam:display_data:labelled:v1", "StandardDisplayData.DisplayData.LABELLED") \
  X(URN_ENV_ANYOF, "beam:env:anyof:v1", "StandardEnvironments.Environments.ANYOF") \
  X(URN_ENV_DEFAULT, "beam:env:default:v1", "StandardEnvironments.Environments.DEFAULT") \
  X(URN_ENV_DOCKER, "beam:env:docker:v1", "StandardEnvironments.Environments.DOCKER") \
  X(URN_ENV_EXTERNAL, "beam:env:external:v1", "StandardEnvironments.Environments.EXTERNAL") \
  X(URN_ENV_PROCESS, "beam:env:process:v1", "StandardEnvironments.Environments.PROCESS") \
  X(URN_EXPANSION_JAVA_CLASS_LOOKUP, "beam:expansion:payload:java_class_lookup:v1", \
    "ExpansionMethods.Enum.JAVA_CLASS_LOOKUP") \
  X(URN_EXPANSION_SCHEMA_TRANSFORM, "beam:expansion:payload:schematransform:v1", \
    "ExpansionMethods.Enum.SCHEMA_TRANSFORM") \
  X(URN_LOGICAL_TYPE_DATE, "beam:logical_type:date:v1", "LogicalTypes.Enum.DATE") \
  X(URN_LOGICAL_TYPE_DECIMAL, "beam:logical_type:decimal:v1", "LogicalTypes.Enum.DECIMAL") \
  X(URN_LOGICAL_TYPE_FIXED_BYTES, "beam:logical_type:fixed_bytes:v1", "LogicalTypes.Enum.FIXED_BYTES") \
  X(URN_LOGICAL_TYPE_FIXED_CHAR, "beam:logical_type:fixed_char:v1", "LogicalTypes.Enum.FIXED_CHAR") \
  X(URN_LOGICAL_TYPE_MICROS_INSTANT, "beam:logical_type:micros_instant:v1", "LogicalTypes.Enum.MICROS_INSTANT") \
  X(URN_LOGICAL_TYPE_MILLIS_INSTANT, "beam:logical_type:millis_instant:v1", "LogicalTypes.Enum.MILLIS_INSTANT") \
  X(URN_LOGICAL_TYPE_PYTHON_CALLABLE, "beam:logical_type:python_callable:v1", "LogicalTypes.Enum.PYTHON_CALLABLE") \
  X(URN_LOGICAL_TYPE_TIMESTAMP, "beam:logical_type:timestamp:v1", "LogicalTypes.Enum.TIMESTAMP") \
  X(URN_LOGICAL_TYPE_VAR_BYTES, "beam:logical_type:var_bytes:v1", "LogicalTypes.Enum.VAR_BYTES") \
  X(URN_LOGICAL_TYPE_VAR_CHAR, "beam:logical_type:var_char:v1", "LogicalTypes.Enum.VAR_CHAR") \
  X(URN_METRIC_DATA_CHANNEL_READ_INDEX, "beam:metric:data_channel:read_index:v1", \
    "MonitoringInfoSpecs.Enum.DATA_CHANNEL_READ_INDEX") \
  X(URN_METRIC_ELEMENT_COUNT, "beam:metric:element_count:v1", "MonitoringInfoSpecs.Enum.ELEMENT_COUNT") \
  X(URN_METRIC_API_REQUEST_COUNT, "beam:metric:io:api_request_count:v1", "MonitoringInfoSpecs.Enum.API_REQUEST_COUNT") \
  X(URN_METRIC_API_REQUEST_LATENCIES, "beam:metric:io:api_request_latencies:v1", \
    "MonitoringInfoSpecs.Enum.API_REQUEST_LATENCIES") \
  X(URN_METRIC_FINISH_BUNDLE_MSECS, "beam:metric:pardo_execution_time:finish_bundle_msecs:v1", \
    "MonitoringInfoSpecs.Enum.FINISH_BUNDLE_MSECS") \
  X(URN_METRIC_PROCESS_BUNDLE_MSECS, "beam:metric:pardo_execution_time:process_bundle_msecs:v1", \
    "MonitoringInfoSpecs.Enum.PROCESS_BUNDLE_MSECS") \
  X(URN_METRIC_START_BUNDLE_MSECS, "beam:metric:pardo_execution_time:start_bundle_msecs:v1", \
    "MonitoringInfoSpecs.Enum.START_BUNDLE_MSECS") \
  X(URN_METRIC_TOTAL_MSECS, "beam:metric:ptransform_execution_time:total_msecs:v1", \
    "MonitoringInfoSpecs.Enum.TOTAL_MSECS") \
  X(URN_METRIC_WORK_COMPLETED, "beam:metric:ptransform_progress:completed:v1", \
    "MonitoringInfoSpecs.Enum.WORK_COMPLETED") \
  X(URN_METRIC_WORK_REMAINING, "beam:metric:ptransform_progress:remaining:v1", \
    "MonitoringInfoSpecs.Enum.WORK_REMAINING") \
  X(URN_METRIC_SAMPLED_BYTE_SIZE, "beam:metric:sampled_byte_size:v1", "MonitoringInfoSpecs.Enum.SAMPLED_BYTE_SIZE") \
  X(URN_METRIC_USER_BOTTOM_N_DOUBLE, "beam:metric:user:bottom_n_double:v1", \
    "MonitoringInfoSpecs.Enum.USER_BOTTOM_N_DOUBLE") \
  X(URN_METRIC_USER_BOTTOM_N_INT64, "beam:metric:user:bottom_n_int64:v1", \
    "MonitoringInfoSpecs.Enum.USER_BOTTOM_N_INT64") \
  X(URN_METRIC_USER_BOUNDED_TRIE, "beam:metric:user:bounded_trie:v1", "MonitoringInfoSpecs.Enum.USER_BOUNDED_TRIE") \
  X(URN_METRIC_USER_DISTRIBUTION_DOUBLE, "beam:metric:user:distribution_double:v1", \
    "MonitoringInfoSpecs.Enum.USER_DISTRIBUTION_DOUBLE") \
  X(URN_METRIC_USER_DISTRIBUTION_INT64, "beam:metric:user:distribution_int64:v1", \
    "MonitoringInfoSpecs.Enum.USER_DISTRIBUTION_INT64") \
  X(URN_METRIC_USER_HISTOGRAM, "beam:metric:user:histogram_int64:v1", "MonitoringInfoSpecs.Enum.USER_HISTOGRAM") \
  X(URN_METRIC_USER_LATEST_DOUBLE, "beam:metric:user:latest_double:v1", "MonitoringInfoSpecs.Enum.USER_LATEST_DOUBLE") \
  X(URN_METRIC_USER_LATEST_INT64, "beam:metric:user:latest_int64:v1", "MonitoringInfoSpecs.Enum.USER_LATEST_INT64") \
  X(URN_METRIC_USER_SET_STRING, "beam:metric:user:set_string:v1", "MonitoringInfoSpecs.Enum.USER_SET_STRING") \
  X(URN_METRIC_USER_SUM_DOUBLE, "beam:metric:user:sum_double:v1", "MonitoringInfoSpecs.Enum.USER_SUM_DOUBLE") \
  X(URN_METRIC_USER_SUM_INT64, "beam:metric:user:sum_int64:v1", "MonitoringInfoSpecs.Enum.USER_SUM_INT64") \
  X(URN_METRIC_USER_TOP_N_DOUBLE, "beam:metric:user:top_n_double:v1", "MonitoringInfoSpecs.Enum.USER_TOP_N_DOUBLE") \
  X(URN_METRIC_USER_TOP_N_INT64, "beam:metric:user:top_n_int64:v1", "MonitoringInfoSpecs.Enum.USER_TOP_N_INT64") \
  X(URN_METRIC_TYPE_BOTTOM_N_DOUBLE, "beam:metrics:bottom_n_double:v1", \
    "MonitoringInfoTypeUrns.Enum.BOTTOM_N_DOUBLE_TYPE") \
  X(URN_METRIC_TYPE_BOTTOM_N_INT64, "beam:metrics:bottom_n_int64:v1", \
    "MonitoringInfoTypeUrns.Enum.BOTTOM_N_INT64_TYPE") \
  X(URN_METRIC_TYPE_BOUNDED_TRIE, "beam:metrics:bounded_trie:v1", "MonitoringInfoTypeUrns.Enum.BOUNDED_TRIE_TYPE") \
  X(URN_METRIC_TYPE_DISTRIBUTION_DOUBLE, "beam:metrics:distribution_double:v1", \
    "MonitoringInfoTypeUrns.Enum.DISTRIBUTION_DOUBLE_TYPE") \
  X(URN_METRIC_TYPE_DISTRIBUTION_INT64, "beam:metrics:distribution_int64:v1", \
    "MonitoringInfoTypeUrns.Enum.DISTRIBUTION_INT64_TYPE") \
  X(URN_METRIC_TYPE_HISTOGRAM, "beam:metrics:histogram_int64:v1", "MonitoringInfoTypeUrns.Enum.HISTOGRAM") \
  X(URN_METRIC_TYPE_LATEST_DOUBLE, "beam:metrics:latest_double:v1", "MonitoringInfoTypeUrns.Enum.LATEST_DOUBLE_TYPE") \
  X(URN_METRIC_TYPE_LATEST_INT64, "beam:metrics:latest_int64:v1", "MonitoringInfoTypeUrns.Enum.LATEST_INT64_TYPE") \
  X(URN_METRIC_TYPE_PROGRESS, "beam:metrics:progress:v1", "MonitoringInfoTypeUrns.Enum.PROGRESS_TYPE") \
  X(URN_METRIC_TYPE_SET_STRING, "beam:metrics:set_string:v1", "MonitoringInfoTypeUrns.Enum.SET_STRING_TYPE") \
  X(URN_METRIC_TYPE_SUM_DOUBLE, "beam:metrics:sum_double:v1", "MonitoringInfoTypeUrns.Enum.SUM_DOUBLE_TYPE") \
  X(URN_METRIC_TYPE_SUM_INT64, "beam:metrics:sum_int64:v1", "MonitoringInfoTypeUrns.Enum.SUM_INT64_TYPE") \
  X(URN_METRIC_TYPE_TOP_N_DOUBLE, "beam:metrics:top_n_double:v1", "MonitoringInfoTypeUrns.Enum.TOP_N_DOUBLE_TYPE") \
  X(URN_METRIC_TYPE_TOP_N_INT64, "beam:metrics:top_n_int64:v1", "MonitoringInfoTypeUrns.Enum.TOP_N_INT64_TYPE") \
  X(URN_PROTOCOL_CONTROL_REQUEST_ELEMENTS_EMBEDDING, "beam:protocol:control_request_elements_embedding:v1", \
    "StandardProtocols.Enum.CONTROL_REQUEST_ELEMENTS_EMBEDDING") \
  X(URN_PROTOCOL_CONTROL_RESPONSE_ELEMENTS_EMBEDDING, "beam:protocol:control_response_elements_embedding:v1", \
    "StandardRunnerProtocols.Enum.CONTROL_RESPONSE_ELEMENTS_EMBEDDING") \
  X(URN_PROTOCOL_DATA_SAMPLING, "beam:protocol:data_sampling:v1", "StandardProtocols.Enum.DATA_SAMPLING") \
  X(URN_PROTOCOL_ELEMENT_METADATA, "beam:protocol:element_metadata:v1", "StandardProtocols.Enum.ELEMENT_METADATA") \
  X(URN_PROTOCOL_HARNESS_MONITORING_INFOS, "beam:protocol:harness_monitoring_infos:v1", \
    "StandardProtocols.Enum.HARNESS_MONITORING_INFOS") \
  X(URN_PROTOCOL_MONITORING_INFO_SHORT_IDS, "beam:protocol:monitoring_info_short_ids:v1", \
    "StandardRunnerProtocols.Enum.MONITORING_INFO_SHORT_IDS") \
  X(URN_PROTOCOL_MULTI_CORE_BUNDLE_PROCESSING, "beam:protocol:multi_core_bundle_processing:v1", \
    "StandardProtocols.Enum.MULTI_CORE_BUNDLE_PROCESSING") \
  X(URN_PROTOCOL_MULTIMAP_KEYS_VALUES_SIDE_INPUT, "beam:protocol:multimap_keys_values_side_input:v1", \
    "StandardRunnerProtocols.Enum.MULTIMAP_KEYS_VALUES_SIDE_INPUT") \
  X(URN_PROTOCOL_MULTIMAP_STATE, "beam:protocol:multimap_state:v1", "StandardProtocols.Enum.MULTIMAP_STATE") \
  X(URN_PROTOCOL_NAMED_DATA_STREAMS, "beam:protocol:named_data_streams:v1", \
    "StandardProtocols.Enum.NAMED_DATA_STREAMS") \
  X(URN_PROTOCOL_ORDERED_LIST_STATE, "beam:protocol:ordered_list_state:v1", \
    "StandardProtocols.Enum.ORDERED_LIST_STATE") \
  X(URN_PROTOCOL_LEGACY_PROGRESS_REPORTING, "beam:protocol:progress_reporting:v0", \
    "StandardProtocols.Enum.LEGACY_PROGRESS_REPORTING") \
  X(URN_PROTOCOL_PROGRESS_REPORTING, "beam:protocol:progress_reporting:v1", \
    "StandardProtocols.Enum.PROGRESS_REPORTING") \
  X(URN_PROTOCOL_SDK_CONSUMING_RECEIVED_DATA, "beam:protocol:sdk_consuming_received_data:v1", \
    "StandardProtocols.Enum.SDK_CONSUMING_RECEIVED_DATA") \
  X(URN_PROTOCOL_SIBLING_WORKERS, "beam:protocol:sibling_workers:v1", "StandardProtocols.Enum.SIBLING_WORKERS") \
  X(URN_PROTOCOL_STATE_CACHING, "beam:protocol:state_caching:v1", "StandardProtocols.Enum.STATE_CACHING") \
  X(URN_PROTOCOL_WORKER_STATUS, "beam:protocol:worker_status:v1", "StandardProtocols.Enum.WORKER_STATUS") \
  X(URN_REQUIREMENT_BUNDLE_FINALIZATION, "beam:requirement:pardo:finalization:v1", \
    "StandardRequirements.Enum.REQUIRES_BUNDLE_FINALIZATION") \
  X(URN_REQUIREMENT_ON_WINDOW_EXPIRATION, "beam:requirement:pardo:on_window_expiration:v1", \
    "StandardRequirements.Enum.REQUIRES_ON_WINDOW_EXPIRATION") \
  X(URN_REQUIREMENT_SPLITTABLE_DOFN, "beam:requirement:pardo:splittable_dofn:v1", \
    "StandardRequirements.Enum.REQUIRES_SPLITTABLE_DOFN") \
  X(URN_REQUIREMENT_STABLE_INPUT, "beam:requirement:pardo:stable_input:v1", \
    "StandardRequirements.Enum.REQUIRES_STABLE_INPUT") \
  X(URN_REQUIREMENT_STATEFUL_PROCESSING, "beam:requirement:pardo:stateful:v1", \
    "StandardRequirements.Enum.REQUIRES_STATEFUL_PROCESSING") \
  X(URN_REQUIREMENT_TIME_SORTED_INPUT, "beam:requirement:pardo:time_sorted_input:v1", \
    "StandardRequirements.Enum.REQUIRES_TIME_SORTED_INPUT") \
  X(URN_RESOURCE_ACCELERATOR, "beam:resources:accelerator:v1", "StandardResourceHints.Enum.ACCELERATOR") \
  X(URN_RESOURCE_CPU_COUNT, "beam:resources:cpu_count:v1", "StandardResourceHints.Enum.CPU_COUNT") \
  X(URN_RESOURCE_MAX_ACTIVE_BUNDLES_PER_WORKER, "beam:resources:max_active_bundles_per_worker:v1", \
    "StandardResourceHints.Enum.MAX_ACTIVE_BUNDLES_PER_WORKER") \
  X(URN_RESOURCE_MIN_RAM_BYTES, "beam:resources:min_ram_bytes:v1", "StandardResourceHints.Enum.MIN_RAM_BYTES") \
  X(URN_RUNNER_DATA_SINK, "beam:runner:sink:v1", "FnApiTransforms.Runner.DATA_SINK") \
  X(URN_RUNNER_DATA_SOURCE, "beam:runner:source:v1", "FnApiTransforms.Runner.DATA_SOURCE") \
  X(URN_MANAGED_BIGQUERY_READ, "beam:schematransform:org.apache.beam:bigquery_storage_read:v1", \
    "ManagedTransforms.Urns.BIGQUERY_READ") \
  X(URN_MANAGED_BIGQUERY_WRITE, "beam:schematransform:org.apache.beam:bigquery_write:v1", \
    "ManagedTransforms.Urns.BIGQUERY_WRITE") \
  X(URN_MANAGED_DELTA_LAKE_CDC_READ, "beam:schematransform:org.apache.beam:delta_lake_cdc_read:v1", \
    "ManagedTransforms.Urns.DELTA_LAKE_CDC_READ") \
  X(URN_MANAGED_DELTA_LAKE_READ, "beam:schematransform:org.apache.beam:delta_lake_read:v1", \
    "ManagedTransforms.Urns.DELTA_LAKE_READ") \
  X(URN_MANAGED_ICEBERG_CDC_READ, "beam:schematransform:org.apache.beam:iceberg_cdc_read:v1", \
    "ManagedTransforms.Urns.ICEBERG_CDC_READ") \
  X(URN_MANAGED_ICEBERG_READ, "beam:schematransform:org.apache.beam:iceberg_read:v1", \
    "ManagedTransforms.Urns.ICEBERG_READ") \
  X(URN_MANAGED_ICEBERG_WRITE, "beam:schematransform:org.apache.beam:iceberg_write:v1", \
    "ManagedTransforms.Urns.ICEBERG_WRITE") \
  X(URN_MANAGED_KAFKA_READ, "beam:schematransform:org.apache.beam:kafka_read:v1", "ManagedTransforms.Urns.KAFKA_READ") \
  X(URN_MANAGED_KAFKA_WRITE, "beam:schematransform:org.apache.beam:kafka_write:v1", \
    "ManagedTransforms.Urns.KAFKA_WRITE") \
  X(URN_MANAGED_MYSQL_READ, "beam:schematransform:org.apache.beam:mysql_read:v1", "ManagedTransforms.Urns.MYSQL_READ") \
  X(URN_MANAGED_MYSQL_WRITE, "beam:schematransform:org.apache.beam:mysql_write:v1", \
    "ManagedTransforms.Urns.MYSQL_WRITE") \
  X(URN_MANAGED_POSTGRES_READ, "beam:schematransform:org.apache.beam:postgres_read:v1", \
    "ManagedTransforms.Urns.POSTGRES_READ") \
  X(URN_MANAGED_POSTGRES_WRITE, "beam:schematransform:org.apache.beam:postgres_write:v1", \
    "ManagedTransforms.Urns.POSTGRES_WRITE") \
  X(URN_MANAGED_SQL_SERVER_READ, "beam:schematransform:org.apache.beam:sql_server_read:v1", \
    "ManagedTransforms.Urns.SQL_SERVER_READ") \
  X(URN_MANAGED_SQL_SERVER_WRITE, "beam:schematransform:org.apache.beam:sql_server_write:v1", \
    "ManagedTransforms.Urns.SQL_SERVER_WRITE") \
  X(URN_SIDE_INPUT_ITERABLE, "beam:side_input:iterable:v1", "StandardSideInputTypes.Enum.ITERABLE") \
  X(URN_SIDE_INPUT_MULTIMAP, "beam:side_input:multimap:v1", "StandardSideInputTypes.Enum.MULTIMAP") \
  X(URN_TRANSFORM_COMBINE_GLOBALLY, "beam:transform:combine_globally:v1", \
    "StandardPTransforms.Composites.COMBINE_GLOBALLY") \
  X(URN_TRANSFORM_COMBINE_GROUPED_VALUES, "beam:transform:combine_grouped_values:v1", \
    "StandardPTransforms.CombineComponents.COMBINE_GROUPED_VALUES") \
  X(URN_TRANSFORM_COMBINE_PER_KEY, "beam:transform:combine_per_key:v1", \
    "StandardPTransforms.Composites.COMBINE_PER_KEY") \
  X(URN_TRANSFORM_COMBINE_PER_KEY_CONVERT_TO_ACCUMULATORS, \
    "beam:transform:combine_per_key_convert_to_accumulators:v1", \
    "StandardPTransforms.CombineComponents.COMBINE_PER_KEY_CONVERT_TO_ACCUMULATORS") \
  X(URN_TRANSFORM_COMBINE_PER_KEY_EXTRACT_OUTPUTS, "beam:transform:combine_per_key_extract_outputs:v1", \
    "StandardPTransforms.CombineComponents.COMBINE_PER_KEY_EXTRACT_OUTPUTS") \
  X(URN_TRANSFORM_COMBINE_PER_KEY_MERGE_ACCUMULATORS, "beam:transform:combine_per_key_merge_accumulators:v1", \
    "StandardPTransforms.CombineComponents.COMBINE_PER_KEY_MERGE_ACCUMULATORS") \
  X(URN_TRANSFORM_COMBINE_PER_KEY_PRECOMBINE, "beam:transform:combine_per_key_precombine:v1", \
    "StandardPTransforms.CombineComponents.COMBINE_PER_KEY_PRECOMBINE") \
  X(URN_TRANSFORM_CREATE_VIEW, "beam:transform:create_view:v1", \
    "StandardPTransforms.DeprecatedPrimitives.CREATE_VIEW") \
  X(URN_TRANSFORM_FLATTEN, "beam:transform:flatten:v1", "StandardPTransforms.Primitives.FLATTEN") \
  X(URN_TRANSFORM_GROUP_BY_KEY, "beam:transform:group_by_key:v1", "StandardPTransforms.Primitives.GROUP_BY_KEY") \
  X(URN_TRANSFORM_GROUP_INTO_BATCHES, "beam:transform:group_into_batches:v1", \
    "StandardPTransforms.GroupIntoBatchesComponents.GROUP_INTO_BATCHES") \
  X(URN_TRANSFORM_GROUP_INTO_BATCHES_WITH_SHARDED_KEY, "beam:transform:group_into_batches_with_sharded_key:v1", \
    "StandardPTransforms.Composites.GROUP_INTO_BATCHES_WITH_SHARDED_KEY") \
  X(URN_TRANSFORM_IMPULSE, "beam:transform:impulse:v1", "StandardPTransforms.Primitives.IMPULSE") \
  X(URN_TRANSFORM_MAP_WINDOWS, "beam:transform:map_windows:v1", "StandardPTransforms.Primitives.MAP_WINDOWS") \
  X(URN_TRANSFORM_MERGE_WINDOWS, "beam:transform:merge_windows:v1", "StandardPTransforms.Primitives.MERGE_WINDOWS") \
  X(URN_TRANSFORM_PAR_DO, "beam:transform:pardo:v1", "StandardPTransforms.Primitives.PAR_DO") \
  X(URN_TRANSFORM_PUBSUB_READ, "beam:transform:pubsub_read:v1", "StandardPTransforms.Composites.PUBSUB_READ") \
  X(URN_TRANSFORM_PUBSUB_WRITE, "beam:transform:pubsub_write:v1", "StandardPTransforms.Composites.PUBSUB_WRITE") \
  X(URN_TRANSFORM_PUBSUB_WRITE_V2, "beam:transform:pubsub_write:v2", "StandardPTransforms.Composites.PUBSUB_WRITE_V2") \
  X(URN_TRANSFORM_READ, "beam:transform:read:v1", "StandardPTransforms.DeprecatedPrimitives.READ") \
  X(URN_TRANSFORM_REDISTRIBUTE_ARBITRARILY, "beam:transform:redistribute_arbitrarily:v1", \
    "StandardPTransforms.Composites.REDISTRIBUTE_ARBITRARILY") \
  X(URN_TRANSFORM_REDISTRIBUTE_BY_KEY, "beam:transform:redistribute_by_key:v1", \
    "StandardPTransforms.Composites.REDISTRIBUTE_BY_KEY") \
  X(URN_TRANSFORM_RESHUFFLE, "beam:transform:reshuffle:v1", "StandardPTransforms.Composites.RESHUFFLE") \
  X(URN_TRANSFORM_SDF_PAIR_WITH_RESTRICTION, "beam:transform:sdf_pair_with_restriction:v1", \
    "StandardPTransforms.SplittableParDoComponents.PAIR_WITH_RESTRICTION") \
  X(URN_TRANSFORM_SDF_PROCESS_SIZED_ELEMENTS_AND_RESTRICTIONS, \
    "beam:transform:sdf_process_sized_element_and_restrictions:v1", \
    "StandardPTransforms.SplittableParDoComponents.PROCESS_SIZED_ELEMENTS_AND_RESTRICTIONS") \
  X(URN_TRANSFORM_SDF_SPLIT_AND_SIZE_RESTRICTIONS, "beam:transform:sdf_split_and_size_restrictions:v1", \
    "StandardPTransforms.SplittableParDoComponents.SPLIT_AND_SIZE_RESTRICTIONS") \
  X(URN_TRANSFORM_SDF_TRUNCATE_SIZED_RESTRICTION, "beam:transform:sdf_truncate_sized_restrictions:v1", \
    "StandardPTransforms.SplittableParDoComponents.TRUNCATE_SIZED_RESTRICTION") \
  X(URN_TRANSFORM_TEST_STREAM, "beam:transform:teststream:v1", "StandardPTransforms.Primitives.TEST_STREAM") \
  X(URN_TRANSFORM_TO_STRING, "beam:transform:to_string:v1", "StandardPTransforms.Primitives.TO_STRING") \
  X(URN_TRANSFORM_ASSIGN_WINDOWS, "beam:transform:window_into:v1", "StandardPTransforms.Primitives.ASSIGN_WINDOWS") \
  X(URN_TRANSFORM_WRITE_FILES, "beam:transform:write_files:v1", "StandardPTransforms.Composites.WRITE_FILES") \
  X(URN_USER_STATE_BAG, "beam:user_state:bag:v1", "StandardUserStateTypes.Enum.BAG") \
  X(URN_USER_STATE_MULTIMAP, "beam:user_state:multimap:v1", "StandardUserStateTypes.Enum.MULTIMAP") \
  X(URN_USER_STATE_ORDERED_LIST, "beam:user_state:ordered_list:v1", "StandardUserStateTypes.Enum.ORDERED_LIST") \
  X(URN_WINDOW_FN_FIXED, "beam:window_fn:fixed_windows:v1", "FixedWindowsPayload.Enum.PROPERTIES") \
  X(URN_WINDOW_FN_GLOBAL, "beam:window_fn:global_windows:v1", "GlobalWindowsPayload.Enum.PROPERTIES") \
  X(URN_WINDOW_FN_SESSION, "beam:window_fn:session_windows:v1", "SessionWindowsPayload.Enum.PROPERTIES") \
  X(URN_WINDOW_FN_SLIDING, "beam:window_fn:sliding_windows:v1", "SlidingWindowsPayload.Enum.PROPERTIES")

/* X(constant, URN, the SDK whose code has it) */
#define URN_SDK_LIST(X) \
  X(URN_PYTHON_APPLY_COMBINER_PACKING, "beam:annotation:apply_combiner_packing:v1", "Python") \
  X(URN_GO_ARTIFACT_TYPE_WORKER_BINARY, "beam:artifact:type:go_worker_binary:v1", "Go, before the role of that name") \
  X(URN_PYTHON_CODER, "beam:coder:pickled_python:v1", "Python") \
  X(URN_PYTHON_TUPLE_CODER, "beam:coder:tuple:v1", "Python") \
  X(URN_JAVA_CODER, "beam:coders:javasdk:0.1", "Java") \
  X(URN_JAVA_COMBINE_FN, "beam:combinefn:javasdk:v1", "Java") \
  X(URN_PYTHON_PACKED_COMBINE_FN, "beam:combinefn:packed_python:v1", "Python, also as a capability") \
  X(URN_PYTHON_COMBINE_FN, "beam:combinefn:pickled_python:v1", "Python") \
  X(URN_PYTHON_IDENTITY_DOFN, "beam:dofn:identity:0.1", "Python harness") \
  X(URN_JAVA_DOFN, "beam:dofn:javasdk:0.1", "Java") \
  X(URN_PYTHON_DOFN, "beam:dofn:pickled_python:v1", "Python") \
  X(URN_PYTHON_DOFN_INFO, "beam:dofn:pickled_python_info:v1", "Python") \
  X(URN_PYTHON_KEY_WITH_NONE_DOFN, "beam:dofn:python_key_with_none:v1", "Python") \
  X(URN_PYTHON_ENV_EMBEDDED, "beam:env:embedded_python:v1", "Python") \
  X(URN_PYTHON_ENV_EMBEDDED_GRPC, "beam:env:embedded_python_grpc:v1", "Python") \
  X(URN_PYTHON_ENV_LOOPBACK, "beam:env:embedded_python_loopback:v1", "Python") \
  X(URN_PYTHON_ENV_SUBPROCESS, "beam:env:harness_subprocess_python:v1", "Python") \
  X(URN_GO_COGBK_LIST_CODER, "beam:go:coder:cogbklist:v1", "Go") \
  X(URN_GO_CODER, "beam:go:coder:custom:v1", "Go") \
  X(URN_GO_DOFN, "beam:go:transform:dofn:v1", "Go") \
  X(URN_GO_ITERABLE_SIDE_INPUT_KEY, "beam:go:transform:iterablesideinputkey:v1", "Go") \
  X(URN_GO_RESHUFFLE_INPUT, "beam:go:transform:reshuffleinput:v1", "Go") \
  X(URN_GO_RESHUFFLE_OUTPUT, "beam:go:transform:reshuffleoutput:v1", "Go") \
  X(URN_GO_WINDOW_MAPPING_FIXED, "beam:go:windowmapping:fixed:v1", "Go") \
  X(URN_GO_WINDOW_MAPPING_GLOBAL, "beam:go:windowmapping:global:v1", "Go") \
  X(URN_GO_WINDOW_MAPPING_SLIDING, "beam:go:windowmapping:sliding:v1", "Go") \
  X(URN_PYTHON_DATA_SAMPLING, "beam:internal:sampling:v1", "Python harness") \
  X(URN_JAVA_BOUNDED_SOURCE, "beam:java:boundedsource:v1", "Java") \
  X(URN_JAVA_UNBOUNDED_SOURCE, "beam:java:unboundedsource:v1", "Java") \
  X(URN_RUNNER_EXECUTABLE_STAGE, "beam:runner:executable_stage:v1", "Python, Java") \
  X(URN_PYTHON_SOURCE, "beam:source:pickled_python:v1", "Python") \
  X(URN_PYTHON_TIMESTAMP_PREFIXED_WINDOW_CODER, "beam:timestamp_prefixed_opaque_window_coder:v1", "Python") \
  X(URN_PYTHON_GENERIC_COMPOSITE, "beam:transform:generic_composite:v1", "Python") \
  X(URN_TRANSFORM_MANAGED, "beam:transform:managed:v1", "Python, Java") \
  X(URN_PYTHON_TRANSFORM, "beam:transform:pickled_python:v1", "Python") \
  X(URN_PYTHON_READ_FROM_IMPULSE, "beam:transform:read_from_impulse_python:v1", "Python") \
  X(URN_JAVA_SDF_PROCESS_ELEMENTS, "beam:transform:sdf_process_elements:v1", "Java, deprecated") \
  X(URN_JAVA_SDF_PROCESS_KEYED_ELEMENTS, "beam:transform:sdf_process_keyed_elements:v1", "Java, deprecated") \
  X(URN_PYTHON_VIEW_FN, "beam:view_fn:pickled_python_data:v1", "Python") \
  X(URN_JAVA_VIEW_FN, "beam:viewfn:javasdk:0.1", "Java") \
  X(URN_PYTHON_WINDOW_FN, "beam:window_fn:pickled_python:v1", "Python") \
  X(URN_JAVA_WINDOW_FN, "beam:window_fn:serialized_java:v1", "Java") \
  X(URN_PYTHON_WINDOW_MAPPING_FN, "beam:window_mapping_fn:pickled_python:v1", "Python") \
  X(URN_JAVA_WINDOW_MAPPING_FN, "beam:windowmappingfn:javasdk:0.1", "Java")

/* X(metric, the encoding of its payload): what MonitoringInfoSpecs says of the metrics with a fixed meaning */
#define URN_METRIC_TYPE_LIST(X) \
  X(URN_METRIC_DATA_CHANNEL_READ_INDEX, URN_METRIC_TYPE_SUM_INT64) \
  X(URN_METRIC_ELEMENT_COUNT, URN_METRIC_TYPE_SUM_INT64) \
  X(URN_METRIC_API_REQUEST_COUNT, URN_METRIC_TYPE_SUM_INT64) \
  X(URN_METRIC_API_REQUEST_LATENCIES, URN_METRIC_TYPE_HISTOGRAM) \
  X(URN_METRIC_FINISH_BUNDLE_MSECS, URN_METRIC_TYPE_SUM_INT64) \
  X(URN_METRIC_PROCESS_BUNDLE_MSECS, URN_METRIC_TYPE_SUM_INT64) \
  X(URN_METRIC_START_BUNDLE_MSECS, URN_METRIC_TYPE_SUM_INT64) \
  X(URN_METRIC_TOTAL_MSECS, URN_METRIC_TYPE_SUM_INT64) \
  X(URN_METRIC_WORK_COMPLETED, URN_METRIC_TYPE_PROGRESS) \
  X(URN_METRIC_WORK_REMAINING, URN_METRIC_TYPE_PROGRESS) \
  X(URN_METRIC_SAMPLED_BYTE_SIZE, URN_METRIC_TYPE_DISTRIBUTION_INT64) \
  X(URN_METRIC_USER_BOTTOM_N_DOUBLE, URN_METRIC_TYPE_BOTTOM_N_DOUBLE) \
  X(URN_METRIC_USER_BOTTOM_N_INT64, URN_METRIC_TYPE_BOTTOM_N_INT64) \
  X(URN_METRIC_USER_BOUNDED_TRIE, URN_METRIC_TYPE_BOUNDED_TRIE) \
  X(URN_METRIC_USER_DISTRIBUTION_DOUBLE, URN_METRIC_TYPE_DISTRIBUTION_DOUBLE) \
  X(URN_METRIC_USER_DISTRIBUTION_INT64, URN_METRIC_TYPE_DISTRIBUTION_INT64) \
  X(URN_METRIC_USER_HISTOGRAM, URN_METRIC_TYPE_HISTOGRAM) \
  X(URN_METRIC_USER_LATEST_DOUBLE, URN_METRIC_TYPE_LATEST_DOUBLE) \
  X(URN_METRIC_USER_LATEST_INT64, URN_METRIC_TYPE_LATEST_INT64) \
  X(URN_METRIC_USER_SET_STRING, URN_METRIC_TYPE_SET_STRING) \
  X(URN_METRIC_USER_SUM_DOUBLE, URN_METRIC_TYPE_SUM_DOUBLE) \
  X(URN_METRIC_USER_SUM_INT64, URN_METRIC_TYPE_SUM_INT64) \
  X(URN_METRIC_USER_TOP_N_DOUBLE, URN_METRIC_TYPE_TOP_N_DOUBLE) \
  X(URN_METRIC_USER_TOP_N_INT64, URN_METRIC_TYPE_TOP_N_INT64)

// clang-format on

enum urn {
    URN_UNKNOWN = 0,
#define URN_ENUM_ROW(constant, string, origin) constant,
    URN_PROTOCOL_LIST(URN_ENUM_ROW) URN_SDK_LIST(URN_ENUM_ROW)
#undef URN_ENUM_ROW
        URN_COUNT /* the length of a table indexed by enum urn */
};

/* The constant of the URN in s[0..len), or URN_UNKNOWN. No terminator is needed, and s may be NULL if len is 0. */
enum urn urn_lookup(const char *s, size_t len);

/* The URN's string, static and terminated; "" for URN_UNKNOWN. */
const char *urn_string(enum urn urn);

/* The MonitoringInfo type of a metric with a fixed meaning; URN_UNKNOWN for everything else. */
enum urn urn_metric_type(enum urn metric);

#endif
