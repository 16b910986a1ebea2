#!/bin/bash
# Python pipelines with the SDK's default environment (DOCKER) where no container engine is configured: the runner makes a virtual
# environment and starts the SDK's worker in it.
#   tests/sdk/native/run.sh HOST:PORT
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv
work="$RESULTS/native"
mkdir -p "$work"
scratch="$(mktemp -d "$work/scratch.XXXXXX")"
trap 'stop_daemon "${empty:-}"; stop_daemon; rm -rf "$scratch"' EXIT
# The daemon that is given keeps what it builds from run to run; one of our own, with an empty cache, is there for failing builds.
[ -n "${TRESTLE_BIN:-}" ] || export TRESTLE_BIN="$TRESTLE_ROOT/build/trestle"
start_daemon "$scratch/daemon" --cache-dir "$scratch/cache" || die "no daemon"
empty="$DAEMON_PID" empty_endpoint="$DAEMON_ENDPOINT"
# And one with a container engine, which starts the boot program's stand-in where another would start an image's.
cat >"$scratch/engine" <<EOF
#!/bin/sh
echo "\$*" >>"$scratch/engine.log"
[ "\$1" = run ] || exit 0
shift
while case "\$1" in -*) ;; *) false ;; esac; do shift; done
shift
TRESTLE_TEST_SCRATCH="$scratch" TRESTLE_TEST_PYTHON="$VENV/bin/python" exec "$SDK_DIR/boot_python.sh" "\$@"
EOF
chmod +x "$scratch/engine"
cat >"$scratch/config.yaml" <<EOF
containers: {cli: "$scratch/engine", mounts: "$scratch"}
environments:
  - {image: "company/mapped:*", container: "company/image:2", memory: 2GiB, cpus: 1.5, environment: {TZ: UTC}}
EOF
start_daemon "$scratch/daemon-containers" --config "$scratch/config.yaml" || die "no daemon"
timeout -k 10 "${SUITE_TIMEOUT:-900}" "$VENV/bin/python" "$SUITE_DIR/native.py" "$JOB_ENDPOINT" "$empty_endpoint" \
  "$DAEMON_ENDPOINT" "$scratch" \
  2>"$work/log" </dev/null || { tail -n 5 "$work/log" >&2; exit 1; }
