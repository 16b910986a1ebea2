#!/bin/bash
# The SDK's own transcripts of triggers (apache_beam/testing/data/trigger_transcripts.yaml, read from the installed package)
# against engine/panes and engine/trigger. Needs no daemon.
#   tests/sdk/triggers/run.sh [HOST:PORT]      the argument is ignored
# PANE_TRANSCRIPTS names the program, build/tests/unit/pane_transcripts.
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
ensure_venv
program="${PANE_TRANSCRIPTS:-$TRESTLE_ROOT/build/tests/unit/pane_transcripts}"
if [ ! -x "$program" ]; then build_tree "$TRESTLE_ROOT/build" --buildtype=release; fi
work="$TRESTLE_RESULTS/sdk/triggers"
make_ignored_dir "$TRESTLE_RESULTS"
mkdir -p "$work"
"$VENV/bin/python" "$TRESTLE_ROOT/tests/sdk/triggers/cases.py" >"$work/cases.txt" || die "no cases"
"$program" "$TRESTLE_ROOT/tests/sdk/triggers/differences.txt" <"$work/cases.txt" | tee "$work/cases.out"
exit "${PIPESTATUS[0]}"
