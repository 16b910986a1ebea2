#!/bin/bash
# One small pipeline (create, map, group by key, count) of the Go SDK over LOOPBACK, and in the SDK's default environment (DOCKER), in which
# the runner starts the staged binary where there is no container engine; needs Go from 1.21 on (it fetches the toolchain that the SDK
# asks for).
#   tests/sdk/go/run.sh HOST:PORT
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
endpoint="${1:?usage: run.sh HOST:PORT}"
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
fail() { echo "FAILED  $*"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
has_go || skip "no go (or one older than 1.21)"

cache="$TRESTLE_CACHE/go-$BEAM_VERSION"
mkdir -p "$cache" "$TRESTLE_RESULTS/sdk" && make_ignored_dir "$TRESTLE_RESULTS"
stamp="$cache/.stamp-$(cat "$here"/go.* "$here/main.go" | cksum | cut -d' ' -f1)"
if [ ! -e "$stamp" ]; then
  ( cd "$here" && GOFLAGS='-mod=readonly -buildvcs=false' go build -o "$cache/small" . ) >"$cache/build.log" 2>&1 ||
    { tail -5 "$cache/build.log"; fail "go build (log: $cache/build.log)"; }
  touch "$stamp"
fi

log="$TRESTLE_RESULTS/sdk/go.log"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
: >"$log"
passed=0 failed=0
# run NAME ARGUMENT...; the SDK leaves a file for its worker binary in TMPDIR
run() {
  local name="$1" status; shift
  rm -rf "${out:?}/$name" && mkdir "$out/$name"
  TMPDIR="$out" timeout -k 10 "${TEST_TIMEOUT:-180}" "$cache/small" --runner=universal --endpoint="$endpoint" --output_folder="$out/$name" \
    "$@" >"$out/stdout" 2>>"$log" </dev/null
  status=$?
  echo "$name"; grep -v ' skipped$' "$out/stdout"
  set -- $(tail -n 1 "$out/stdout" | grep -E '^[0-9]+ passed, [0-9]+ failed' | tr -d ,)
  if [ $# = 0 ]; then
    tail -5 "$log"; echo "FAILED  the pipeline ($name: status $status, log: $log)"; failed=$((failed + 1))
  else
    passed=$((passed + $1)) failed=$((failed + $3))
  fi
}
run LOOPBACK --environment_type=LOOPBACK
run native --worker_binary="$cache/small"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
