# Shared by the suites of the Python SDK (tests/sdk/*/run.sh). Source it with the suite's arguments; do not run it.
#
#   run.sh HOST:PORT [PYTEST_ARGUMENT...]     for instance: run.sh localhost:8099 -k wordcount
#
#   WORKERS           tests at once (2)
#   TEST_TIMEOUT      seconds for one test (60); one that is expected to fail gets SDK_EXPECTED_TIMEOUT (15)
#   SUITE_TIMEOUT     seconds for the suite (1200)
#   ENVIRONMENT_TYPE, ENVIRONMENT_CONFIG      where the SDK's workers run (LOOPBACK)
#
# The log and the list of results are $TRESTLE_RESULTS/sdk/SUITE.{log,jsonl}.
SUITE_DIR="$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)"
SDK_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
SUITE="$(basename "$SUITE_DIR")"
. "$SDK_DIR/../../scripts/lib.sh"

export JOB_ENDPOINT="${1:-}"
[ -n "$JOB_ENDPOINT" ] || die "usage: tests/sdk/$SUITE/run.sh HOST:PORT [ARGUMENT...]"
shift
SUITE_ARGUMENTS=("$@")

make_ignored_dir "$TRESTLE_RESULTS"
RESULTS="$TRESTLE_RESULTS/sdk"
mkdir -p "$RESULTS"
# Nothing of the caller's environment may change what the SDK imports, and nothing is written into the tree.
export PYTHONPATH= PYTHONDONTWRITEBYTECODE=1 GRPC_ENABLE_FORK_SUPPORT=0

# beam_package: the folder of the installed apache_beam
beam_package() { "$VENV/bin/python" -c 'import importlib.util as u; print(u.find_spec("apache_beam").submodule_search_locations[0])'; }

# run_python_suite [--jobs-only] -- PYTEST_ARGUMENT...: runs pytest, compares with the list, ends the script
run_python_suite() {
  local judge=()
  while [ "$1" != -- ]; do judge+=("$1"); shift; done
  shift
  local log="$RESULTS/$SUITE.log" expected="$SDK_DIR/expected_failures/$SUITE.txt"
  local workers="${WORKERS:-2}" limit="${SUITE_TIMEOUT:-1200}" parallel=() started=$SECONDS status
  export SDK_RESULTS="$RESULTS/$SUITE.jsonl" SDK_EXPECTED="$expected" SDK_EXPECTED_TIMEOUT="${SDK_EXPECTED_TIMEOUT:-15}"
  rm -f "$SDK_RESULTS"
  [ "$workers" -le 1 ] || parallel=(-n "$workers" --dist load --max-worker-restart=50)
  [ ${#SUITE_ARGUMENTS[@]} -eq 0 ] || judge+=(--partial)
  ( cd "$SDK_DIR/python" && timeout -k 20 "$limit" "$VENV/bin/python" -m pytest -q -ra --tb=native -p beam_endpoint \
      -c "$SDK_DIR/python/pytest.ini" -o cache_dir="$RESULTS/pytest-cache" --timeout="${TEST_TIMEOUT:-60}" --timeout-method=signal \
      "${parallel[@]}" "$@" "${SUITE_ARGUMENTS[@]}" ) >"$log" 2>&1 </dev/null
  status=$?
  # pytest: 0 all passed, 1 some failed; anything else and it did not get to its end
  [ $status -le 1 ] || judge+=(--incomplete "pytest ended with status $status, see $log: $(tail -n 1 "$log")")
  echo "$SUITE: $((SECONDS - started)) s, log $log"
  "$VENV/bin/python" "$SDK_DIR/python/results.py" "$SDK_RESULTS" "$expected" "${judge[@]}"
  exit $?
}
