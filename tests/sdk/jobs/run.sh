#!/bin/bash
# Many small jobs of several SDKs against one daemon: all come to the right result, and when they are over nothing of them is left in
# the daemon or on the machine.
#   tests/sdk/jobs/run.sh
#
#   JOBS       in a row (24)
#   AT_ONCE    after those, at once (8); memory after that many in a row is what it is compared with
#
# The daemon is one of its own, which runs nothing else. SDKs whose tool chain is missing are left out. The log is
# $TRESTLE_RESULTS/sdk/jobs/log.
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
sdk="$TRESTLE_ROOT/tests/sdk"
. "$sdk/java/build.sh"
. "$sdk/go/build.sh"
export PYTHONPATH= PYTHONDONTWRITEBYTECODE=1 GRPC_ENABLE_FORK_SUPPORT=0
ensure_venv
work="$TRESTLE_RESULTS/sdk/jobs"
make_ignored_dir "$TRESTLE_RESULTS" && mkdir -p "$work"
scratch="$(mktemp -d "$work/scratch.XXXXXX")"
trap 'stop_daemon; rm -rf "$scratch"' EXIT
programs=()
if command -v javac >/dev/null && command -v mvn >/dev/null; then programs+=("--java-classpath=$(small_java_classpath)") || die "the build of java"; fi
if has_go; then programs+=("--go-programs=$(go_programs)") || die "the build of go"; fi

[ -n "${TRESTLE_BIN:-}" ] || export TRESTLE_BIN="$TRESTLE_ROOT/build/trestle"
mkdir -p "$scratch/tmp" "$scratch/boot"
# long enough for the next round of a row on a busy machine, short enough to wait for
echo 'workers: {keep_warm: 10s}' >"$scratch/config.yaml"
TMPDIR="$scratch/tmp" start_daemon "$scratch/daemon" --config "$scratch/config.yaml" || die "no daemon"
export TRESTLE_TEST_SCRATCH="$scratch/boot" TRESTLE_TEST_PYTHON="$VENV/bin/python" BOOT_COMMAND="$sdk/boot_python.sh"
"${WITH_SCRIPT[@]}" timeout -k 10 "${SUITE_TIMEOUT:-1800}" "$VENV/bin/python" "$sdk/jobs/jobs.py" --daemon="$DAEMON_PID" --endpoint="$DAEMON_ENDPOINT" \
  --scratch="$scratch" --jobs="${JOBS:-24}" --at-once="${AT_ONCE:-8}" "${programs[@]}" 2>"$work/log" </dev/null ||
  { tail -n 5 "$work/log" >&2; tail -n 5 "$scratch/daemon/daemon.err" >&2; exit 1; }
