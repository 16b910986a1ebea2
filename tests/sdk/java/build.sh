# SmallPipeline built. Source it after scripts/lib.sh; do not run it.

# small_java_classpath: prints the class path of SmallPipeline, its jar first, built if it is not; says what failed on standard error
small_java_classpath() {
  local here cache="$TRESTLE_CACHE/java-$BEAM_JAVA_VERSION" source stamp
  here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
  source="$here/src/main/java/SmallPipeline.java"
  stamp="$cache/.stamp-$(cat "$here/pom.xml" "$source" | cksum | cut -d' ' -f1)"
  mkdir -p "$cache"
  if [ ! -e "$stamp" ]; then
    mvn -q -B -f "$here/pom.xml" -Dbeam.version="$BEAM_JAVA_VERSION" dependency:build-classpath \
      -Dmdep.outputFile="$cache/classpath" >"$cache/maven.log" 2>&1 || { tail -5 "$cache/maven.log" >&2; return 1; }
    rm -rf "$cache/classes" "$cache"/.stamp-*
    javac -encoding UTF-8 -nowarn -cp "$(cat "$cache/classpath")" -d "$cache/classes" "$source" 2>"$cache/javac.log" &&
      jar cf "$cache/small.jar" -C "$cache/classes" . || { tail -5 "$cache/javac.log" >&2; return 1; }
    touch "$stamp"
  fi
  echo "$cache/small.jar:$(cat "$cache/classpath")"
}
