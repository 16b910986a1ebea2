#!/bin/bash
# Worker processes that the runner starts for Python: kept warm for the next job of the same kind, all cores, status.
#   tests/sdk/workers/run.sh HOST:PORT
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv
work="$RESULTS/workers"
mkdir -p "$work"
scratch="$(mktemp -d "$work/scratch.XXXXXX")"
trap 'stop_daemon; rm -rf "$scratch"' EXIT
# The daemon that is given has the default configuration; what needs another has one of its own, from the same program.
[ -n "${TRESTLE_BIN:-}" ] || export TRESTLE_BIN="$TRESTLE_ROOT/build/trestle"
mkdir -p "$scratch/daemon"
printf 'bundle:\n  stuck_report: 1s\n  stuck_kill: 10s\n' >"$scratch/daemon/config.yaml"
start_daemon "$scratch/daemon" --config "$scratch/daemon/config.yaml" || die "no daemon"
export TRESTLE_TEST_SCRATCH="$scratch" TRESTLE_TEST_PYTHON="$VENV/bin/python" BOOT_COMMAND="${BOOT_COMMAND:-$SDK_DIR/boot_python.sh}"
timeout -k 10 "${SUITE_TIMEOUT:-300}" "$VENV/bin/python" "$SUITE_DIR/workers.py" "$JOB_ENDPOINT" "$DAEMON_ENDPOINT" 2>"$work/log" </dev/null ||
  { tail -n 5 "$work/log" >&2; exit 1; }
