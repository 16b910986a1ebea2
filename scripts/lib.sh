# Shared by the scripts of this project. Source it from bash; do not run it.
#
# It owns three things: what must be installed (Debian packages, Python environments, the peers that tests and benchmarks
# compare with), how the tree is built, and how a daemon is started and ended by a script.
#
#   TRESTLE_CACHE    downloads, environments and foreign builds       (~/.cache/trestle)
#   TRESTLE_RESULTS  logs and lists of test and benchmark runs         (results/, which ignores itself in git)
#   TRESTLE_BIN      the daemon to use; naming one leaves the build out (build/trestle)
#   PYTHON           the interpreter that environments are made from   (python3)
#
# Every function says what it does on standard error and ends the script with `die` where it cannot go on.

TRESTLE_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
TRESTLE_CACHE="${TRESTLE_CACHE:-${HOME:-/root}/.cache/trestle}"
TRESTLE_RESULTS="${TRESTLE_RESULTS:-$TRESTLE_ROOT/results}"
BEAM_VERSION=2.77.0
BEAM_JAVA_VERSION=2.65.0
VENV="$TRESTLE_CACHE/venv-$BEAM_VERSION"
export TRESTLE_ROOT TRESTLE_CACHE TRESTLE_RESULTS VENV

BUILD_PACKAGES=(gcc pkg-config meson ninja-build libgrpc-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
  libprotobuf-dev libssl-dev openssl libyaml-dev liblz4-dev libmicrohttpd-dev libjansson-dev check libxxhash-dev libsqlite3-dev python3 python3-venv git procps ca-certificates)

VENV_PACKAGES=("apache-beam==$BEAM_VERSION")
# What the SDK's own tests import besides the SDK; the upper bounds are the SDK's.
VENV_TEST_PACKAGES=(pytest pytest-timeout pytest-xdist parameterized pyhamcrest mock tenacity hypothesis 'pandas<2.3'
  'numpy<2.3' pyyaml jinja2 jsonschema virtualenv-clone 'dill>=0.4' scikit-learn docstring_parser google-crc32c)

say() { echo "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# make_ignored_dir DIR: a directory that git does not see, without a line in the project's .gitignore
make_ignored_dir() {
  mkdir -p "$1" || die "cannot make $1"
  [ -e "$1/.gitignore" ] || echo '*' >"$1/.gitignore"
}

# project_files: the files of the work tree, one a line, from the root; git knows best which ones are ours
project_files() {
  local file
  cd "$TRESTLE_ROOT" || return
  { git -c safe.directory='*' ls-files -co --exclude-standard 2>/dev/null ||
    find . \( -name 'build*' -o -name results -o -name .git \) -type d -prune -o -type f -printf '%P\n'; } |
    while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

# What `scripts/test containers` runs containers with.
CONTAINER_PACKAGES=(podman runc conmon)

# ------------------------------------------------------------------ what is installed

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "not root and no sudo; as root run: $*"
  fi
}

# can_be_root COMMAND...: dies with what is to be run by hand where as_root could not run it. as_root's own output often goes to a log.
can_be_root() {
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null || die "not root and no sudo; as root run: $*"
  if [ -t 0 ]; then sudo -v; else sudo -n true 2>/dev/null; fi || die "sudo refuses; as root run: $*"
}

is_package_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# ensure_debian_packages PACKAGE...: installs those that are missing; does nothing, quickly, when none is
ensure_debian_packages() {
  local package missing=()
  command -v dpkg-query >/dev/null || die "this is not a Debian system; install by hand: $*"
  for package in "$@"; do is_package_installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing Debian packages: ${missing[*]}"
  can_be_root apt-get install -y --no-install-recommends "${missing[@]}"
  mkdir -p "$TRESTLE_CACHE"
  local log="$TRESTLE_CACHE/apt.log"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600)
  if [ -z "${APT_UPDATED:-}" ]; then
    as_root "${apt[@]}" update >"$log" 2>&1 || { tail -5 "$log" >&2; say "apt-get update failed; going on with the lists there are"; }
    APT_UPDATED=1
  fi
  as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 ||
    { tail -15 "$log" >&2; die "apt-get could not install ${missing[*]} (log: $log)"; }
}

# pick_python: prints an interpreter that the SDK has wheels for
pick_python() {
  local python
  for python in ${PYTHON:-python3 /usr/bin/python3 python3.11}; do
    "$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null &&
      { command -v "$python"; return; }
  done
  die "no Python from 3.10 to 3.13 with venv found (set PYTHON)"
}

# ensure_venv [test]: $VENV/bin/python has apache-beam, and with `test` what its tests import too
ensure_venv() {
  local packages=("${VENV_PACKAGES[@]}")
  [ "${1:-}" != test ] || packages+=("${VENV_TEST_PACKAGES[@]}")
  local stamp
  stamp="$VENV/.stamp-${1:-run}-$(printf '%s\n' "${packages[@]}" | cksum | cut -d' ' -f1)"
  [ ! -e "$stamp" ] || return 0
  mkdir -p "$TRESTLE_CACHE"
  (
    flock 9
    [ ! -e "$stamp" ] || exit 0
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || { rm -rf "$VENV"; "$(pick_python)" -m venv "$VENV" || exit 1; }
    say "installing Python packages into $VENV: ${packages[*]}"
    "$VENV/bin/python" -m pip install -q "${packages[@]}" >"$TRESTLE_CACHE/pip.log" 2>&1 ||
      { tail -5 "$TRESTLE_CACHE/pip.log" >&2; exit 1; }
    touch "$stamp"
    # what the tests need holds what a run needs
    [ "${1:-}" != test ] || touch "$VENV/.stamp-run-$(printf '%s\n' "${VENV_PACKAGES[@]}" | cksum | cut -d' ' -f1)"
  ) 9>"$TRESTLE_CACHE/venv.lock" || die "the Python environment could not be made (log: $TRESTLE_CACHE/pip.log)"
}

# has_go: whether a Go is here that can fetch the toolchain the SDK asks for (from 1.21 on it can)
has_go() {
  command -v go >/dev/null && go version | awk '{ sub(/^go/, "", $3); split($3, v, "."); exit !(v[1] > 1 || v[2] >= 21) }'
}

# ensure_prism: sets PRISM to Beam's own runner in Go; fails (does not die) where Go is missing
ensure_prism() {
  PRISM="$TRESTLE_CACHE/prism-$BEAM_VERSION/prism"
  [ ! -x "$PRISM" ] || return 0
  has_go || return 1
  say "building Prism $BEAM_VERSION"
  mkdir -p "${PRISM%/*}"
  ( cd "${PRISM%/*}" && GOFLAGS=-mod=mod GOBIN="$PWD" go install "github.com/apache/beam/sdks/v2/go/cmd/prism@v$BEAM_VERSION" ) \
    >"$TRESTLE_CACHE/prism.log" 2>&1 || { tail -5 "$TRESTLE_CACHE/prism.log" >&2; return 1; }
}

# ------------------------------------------------------------------ building

# stamp_options FILE OPTION...: FILE lists the options a tree was configured with, each key once, with its last value
stamp_options() {
  local stamp="$1" option; shift
  touch "$stamp"
  for option in "$@"; do
    awk -v key="${option%%=*}" '{ k = $0; sub(/=.*/, "", k) } k != key' "$stamp" >"$stamp.new" && echo "$option" >>"$stamp.new" &&
      mv "$stamp.new" "$stamp" || die "cannot write $stamp"
  done
}

# build_tree DIR OPTION...: configures DIR (again where an option is new to it) and builds it, or $BUILD_TARGETS of it
build_tree() {
  local dir="$1"; shift
  local stamp="$dir/.options" option changed=
  if [ ! -e "$dir/build.ninja" ]; then
    changed=1
    rm -f "$stamp"
    meson setup "$dir" "$TRESTLE_ROOT" "$@" >&2 || die "meson setup of $dir failed"
  else
    # options that it has already, perhaps among others, are no reason to build everything anew
    for option in "$@"; do grep -qsxF -- "$option" "$stamp" || changed=1; done
    [ -z "$changed" ] || meson setup --reconfigure "$dir" "$TRESTLE_ROOT" "$@" >&2 || die "meson setup of $dir failed"
  fi
  [ -z "$changed" ] || stamp_options "$stamp" "$@"
  # shellcheck disable=SC2086
  ninja -C "$dir" ${BUILD_TARGETS:-} >&2 || die "the build in $dir failed"
}

# build_trestle: build/trestle, optimised; sets TRESTLE_BIN. A caller that named a TRESTLE_BIN wants that one.
build_trestle() {
  [ -z "${TRESTLE_BIN:-}" ] || return 0
  BUILD_TARGETS=trestle build_tree "$TRESTLE_ROOT/build" --buildtype=release
  TRESTLE_BIN="$TRESTLE_ROOT/build/trestle"
}

# build_benchmarks: the daemon and the benchmark programs in C, optimised, in build/; makes results/bench
build_benchmarks() {
  BUILD_TARGETS="trestle tests/harness/trestle-harness bench/bench-engine bench/bench-group bench/bench-stream" \
    build_tree "$TRESTLE_ROOT/build" --buildtype=release
  make_ignored_dir "$TRESTLE_RESULTS"
  mkdir -p "$TRESTLE_RESULTS/bench"
}

# ------------------------------------------------------------------ a daemon

is_port_taken() { ( exec 3<>"/dev/tcp/127.0.0.1/$1" ) 2>/dev/null; }

# await_listening OUT PID: prints HOST:PORT once the daemon's standard output, the file OUT, says it
await_listening() {
  local out="$1" pid="$2" endpoint tries
  for ((tries = 0; tries < 600; tries++)); do
    endpoint="$(sed -n 's/^listening on //p;' "$out" 2>/dev/null | head -1)"
    [ -z "$endpoint" ] || { echo "$endpoint"; return 0; }
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.05
  done
  return 1
}

# In front of a command: a SIGTERM for it when the script ends, however that ends (SIGKILL runs no trap).
WITH_SCRIPT=(setpriv --pdeathsig TERM)

# start_daemon DIR [ARGUMENT...]: serves from DIR/state on a port of the system's choice (unless --listen is given);
# logs are DIR/daemon.{out,err}. Sets DAEMON_PID and DAEMON_ENDPOINT. The daemon is in a session of its own, and ends with the script at
# the latest; start_lasting_daemon's outlives it.
start_daemon() {
  local dir="$1"; shift
  mkdir -p "$dir/state" || die "cannot make $dir"
  case " $* " in *" --listen "*) ;; *) set -- --listen 127.0.0.1:0 "$@" ;; esac
  : >"$dir/daemon.out"
  setsid "${WITH_SCRIPT[@]}" "$TRESTLE_BIN" serve --state-dir "$dir/state" "$@" </dev/null >"$dir/daemon.out" 2>"$dir/daemon.err" 9>&- &
  DAEMON_PID=$!
  DAEMON_ENDPOINT="$(await_listening "$dir/daemon.out" "$DAEMON_PID")" ||
    { tail -5 "$dir/daemon.err" >&2; stop_daemon; return 1; }
}

start_lasting_daemon() {
  local WITH_SCRIPT=()
  start_daemon "$@"
}

# stop_daemon [PID]: SIGTERM, and SIGKILL after 30 s, which is an error worth a word (a worker pool that hangs takes it 17 s)
stop_daemon() {
  local pid="${1:-${DAEMON_PID:-}}" tries
  [ -n "$pid" ] || return 0
  [ "$pid" != "${DAEMON_PID:-}" ] || DAEMON_PID=
  kill "$pid" 2>/dev/null || return 0
  for ((tries = 0; tries < 600; tries++)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.05
  done
  say "the daemon (pid $pid) did not end within 30 s of SIGTERM; killing it"
  kill -9 "$pid" 2>/dev/null
  return 1
}
