#!/bin/bash
# The Python SDK's FnApiRunnerTest and its portable extras.
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv test
run_python_suite -- --rootdir="$SDK_DIR/python" test_fnapi.py
