#!/bin/bash
# Bundles that are split while they run: pipelines that can only end if a second worker gets a part of the first one's bundle.
#   tests/sdk/splits/run.sh HOST:PORT [CASE...]      CASE: restriction, elements, failure
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv
scratch="$(mktemp -d "$RESULTS/splits.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT
process="{\"command\": \"$SDK_DIR/boot_python.sh\", \"env\": {\"TRESTLE_TEST_PYTHON\": \"$VENV/bin/python\", \"TRESTLE_TEST_SCRATCH\": \"$scratch\"}}"
passed=0 failed=0
[ ${#SUITE_ARGUMENTS[@]} -gt 0 ] || SUITE_ARGUMENTS=(restriction elements failure)
for case in "${SUITE_ARGUMENTS[@]}"; do
  started=$SECONDS log="$RESULTS/splits-$case.log"
  if timeout -k 10 "${TEST_TIMEOUT:-180}" "$VENV/bin/python" "$SUITE_DIR/splits.py" "$case" --runner=PortableRunner \
      --job_endpoint="$JOB_ENDPOINT" --environment_type=PROCESS --environment_config="$process" --sdk_worker_parallelism=2 \
      >"$log" 2>&1 </dev/null; then
    echo "$case: $((SECONDS - started)) s"
    passed=$((passed + 1))
  else
    echo "FAILED  $case: $(tail -n 1 "$log") (log: $log)"
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
