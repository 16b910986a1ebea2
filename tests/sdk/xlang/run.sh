#!/bin/bash
# Python pipelines with transforms of a Java expansion service: two environments in a job, Python over LOOPBACK and Java in a JVM that
# the runner starts. The service is that of Beam's library jars, with transforms of our own (src). Needs a JDK from 11 on and Maven.
#   tests/sdk/xlang/run.sh HOST:PORT
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
fail() { echo "FAILED  $*"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
command -v javac >/dev/null && command -v mvn >/dev/null || skip "no java/maven"
ensure_venv

work="$RESULTS/xlang"
cache="$TRESTLE_CACHE/xlang-$BEAM_JAVA_VERSION"
source="$here/src/main/java/Transforms.java"
mkdir -p "$work" "$cache"
stamp="$cache/.stamp-$(cat "$here/pom.xml" "$source" | cksum | cut -d' ' -f1)"
if [ ! -e "$stamp" ]; then
  mvn -q -B -f "$here/pom.xml" -Dbeam.version="$BEAM_JAVA_VERSION" dependency:build-classpath \
    -Dmdep.outputFile="$cache/classpath" >"$cache/maven.log" 2>&1 ||
    { tail -5 "$cache/maven.log"; skip "Maven cannot get the expansion service's jars (log: $cache/maven.log)"; }
  rm -rf "$cache/classes"
  javac -encoding UTF-8 -nowarn -cp "$(cat "$cache/classpath")" -d "$cache/classes" "$source" 2>"$cache/javac.log" &&
    jar cf "$cache/transforms.jar" -C "$cache/classes" . || { tail -5 "$cache/javac.log"; fail "javac (log: $cache/javac.log)"; }
  touch "$stamp"
fi

scratch="$(mktemp -d "$work/scratch.XXXXXX")"
service=
trap '[ -z "$service" ] || kill "$service"; rm -rf "$scratch"' EXIT
# The service cannot be told to take a free port and say which.
port="$("$VENV/bin/python" -c 'import socket; s = socket.socket(); s.bind(("localhost", 0)); print(s.getsockname()[1])')"
java -Xmx256m -XX:+UseSerialGC -cp "$cache/transforms.jar:$(cat "$cache/classpath")" \
  org.apache.beam.sdk.expansion.service.ExpansionService "$port" '--javaClassLookupAllowlistFile=*' \
  >"$work/expansion.log" 2>&1 </dev/null &
service=$!
mkdir "$scratch/out"
timeout -k 10 "${SUITE_TIMEOUT:-300}" "$VENV/bin/python" "$here/xlang.py" "$JOB_ENDPOINT" "localhost:$port" "$scratch/out" \
  2>"$work/log" </dev/null || { tail -n 5 "$work/log" >&2; exit 1; }
