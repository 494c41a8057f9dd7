"""How fast, how safe and how small a release is: the parts, in order of how little they disturb one another.

    python -m bench.release [idle delivery shifts aborts]      writes bench/results/release.json

Needs what the engine tests need (root, dockerd, iproute2, iptables): every part runs on a private engine of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from bench import aborts, delivery, idle, shifts
from bench.rows import Row, machine, write

PARTS: dict[str, Callable[[], list[Row]]] = {
    "idle": idle.measure,
    "delivery": delivery.measure,
    "shifts": shifts.measure,
    "aborts": aborts.measure,
}


def main(names: Sequence[str]) -> int:
    """Measure the parts named, or all of them."""
    if unknown := set(names) - set(PARTS):
        print(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in names or PARTS:
        about, began = machine(), time.monotonic()
        rows = PARTS[name]()
        about["took_s"] = round(time.monotonic() - began)
        about["load_average_after"] = machine()["load_average_1m"]
        path = write("release", {name: rows}, {name: about})
        for row in rows:
            print(f"{name:9} {row.name:52} {row.value:10g} {row.unit:12} {row.compared_with}")
    print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
