#!/bin/bash
# apache_beam.examples.wordcount on a 20 MB text over LOOPBACK and over PROCESS (boot_python.sh starts the worker); what each
# writes, sorted, must be what the SDK's in-process runner writes.
#   tests/sdk/wordcount/run.sh HOST:PORT [FILE]      FILE: count this instead
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv
work="$RESULTS/wordcount"
mkdir -p "$work"
input="${SUITE_ARGUMENTS[0]:-}"
if [ -z "$input" ]; then
  input="$work/text-20m.txt"
  [ -s "$input" ] || "$VENV/bin/python" "$SUITE_DIR/make_text.py" "$input" 20 || die "no text"
fi

# wordcount OUT ARGUMENT...: runs the example in a folder of its own and merges its shards, sorted, into OUT
wordcount() {
  local out="$1" folder; shift
  folder="$(mktemp -d "$work/out.XXXXXX")"
  timeout -k 10 "${TEST_TIMEOUT:-180}" "$VENV/bin/python" -m apache_beam.examples.wordcount --input "$input" --output "$folder/counts" \
    "$@" >"$out.log" 2>&1 </dev/null && cat "$folder"/counts-*-of-* | LC_ALL=C sort >"$out.new" && mv "$out.new" "$out"
  local status=$?
  rm -rf "$folder"
  return $status
}

reference="$work/reference-$BEAM_VERSION-$(sha256sum <"$input" | cut -c1-32)"
if [ ! -s "$reference" ]; then
  wordcount "$reference" --runner=FnApiRunner || { tail -5 "$reference.log" >&2; die "the in-process runner failed"; }
fi

scratch="$(mktemp -d "$work/scratch.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT
process="{\"command\": \"${BOOT_COMMAND:-$SDK_DIR/boot_python.sh}\", \"env\": {\"TRESTLE_TEST_PYTHON\": \"$VENV/bin/python\", \"TRESTLE_TEST_SCRATCH\": \"$scratch\"}}"
passed=0 failed=0
# judge NAME ARGUMENT...
judge() {
  local name="$1" out="$work/$1" started=$SECONDS; shift
  rm -f "$out"
  if ! wordcount "$out" --runner=PortableRunner --job_endpoint="$JOB_ENDPOINT" "$@"; then
    echo "FAILED  wordcount over $name: $(tail -n 1 "$out.log") (log: $out.log)"
  elif ! cmp -s "$reference" "$out"; then
    echo "FAILED  wordcount over $name: counts differ ($(diff "$reference" "$out" | grep -c '^[<>]') lines; diff $reference $out)"
  else
    echo "wordcount over $name: $((SECONDS - started)) s, $(wc -l <"$out") words as in the reference"
    passed=$((passed + 1)); return
  fi
  failed=$((failed + 1))
}
judge LOOPBACK --environment_type=LOOPBACK
judge PROCESS --environment_type=PROCESS --environment_config="$process"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
