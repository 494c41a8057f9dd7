#!/bin/sh
# All tests, the fast directories first; ends at the first group that fails. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
scripts/engine.sh >/dev/null
for group in "unit property" "contract" "scenario" "e2e"; do
    paths=
    for name in $group; do
        [ -z "$(find "tests/$name" -name 'test_*.py' 2>/dev/null)" ] || paths="$paths tests/$name"
    done
    [ -n "$paths" ] || continue
    echo "== $group" >&2
    # shellcheck disable=SC2086 - a list of paths
    TIDEGATE_REQUIRE_ENGINE=1 .venv/bin/python -m pytest -q $paths "$@" || {
        code=$?
        [ $code = 5 ] || exit $code # 5: nothing here matches the arguments
    }
done
