#!/bin/sh
# Write requirements.lock from pyproject.toml: exact versions with hashes, no registry named. Arguments go to
# pip-compile, for example --upgrade or --upgrade-package NAME.
set -eu
cd "$(dirname "$0")/.."
compile=.venv/bin/pip-compile
[ -x $compile ] || { echo "lock: .venv has no pip-tools: make venv" >&2; exit 1; }
CUSTOM_COMPILE_COMMAND="make lock" $compile --quiet --generate-hashes --allow-unsafe --strip-extras \
    --extra bench --extra dev --extra gateway --extra postgresql --extra scan --extra ssh --no-emit-index-url --no-emit-find-links \
    --no-emit-trusted-host --no-emit-options \
    --resolver backtracking --output-file requirements.lock "$@" pyproject.toml
