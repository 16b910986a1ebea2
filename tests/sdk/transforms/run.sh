#!/bin/bash
# The Python SDK's unit tests of its transforms, every default or in-process runner in them replaced by the endpoint.
# Tests that send no job are not counted.
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv test
package="$(beam_package)"
files=()
for module in ptransform util combiners core userstate stats sideinputs periodicsequence window batch_dofn create \
    combinefn_lifecycle dofn_lifecycle deduplicate error_handling write_ptransform timestamped_value_type \
    fully_qualified_named_transform resources transforms_keyword_only_args; do
  files+=("$package/transforms/${module}_test.py")
done
files+=("$package/pipeline_test.py" "$package/metrics/metric_test.py" "$package/pvalue_test.py")
export SDK_REDIRECT=1
run_python_suite --jobs-only -- --rootdir="$(dirname "$package")" "${files[@]}"
