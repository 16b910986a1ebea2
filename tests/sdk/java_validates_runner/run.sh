#!/bin/bash
# The Java SDK's tests marked ValidatesRunner, in the tests jar of beam-sdks-java-core, sent by the SDK's TestUniversalRunner.
# Needs a JDK from 11 on and Maven.
#   tests/sdk/java_validates_runner/run.sh HOST:PORT
#
#   MODE           loopback (default): the tests' code runs in the JVM that submits them. native: in the SDK's default environment
#                  (DOCKER), which without a container engine is a JVM that the runner starts
#   ONLY           regular expression that picks tests by name, Class.method (all); `part`: the part that CI runs
#   SHARDS         JVMs at once (2); a client asks for its job's state every three seconds, so that one alone mostly waits
#   TEST_TIMEOUT   seconds for one test (60); one that is expected to fail gets SDK_EXPECTED_TIMEOUT (15)
#   SUITE_TIMEOUT  seconds for the suite (3600)
#
# Results are $TRESTLE_RESULTS/sdk/java_validates_runner_MODE.{jsonl,N.log}; expected_failures has a list for each mode.
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
endpoint="${1:?usage: run.sh HOST:PORT}" mode="${MODE:-loopback}" only="${ONLY:-}" shards="${SHARDS:-2}"
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
fail() { echo "FAILED  $*"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
command -v javac >/dev/null && command -v mvn >/dev/null || skip "no java/maven"

# Expansion services of their own, and elements of 100 MB in JVMs that have not the memory for them, are left out.
without='UsesPythonExpansionService|UsesJavaExpansionService|Above100MB'
case "$mode" in
  # what the client's JVM has (agents, logging, TLS) says nothing about a worker's
  loopback) without="$without|UsesSdkHarnessEnvironment" ;;
  native) ;;
  *) fail "no mode $mode" ;;
esac
# Each kind of thing that ValidatesRunner tests, and each way for a job to end.
[ "$only" != part ] || only='SdkHarnessEnvironmentTest|CommittedMetricTests.testCommittedCounterMetrics|FlattenTest.testFlattenPCollections$|GroupByKeyTest\$BasicTests.test(GroupByKey|LargeKeys10MB|CombiningAccumulatingProcessingTime)$|CombineTest\$BasicTests.testSimpleCombine$|ViewTest.test(Map|Singleton|Multimap)SideInput$|WindowTest.testMergingCustomWindows$|ParDoTest\$StateTests.testBagState$|ParDoTest\$TimerTests.test(EventTimeTimerLoop|SimpleProcessingTimerTimer)$|TestStreamTest.test(LateDataAccumulating|ProcessingTimeTrigger)$|SplittableDoFnTest.test(LifecycleMethodsBounded|PairWithIndexBasicUnbounded)$|PAssertTest.test(IsEqualTo|ContainsInAnyOrderFalse)$'

cache="$TRESTLE_CACHE/java-validates-runner-$BEAM_JAVA_VERSION"
results="$TRESTLE_RESULTS/sdk" name="java_validates_runner_$mode"
make_ignored_dir "$TRESTLE_RESULTS" && mkdir -p "$cache" "$results"
source="$here/src/main/java/ValidatesRunner.java"
stamp="$cache/.stamp-$(cat "$here/pom.xml" "$source" | cksum | cut -d' ' -f1)"
if [ ! -e "$stamp" ]; then
  mvn -q -B -f "$here/pom.xml" -Dbeam.version="$BEAM_JAVA_VERSION" dependency:build-classpath \
    -Dmdep.outputFile="$cache/classpath" >"$cache/maven.log" 2>&1 || { tail -5 "$cache/maven.log"; fail "Maven (log: $cache/maven.log)"; }
  rm -rf "$cache/classes"
  javac -encoding UTF-8 -nowarn -proc:none -cp "$(cat "$cache/classpath")" -d "$cache/classes" "$source" 2>"$cache/javac.log" &&
    jar cf "$cache/validates-runner.jar" -C "$cache/classes" . || { tail -5 "$cache/javac.log"; fail "javac (log: $cache/javac.log)"; }
  touch "$stamp"
fi
classpath="$cache/validates-runner.jar:$(cat "$cache/classpath")"
tests="$(tr ':' '\n' <"$cache/classpath" | grep 'beam-sdks-java-core-.*-tests.jar$')"

options="\"--runner=TestUniversalRunner\",\"--jobEndpoint=$endpoint\""
# one file is enough where nothing is fetched
[ "$mode" = native ] || options="$options,\"--defaultEnvironmentType=LOOPBACK\",\"--filesToStage=$cache/validates-runner.jar\""
expected="$here/../expected_failures/$name.txt" started=$SECONDS pids=() incomplete=
trap '[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null' EXIT
rm -f "$results/$name".*
for ((shard = 0; shard < shards; shard++)); do
  timeout -k 20 "${SUITE_TIMEOUT:-3600}" java -Xmx1500m -XX:+UseSerialGC -Dfile.encoding=UTF-8 -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
    -DbeamTestPipelineOptions="[$options]" -Dtests="$tests" -Dcategory=ValidatesRunner -Dresults="$results/$name.$shard.jsonl" \
    -Dseconds="${TEST_TIMEOUT:-60}" -Dexpected="$expected" -DexpectedSeconds="${SDK_EXPECTED_TIMEOUT:-15}" -Dshard="$shard" \
    -Dshards="$shards" -Donly="$only" -Dwithout="$without" -cp "$classpath" ValidatesRunner >"$results/$name.$shard.log" 2>&1 </dev/null &
  pids+=($!)
done
for ((shard = 0; shard < shards; shard++)); do
  wait "${pids[$shard]}" || incomplete="$incomplete shard $shard ended with status $?, log $results/$name.$shard.log;"
done
pids=()
cat "$results/$name".[0-9]*.jsonl >"$results/$name.jsonl"
rm -f "$results/$name".[0-9]*.jsonl
judge=()
[ -z "$only" ] || judge+=(--partial)
[ -z "$incomplete" ] || judge+=(--incomplete "$incomplete")
echo "$name: $((SECONDS - started)) s, list $results/$name.jsonl"
python3 "$here/../python/results.py" "$results/$name.jsonl" "$expected" "${judge[@]}"
