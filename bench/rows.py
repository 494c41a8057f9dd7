"""What a bench writes: rows of name, value, unit, what it is compared with and the load it was measured under.

`write` keeps the page of docs/explanation that shows them true as well.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"


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
    """Write bench/results/NAME.json, and the page; parts that were not measured this time stay as they were."""
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text()) if path.exists() else {"parts": {}, "rows": []}
    rows = [row for row in known["rows"] if row["part"] not in parts]
    for part, measured in parts.items():
        load = f"load average {about[part]['load_average_1m']} before, {about[part]['load_average_after']} after"
        rows += [{"part": part, **asdict(row), "load": load} for row in measured]
    path.parent.mkdir(exist_ok=True)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    measured_on = json.dumps({**known["parts"], **about}, indent=2).replace("\n", "\n ")
    path.write_text(f'{{\n "parts": {measured_on},\n "rows": [\n{lines}\n ]\n}}\n')
    PAGE.write_text(in_page(PAGE.read_text(), name))
    return path


def in_page(page: str, name: str) -> str:
    """The page with the table of bench/results/NAME.json between its two marks; one without marks stays as it is."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    if begin not in page:
        return page
    before, _, rest = page.partition(begin)
    return before + begin + table(name) + end + rest.partition(end)[2]


def table(name: str) -> str:
    """The rows of bench/results/NAME.json in Markdown, a table a part under the machine's load."""
    known = json.loads((RESULTS / f"{name}.json").read_text())
    lines = []
    for part, about in known["parts"].items():
        load = f"load average {about['load_average_1m']} before and {about['load_average_after']} after"
        lines += [f"\n**{part}**, {about['cores']} cores, {load}, {about['took_s']} s\n"]
        lines += ["| what | value | goal or comparison |", "|---|---|---|"]
        rows = [row for row in known["rows"] if row["part"] == part]
        lines += [f"| {row['name']} | {row['value']:,g} {row['unit']} | {row['compared_with']} |" for row in rows]
    return "\n".join(lines) + "\n\n"
