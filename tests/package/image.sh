#!/bin/bash
# deploy/Containerfile: the image is built, serves, keeps its jobs, and ends in order.
#
#   image.sh      `N passed, N failed, N skipped` at the end
#
#   ENGINE     the engine's program (podman)
#   IMAGE      one that was built already, which is tried and kept
#
# Where the engine has no debian:12, one is made by debootstrap. Image and containers are removed. The log is $TRESTLE_RESULTS/image/log.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
. "$TRESTLE_ROOT/tests/package/debian_root.sh"
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
engine="${ENGINE:-podman}" passed=0 failed=0
command -v "$engine" >/dev/null || skip "no $engine"
ensure_venv
work="$TRESTLE_RESULTS/image" container="trestle-test-$$" image="${IMAGE:-localhost/trestle-test:$$}" base=docker.io/library/debian:12
make_ignored_dir "$TRESTLE_RESULTS" && mkdir -p "$work"
scratch="$(mktemp -d)" imported=
cleanup() {
  "$engine" rm --force --volumes "$container"
  [ -n "${IMAGE:-}" ] || "$engine" rmi --force "$image"
  [ -z "$imported" ] || "$engine" rmi --force "$base"
  "$engine" image prune --force --filter "label=trestle.test=$$"
  rm -rf "$scratch"
} >/dev/null 2>&1
trap cleanup EXIT

# case_ NAME COMMAND...: one case; its output is shown when it fails
case_() {
  local name="$1" out; shift
  if out="$("$@" 2>&1)"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  $name: $(tail -c 1500 <<<"$out")"; fi
}

has_base() { "$engine" image inspect "$base" >/dev/null 2>&1; }
import_base() {
  local tar
  [ "$(id -u)" = 0 ] || skip "$engine has no $base, and not root: there is no chroot to make one in"
  tar="$(debian_root_tar)" && "$engine" import "$tar" "$base" >"$work/log" 2>&1 || skip "$engine imports no image: $(tail -n 1 "$work/log")"
  imported=1
}

# Where the engine may not raise limits, it has to be told to leave them as low as they are.
choose_options() {
  options=(--network=host)
  "$engine" run --rm "${options[@]}" "$base" true >"$work/log" 2>&1 && return
  options+=(--ulimit=nofile=1024:1024 --ulimit=nproc=16384:16384)
  "$engine" run --rm "${options[@]}" "$base" true >"$work/log" 2>&1 || skip "$engine cannot run a container here: $(tail -n 1 "$work/log")"
}

build_() {
  mkdir "$scratch/tree"
  project_files | tar -C "$TRESTLE_ROOT" -cf - -T - | tar -C "$scratch/tree" -xf - &&
    "$engine" build "${options[@]}" --label "trestle.test=$$" -f "$scratch/tree/deploy/Containerfile" -t "$image" "$scratch/tree" >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log"; return 1; }
}

# endpoint: what the daemon said last
endpoint() { "$engine" logs "$container" 2>/dev/null | sed -n 's/^listening on //p' | tail -n 1; }
await_endpoint() { # LINES_BEFORE
  local tries
  for ((tries = 0; tries < 600; tries++)); do
    [ "$("$engine" logs "$container" 2>/dev/null | grep -c '^listening on ')" -gt "$1" ] && return
    sleep 0.1
  done
  "$engine" logs "$container"
  return 1
}

starts() {
  "$engine" run --detach --name "$container" "${options[@]}" "$image" --listen 127.0.0.1:0 --http-listen 127.0.0.1:0 && await_endpoint 0
}
counts_words() {
  ( cd "$TRESTLE_ROOT/tests/systemd" && TRESTLE_ENDPOINT="$(endpoint)" PYTHONDONTWRITEBYTECODE=1 timeout 120 "$VENV/bin/python" -c \
    'import pipelines; pipelines.word_count(pipelines.LOOPBACK)' )
}
is_not_root() { [ "$("$engine" exec "$container" sh -c 'id -un; stat -c %U:%a /var/lib/trestle' | paste -sd' ')" = "trestle trestle:750" ]; }
logs_are_plain() { ! "$engine" logs "$container" 2>&1 | grep '^<[0-9]>'; }
# An orphan becomes process 1's, which has to wait for it: till then it is in /proc.
reaps_orphans() {
  local tries
  "$engine" exec "$container" sh -c 'sleep 0.1 &' || return
  for ((tries = 0; tries < 100; tries++)); do
    "$engine" exec "$container" sh -c '! grep -qsx "Name:.sleep" /proc/[0-9]*/status' && return
    sleep 0.1
  done
  return 1
}
stops() {
  "$engine" stop --time 60 "$container" && [ "$("$engine" inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] ||
    { "$engine" inspect --format '{{.State.ExitCode}}' "$container"; "$engine" logs --tail 5 "$container"; return 1; }
}
keeps_jobs() {
  "$engine" start "$container" && await_endpoint 1 &&
    "$engine" exec "$container" trestle jobs --endpoint "$(endpoint)" --state DONE --quiet | grep -q .
}

has_base || import_base
choose_options
[ -n "${IMAGE:-}" ] || case_ "is built" build_
if [ "$failed" = 0 ]; then
  case_ "starts" starts
  case_ "counts words" counts_words
  case_ "is not root" is_not_root
  case_ "logs are plain" logs_are_plain
  case_ "reaps orphans" reaps_orphans
  case_ "stops in order" stops
  case_ "keeps its jobs" keeps_jobs
  case_ "stops again" stops
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
