#!/bin/bash
# The SDK's own examples of encoded values (apache_beam/portability/api/standard_coders.yaml, read from the installed package)
# against model/coder and model/window. Needs no daemon.
#   tests/sdk/coders/run.sh [HOST:PORT]      the argument is ignored
# CODER_CASES names the program, build/tests/unit/coder_cases.
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
ensure_venv
program="${CODER_CASES:-$TRESTLE_ROOT/build/tests/unit/coder_cases}"
if [ ! -x "$program" ]; then build_tree "$TRESTLE_ROOT/build" --buildtype=release; fi
work="$TRESTLE_RESULTS/sdk/coders"
make_ignored_dir "$TRESTLE_RESULTS"
mkdir -p "$work"
"$VENV/bin/python" "$TRESTLE_ROOT/tests/sdk/coders/cases.py" >"$work/cases.tsv" || die "no cases"
"$program" <"$work/cases.tsv" | tee "$work/cases.out"
exit "${PIPESTATUS[0]}"
