#!/bin/bash
# Pipelines of the Go SDK over LOOPBACK, and a small one (create, map, group by key, count) in the SDK's default environment (DOCKER),
# in which the runner starts the staged binary where there is no container engine; needs Go from 1.21 on (it fetches the toolchain
# that the SDK asks for).
#   tests/sdk/go/run.sh HOST:PORT [ARGUMENT...]      arguments are for the pipelines over LOOPBACK, such as --only='timer|trigger'
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
endpoint="${1:?usage: run.sh HOST:PORT [ARGUMENT...]}"
shift
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
fail() { echo "FAILED  $*"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
has_go || skip "no go (or one older than 1.21)"

. "$here/build.sh"
mkdir -p "$TRESTLE_RESULTS/sdk" && make_ignored_dir "$TRESTLE_RESULTS"
cache="$(go_programs)" || fail "go build"

log="$TRESTLE_RESULTS/sdk/go.log"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
: >"$log"
passed=0 failed=0
# run NAME PROGRAM ARGUMENT...; the SDK leaves a file for its worker binary in TMPDIR
run() {
  local name="$1" program="$2" status; shift 2
  TMPDIR="$out" timeout -k 10 "${TEST_TIMEOUT:-180}" "$cache/$program" --runner=universal --endpoint="$endpoint" \
    "$@" >"$out/stdout" 2>>"$log" </dev/null
  status=$?
  echo "$name"; grep -v ' skipped$' "$out/stdout"
  set -- $(tail -n 1 "$out/stdout" | grep -E '^[0-9]+ passed, [0-9]+ failed' | tr -d ,)
  if [ $# = 0 ]; then
    tail -5 "$log"; echo "FAILED  the $program ($name: status $status, log: $log)"; failed=$((failed + 1))
  else
    passed=$((passed + $1)) failed=$((failed + $3))
  fi
}
run LOOPBACK pipelines --environment_type=LOOPBACK "$@"
mkdir "$out/native" && run native small --worker_binary="$cache/small" --output_folder="$out/native"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
