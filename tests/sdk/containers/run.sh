#!/bin/bash
# Pipelines of the Python and Go SDKs in containers: files, pull policies, and that no container is left, however a job or the daemon
# ends. Skipped where no engine can run.
#   tests/sdk/containers/run.sh
#
#   ENGINE     the engine's program (podman)
#
# The daemons are of its own, and the images are made here (images.sh) and removed. The log is $TRESTLE_RESULTS/sdk/containers/log.
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
sdk="$TRESTLE_ROOT/tests/sdk"
. "$sdk/go/build.sh"
. "$sdk/containers/images.sh"
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
export ENGINE="${ENGINE:-podman}" PYTHONPATH= PYTHONDONTWRITEBYTECODE=1 GRPC_ENABLE_FORK_SUPPORT=0
command -v "$ENGINE" >/dev/null || skip "no $ENGINE"
has_go || skip "no go (or one older than 1.21), which the boot programs are built with"
ensure_venv
work="$TRESTLE_RESULTS/sdk/containers"
make_ignored_dir "$TRESTLE_RESULTS" && mkdir -p "$work"
programs="$(go_programs)" && python_boot="$(boot_program python)" && go_boot="$(boot_program go)" || die "go build"
trap remove_images EXIT
make_images "$python_boot" "$go_boot" 2>"$work/engine.log" || skip "$ENGINE cannot make an image here: $(tail -n 1 "$work/engine.log")"

# can_run OPTION...: whether the engine runs a container with these
can_run() { "$ENGINE" run --rm --network=host "$@" --entrypoint=python "$PYTHON_IMAGE" -c 'import apache_beam' >/dev/null 2>"$work/engine.log" </dev/null; }
options=(--volume="$VENV:$VENV:ro")
python="$("$VENV/bin/python" -c 'import sys; print(sys.base_prefix)')"
[ "$python" = /usr ] || options+=(--volume="$python:$python:ro")
# Where the engine may not raise limits, it has to be told to leave them as low as they are.
if ! can_run "${options[@]}"; then
  options+=(--ulimit=nofile=1024:1024 --ulimit=nproc=16384:16384)
  can_run "${options[@]}" || skip "$ENGINE cannot run a container here: $(tail -n 1 "$work/engine.log")"
fi

[ -n "${TRESTLE_BIN:-}" ] || TRESTLE_BIN="$TRESTLE_ROOT/build/trestle"
export TRESTLE_BIN PYTHON_IMAGE GO_IMAGE ENGINE_OPTIONS="${options[*]}" GO_PROGRAM="$programs/small"
scratch="$(mktemp -d "$work/scratch.XXXXXX")"
trap 'remove_images; rm -rf "$scratch"' EXIT
timeout -k 10 "${SUITE_TIMEOUT:-600}" "$VENV/bin/python" "$sdk/containers/containers.py" "$scratch" 2>"$work/log" </dev/null ||
  { tail -n 5 "$work/log" >&2; exit 1; }
