#!/bin/bash
# Pipelines of our own, for what the SDK's suites leave out.
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv test
run_python_suite -- --rootdir="$SDK_DIR/python" test_model_windows.py test_model_side_inputs.py test_model_shapes.py test_model_streams.py test_model_dropped.py
