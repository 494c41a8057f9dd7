#!/bin/sh
# Make .venv in the checkout from requirements.lock, and install Tidegate into it. A second run costs nothing.
set -eu
cd "$(dirname "$0")/.."

die() { printf 'venv: %s\n' "$1" >&2; exit 1; }

# The lock has no host names and no platform: what changes the environment is the lock and the project's own metadata.
stamp=.venv/.made-from
wanted=$(cat requirements.lock pyproject.toml scripts/venv.sh | cksum)" $(pwd)"
if [ -x .venv/bin/tidegate ] && [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then exit 0; fi

python=
for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || die "Python 3.11 or later is needed: install it, or name it with PYTHON=/path/to/python3.11"

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "venv: installing python3-venv" >&2
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null \
            || die "apt-get could not install python3-venv: see above"
    else
        die "$python has no ensurepip: install python3-venv (Debian, Ubuntu) or another Python 3.11"
    fi
fi

echo "venv: making .venv with $("$python" --version) (first run, or requirements.lock or pyproject.toml changed)" >&2
rm -f $stamp
[ -x .venv/bin/python ] && .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    || { rm -rf .venv; "$python" -m venv .venv; }
pip=".venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip install --require-hashes -r requirements.lock || die "pip could not install requirements.lock: see above"
$pip install --no-deps --no-build-isolation -e . || die "pip could not install Tidegate itself: see above"
printf '%s' "$wanted" > $stamp
