#!/bin/bash
# One small pipeline (create, map, group by key, count) of the Java SDK over LOOPBACK; needs a JDK from 11 on and Maven.
#   tests/sdk/java/run.sh HOST:PORT
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
endpoint="${1:?usage: run.sh HOST:PORT}"
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
fail() { echo "FAILED  $*"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
command -v javac >/dev/null && command -v mvn >/dev/null || skip "no java/maven"

source="$here/src/main/java/SmallPipeline.java"
cache="$TRESTLE_CACHE/java-$BEAM_JAVA_VERSION"
mkdir -p "$cache" "$TRESTLE_RESULTS/sdk" && make_ignored_dir "$TRESTLE_RESULTS"
stamp="$cache/.stamp-$(cat "$here/pom.xml" "$source" | cksum | cut -d' ' -f1)"
if [ ! -e "$stamp" ]; then
  mvn -q -B -f "$here/pom.xml" -Dbeam.version="$BEAM_JAVA_VERSION" dependency:build-classpath \
    -Dmdep.outputFile="$cache/classpath" >"$cache/maven.log" 2>&1 || { tail -5 "$cache/maven.log"; fail "Maven (log: $cache/maven.log)"; }
  rm -rf "$cache/classes"
  javac -encoding UTF-8 -nowarn -cp "$(cat "$cache/classpath")" -d "$cache/classes" "$source" 2>"$cache/javac.log" &&
    jar cf "$cache/small.jar" -C "$cache/classes" . || { tail -5 "$cache/javac.log"; fail "javac (log: $cache/javac.log)"; }
  touch "$stamp"
fi

log="$TRESTLE_RESULTS/sdk/java.log"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
timeout -k 10 "${TEST_TIMEOUT:-180}" java -Xmx512m -XX:+UseSerialGC -Dfile.encoding=UTF-8 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
  -cp "$cache/small.jar:$(cat "$cache/classpath")" SmallPipeline --runner=PortableRunner --jobEndpoint="$endpoint" \
  --defaultEnvironmentType=LOOPBACK --filesToStage="$cache/small.jar" --outputFolder="$out" >"$out/stdout" 2>"$log" </dev/null
status=$?
cat "$out/stdout"
[ "$(tail -n 1 "$out/stdout" | grep -c ' passed, ')" = 1 ] || { tail -5 "$log"; fail "the pipeline (status $status, log: $log)"; }
exit $status
