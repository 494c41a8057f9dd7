"""What a bench writes: rows of name, value, unit and what it is compared with, and the machine they are from."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One measurement. `compared_with` is its goal, or what it was measured against in the same run."""

    name: str
    value: float
    unit: str
    compared_with: str


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 1).__int__() - 1))]


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def machine() -> dict[str, object]:
    """Where this was measured, and how busy it was with other things."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_average_1m": round(os.getloadavg()[0], 2),
    }


def write(name: str, parts: dict[str, list[Row]], about: dict[str, dict[str, object]]) -> Path:
    """Write bench/results/NAME.json; parts that were not measured this time stay as they were."""
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text()) if path.exists() else {"parts": {}, "rows": []}
    rows = [row for row in known["rows"] if row["part"] not in parts]
    rows += [{"part": part, **asdict(row)} for part, measured in parts.items() for row in measured]
    path.parent.mkdir(exist_ok=True)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    measured_on = json.dumps({**known["parts"], **about}, indent=2).replace("\n", "\n ")
    path.write_text(f'{{\n "parts": {measured_on},\n "rows": [\n{lines}\n ]\n}}\n')
    return path
