#!/bin/bash
# The Python SDK's tests that are marked it_validatesrunner, read from the installed package.
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv test
package="$(beam_package)"
# Dataflow's own, and one that needs a model framework, are about something else.
mapfile -t files < <(grep -rl --include='*_test.py' it_validatesrunner "$package" | grep -vE 'dataflow/|ml/inference/base_test' | sort)
run_python_suite -- --rootdir="$(dirname "$package")" -m it_validatesrunner "${files[@]}"
