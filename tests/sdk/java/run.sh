#!/bin/bash
# One small pipeline (create, map, group by key, count) of the Java SDK over LOOPBACK, and in the SDK's default environment (DOCKER), which
# without a container engine is a JVM that the runner starts; that one also with a class path that lacks a jar of the worker's. Needs a
# JDK from 11 on and Maven.
#   tests/sdk/java/run.sh HOST:PORT
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
endpoint="${1:?usage: run.sh HOST:PORT}"
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
fail() { echo "FAILED  $*"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
command -v javac >/dev/null && command -v mvn >/dev/null || skip "no java/maven"

. "$here/build.sh"
mkdir -p "$TRESTLE_RESULTS/sdk" && make_ignored_dir "$TRESTLE_RESULTS"
classpath="$(small_java_classpath)" || fail "the build"

log="$TRESTLE_RESULTS/sdk/java.log"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
: >"$log"
passed=0 failed=0
# run NAME CLASSPATH ARGUMENT...
run() {
  local name="$1" classpath="$2" status; shift 2
  rm -rf "${out:?}/$name" && mkdir "$out/$name"
  timeout -k 10 "${TEST_TIMEOUT:-180}" java -Xmx512m -XX:+UseSerialGC -Dfile.encoding=UTF-8 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -cp "$classpath" SmallPipeline --runner=PortableRunner --jobEndpoint="$endpoint" --outputFolder="$out/$name" "$@" \
    >"$out/stdout" 2>>"$log" </dev/null
  status=$?
  echo "$name"; grep -v ' skipped$' "$out/stdout"
  set -- $(tail -n 1 "$out/stdout" | grep -E '^[0-9]+ passed, [0-9]+ failed' | tr -d ,)
  if [ $# = 0 ]; then
    tail -5 "$log"; echo "FAILED  the pipeline ($name: status $status, log: $log)"; failed=$((failed + 1))
  else
    passed=$((passed + $1)) failed=$((failed + $3))
  fi
}
run LOOPBACK "$classpath" --defaultEnvironmentType=LOOPBACK --filesToStage="${classpath%%:*}"
run native "$classpath"
run native-incomplete "$(tr ':' '\n' <<<"$classpath" | grep -v /jamm- | paste -sd:)"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
