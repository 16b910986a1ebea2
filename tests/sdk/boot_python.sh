#!/bin/sh
# The command of a PROCESS environment for Python, in place of the boot program that the SDK's container image has:
#   --environment_type=PROCESS --environment_config='{"command": "/path/to/boot_python.sh", "env": {...}}'
# The daemon gives --id --logging_endpoint --artifact_endpoint --provision_endpoint --control_endpoint. From `env`:
#   TRESTLE_TEST_PYTHON   interpreter that has apache-beam (default: the one that scripts/test made)
#   TRESTLE_TEST_SCRATCH  folder for the worker's files (default: the system's)
python="${TRESTLE_TEST_PYTHON:-${TRESTLE_CACHE:-${HOME:-/root}/.cache/trestle}/venv-2.77.0/bin/python}"
exec "$python" "$(dirname "$0")/boot_python.py" "$@"
