# The Go programs built. Source it after scripts/lib.sh; do not run it.

# go_programs: prints the folder of the programs `pipelines` and `small`, built if they are not; says what failed on standard error
go_programs() {
  local here cache="$TRESTLE_CACHE/go-$BEAM_VERSION" stamp
  here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
  stamp="$cache/.stamp-$(cat "$here"/go.* "$here"/*.go "$here"/small/*.go | cksum | cut -d' ' -f1)"
  mkdir -p "$cache"
  if [ ! -e "$stamp" ]; then
    rm -f "$cache"/.stamp-*
    ( cd "$here" && export GOFLAGS='-mod=readonly -buildvcs=false' &&
      go build -o "$cache/pipelines" . && go build -o "$cache/small" ./small ) >"$cache/build.log" 2>&1 ||
      { tail -5 "$cache/build.log" >&2; return 1; }
    touch "$stamp"
  fi
  echo "$cache"
}
