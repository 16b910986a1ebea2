#!/bin/bash
# What docs/quickstart.md says, read out of it and done: files, commands, and what they print. What the commands install is kept in
# $TRESTLE_CACHE/quickstart-sdk. Needs the tool chains of all the SDKs: Python, a JDK and Maven, Go, node and npm.
#   tests/sdk/quickstart/run.sh HOST:PORT [PATTERN]      PATTERN chooses sections by name, such as 'SQL|YAML'
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
endpoint="${1:?usage: run.sh HOST:PORT [PATTERN]}"
directory="$TRESTLE_CACHE/quickstart-sdk"
mkdir -p "$directory" "$TRESTLE_RESULTS/sdk" && make_ignored_dir "$TRESTLE_RESULTS"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
build_trestle
PATH="$(dirname "$TRESTLE_BIN"):$PATH" PYTHONPATH='' python3 "$here/quickstart.py" "$endpoint" "$TRESTLE_ROOT/docs/quickstart.md" \
  "$directory" "$scratch" "$TRESTLE_RESULTS/sdk/quickstart.log" "${2:-}"
