#!/bin/bash
# Streams of our own that take real time: sources that never end, drained, cancelled, and whose workers are killed.
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv test
run_python_suite -- --rootdir="$SDK_DIR/python" test_streams.py
