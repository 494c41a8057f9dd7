#!/bin/sh
# All tests, the fast directories first, on two processes (each with engines of its own); ends at the first group that
# fails. Arguments go to pytest; where they name a
# path below tests/, only that is run.
set -eu
cd "$(dirname "$0")/.."
scripts/engine.sh --tests >/dev/null
export TIDEGATE_REQUIRE_ENGINE=1
case " $* " in *" tests/"*) exec .venv/bin/python -m pytest -q "$@" ;; esac
for group in "unit property" "contract" "scenario" "e2e"; do
    paths=
    for name in $group; do
        [ -z "$(find "tests/$name" -name 'test_*.py' 2>/dev/null)" ] || paths="$paths tests/$name"
    done
    [ -n "$paths" ] || continue
    echo "== $group" >&2
    # shellcheck disable=SC2086 - a list of paths
    .venv/bin/python -m pytest -q -n 2 --dist loadfile $paths "$@" || {
        code=$?
        [ $code = 5 ] || exit $code # 5: nothing here matches the arguments
    }
done
