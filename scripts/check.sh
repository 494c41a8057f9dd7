#!/bin/sh
# Style, types, import law, lock: everything that can be said without running the code. All are run; any failure fails.
cd "$(dirname "$0")/.." || exit 1
failed=
ask() {
    name=$1; shift
    if output=$("$@" 2>&1); then echo "ok    $name"; else echo "FAIL  $name"; echo "$output"; failed="$failed $name"; fi
}
bin=.venv/bin
ask "ruff check" $bin/ruff check .
ask "ruff format" $bin/ruff format --check .
ask "mypy --strict" $bin/mypy
ask "import law" $bin/lint-imports --no-cache
ask "lock" $bin/python scripts/check_lock.py
[ -z "$failed" ] || { echo "check: failed:$failed" >&2; exit 1; }
