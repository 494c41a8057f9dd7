"""`make bench`: every bench that takes minutes, or those named. Each is a module of its own and runs alone as well.

python -m bench [release undo waves speed ...]      a bench, or a part of one: release:aborts, release:idle,shifts
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ORDER = ("release", "undo", "waves", "heartbeats", "speed", "blocks")
"""bench/decisions.py takes an hour and has a target of its own: make bench-decisions."""


def main(names: Sequence[str]) -> int:
    """Run them one after the other; the first exit code that is not 0 is the answer."""
    there = [name for name in ORDER if (HERE / f"{name}.py").exists()]
    asked = [(bench, parts.split(",") if parts else []) for bench, _, parts in (name.partition(":") for name in names)]
    if unknown := {bench for bench, _ in asked} - set(there):
        print(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(there)}", file=sys.stderr)
        return 2
    paths = [str(HERE.parent), str(HERE.parent / "src"), str(HERE), os.environ.get("PYTHONPATH", "")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    codes = []
    for bench, parts in asked or [(name, []) for name in there]:
        print(f"== {bench} {' '.join(parts)}".rstrip(), file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"bench.{bench}", *parts]
        codes.append(subprocess.run(command, cwd=HERE.parent, env=environ, check=False).returncode)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
