#!/bin/bash
# The Python SDK's example pipelines (examples, cookbook, complete) through their own tests, sent to the endpoint. Left out:
# those that need a cloud, a database, a model or a notebook.
. "$(dirname "${BASH_SOURCE[0]}")/../python/suite.sh"
ensure_venv test
package="$(beam_package)"
mapfile -t files < <(grep -rlE --include='*_test.py' Pipeline "$package/examples" |
  grep -vE '_it_test|/snippets/|inference/|bigquery|gcp|snowflake|kafka|ml_transform|dataflow|juliaset|datastore' | sort)
export SDK_REDIRECT=1
run_python_suite --jobs-only -- --rootdir="$(dirname "$package")" "${files[@]}"
