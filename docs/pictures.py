"""Draws the pictures and the tables of docs/explanation/decisions.md from bench/results/decisions.json.

    python docs/pictures.py    (needs the extra `bench`)

The table stands between the markers `<!-- measured -->` and `<!-- /measured -->`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np

from tidegate.core.stats import block, shipped, stream

HERE = Path(__file__).parent
RESULTS = HERE.parent / "bench" / "results" / "decisions.json"
PAGE = HERE / "explanation" / "decisions.md"
PICTURES = HERE / "explanation" / "pictures"
FAULTS = ("x2", "x5", "x20", "latency+20", "latency+100", "tail3", "late20")
HEALTHY = ("null", "incident", "burst3", "burst10", "loadcycle", "margin1.2")
RPS = (5, 50, 500)
mpl.rcParams.update({"svg.hashsalt": "tidegate", "svg.fonttype": "none", "font.size": 9})

Rows = list[dict[str, Any]]


def save(figure: Any, name: str) -> None:
    """As SVG, without a date: the same input gives the same file."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def evidence_over_time() -> None:
    """Evidence of four rollouts at 50 requests/s: healthy, x5, x5 from minute 20, bursts in both arms."""
    figure, axes = plt.subplots(figsize=(7, 3.2))
    policy = shipped.count_policy()
    for label, ratio, onset, burst in (
        ("healthy", 1.0, 0, 1),
        ("x5 from the start", 5.0, 0, 1),
        ("x5 from minute 20", 5.0, 1200, 1),
        ("healthy, errors in bursts of 10", 1.0, 0, 10),
    ):
        rng = np.random.default_rng(7)
        state, course = stream.opening(policy), []
        for t in range(-1200, 1800):
            n_canary, n_stable = rng.poisson(5), rng.poisson(45)
            share = 0.005 * (ratio if t >= onset else 1.0) / burst
            k_canary, k_stable = (burst * rng.poisson(n * p) for n, p in ((n_canary, share), (n_stable, 0.005 / burst)))
            if t < 0:
                state = stream.learn(policy, state, block(0, n_stable, 0, k_stable))
            else:
                state = stream.update(policy, state, block(max(n_canary, k_canary), n_stable, k_canary, k_stable))
                course.append(float(stream.value(policy, state)))
        axes.plot(np.arange(len(course)) / 60, np.clip(course, 0.01, 1e4), label=label, linewidth=1.2)
    axes.axhline(100, color="black", linestyle="--", linewidth=0.8)
    axes.text(0.2, 115, "roll back: 100 = 1 / 0.01")
    axes.set(yscale="log", ylim=(0.02, 1e4), xlim=(0, 30), xlabel="minutes", ylabel="evidence that the canary is worse")
    axes.legend(loc="upper center", fontsize=8)
    save(figure, "evidence")


def delays(rows: Rows) -> None:
    """Median minutes to roll back, ours against the oracle and the field."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True)
    names = [name for name in dict.fromkeys(row["rule"] for row in rows) if name != "oracle-r0=1"]
    for panel, rps in zip(panels, RPS, strict=True):
        for number, name in enumerate(names):
            found = {row["scenario"]: row for row in rows if row["rule"] == name and row["rps"] == rps}
            points = [found.get(s, {}).get("median_min") or 75 for s in FAULTS]
            ours = name.startswith(("tidegate", "oracle"))
            at = np.arange(len(FAULTS)) + 0.08 * (number - len(names) / 2)
            panel.scatter(at, points, s=28 if ours else 14, marker="o" if ours else "x", label=name)
        panel.axhline(60, color="grey", linewidth=0.6)
        panel.set(yscale="log", title=f"{rps} requests/s")
        panel.set_xticks(range(len(FAULTS)), FAULTS, rotation=45, ha="right")
    panels[0].set_ylabel("median minutes (above the line: more than 60)")
    panels[2].legend(loc="upper left", bbox_to_anchor=(1, 1))
    save(figure, "delays")


def false_rollbacks(rows: Rows) -> None:
    """Share of healthy canaries rolled back within an hour, with its upper 95 % bound."""
    figure, axes = plt.subplots(figsize=(8, 3.4))
    columns = [(scenario, rps) for scenario in HEALTHY for rps in RPS]
    for name in dict.fromkeys(row["rule"] for row in rows if not row["rule"].startswith("oracle")):
        found = {(row["scenario"], row["rps"]): row for row in rows if row["rule"] == name}
        points = [(i, found[c]["false_rollback_upper95"] * 100) for i, c in enumerate(columns) if c in found]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=0.8, label=name)
    axes.axhline(1, color="black", linestyle="--", linewidth=0.8)
    axes.set(yscale="log", ylabel="false rollback in 1 h, upper 95 % bound, %")
    axes.set_xticks(range(len(columns)), [f"{s} {r}" for s, r in columns], rotation=70, ha="right")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, "false_rollbacks")


def table(rows: Rows) -> str:
    """Both tables in Markdown."""
    found = {(row["rule"], row["scenario"], row["rps"]): row for row in rows}
    names = list(dict.fromkeys(row["rule"] for row in rows if not row["rule"].startswith("oracle")))
    order = ["oracle-r0=1.25", "tidegate", "oracle-r0=1", "tidegate-r0=1"]
    order += [name for name in names if not name.startswith("tidegate")]

    newest = max(row["measured"] for row in rows)

    def mark(row: dict[str, Any]) -> str:
        ours = row["rule"].startswith(("tidegate", "oracle"))
        return "*" if ours and row["measured"] < newest else ""

    def delay(name: str, scenario: str) -> str:
        cells = (found.get((name, scenario, rps), {}) for rps in RPS)
        return " / ".join(
            "-" if not c else (f"{c['median_min']:.3g}" if c["median_min"] is not None else ">60") + mark(c)
            for c in cells
        )

    def false(name: str, scenario: str) -> str:
        cells = (found.get((name, scenario, rps), {}) for rps in RPS)
        return " / ".join("-" if not c else f"{c['false_rollback_upper95'] * 100:.2f}" + mark(c) for c in cells)

    lines = ["Median minutes to roll back, at 5 / 50 / 500 requests/s:", "", _row("rule", *FAULTS), _rule(len(FAULTS))]
    lines += [_row(name, *(delay(name, scenario) for scenario in FAULTS)) for name in order]
    lines += ["", "False rollback within an hour, upper 95 % bound in %, at 5 / 50 / 500 requests/s:", ""]
    lines += [_row("rule", *HEALTHY), _rule(len(HEALTHY))]
    lines += [_row(name, *(false(name, s) for s in HEALTHY)) for name in order if not name.startswith("oracle")]
    lines += ["", "Ours as a multiple of the oracle's median, at 5 / 50 / 500 requests/s:", ""]
    lines += [_row("rule", *FAULTS), _rule(len(FAULTS))]
    for name in ("tidegate", "tidegate-r0=1"):
        cells = [[found.get((name, s, rps), {}) for rps in RPS] for s in FAULTS]
        lines.append(
            _row(
                name,
                *(" / ".join(f"{c['ratio']:.2f}{mark(c)}" if "ratio" in c else "-" for c in cell) for cell in cells),
            )
        )
    if any(mark(row) for row in rows):
        lines += ["", f"\\* measured with an earlier engine, before {newest}."]
    return "\n".join([*lines, "", misses(rows)])


def misses(rows: Rows) -> str:
    """Where the goal (1.3 times the oracle) is missed, and by how much."""
    ours = [row for row in rows if row["rule"].startswith("tidegate") and "ratio" in row]
    beyond = [row for row in ours if row["ratio"] > 1.3]
    cells = ", ".join(
        f"{row['scenario']} at {row['rps']}/s for {row['rule']} ({row['ratio']:.2f}: "
        f"{row.get('median_long_min', row['median_min']) * 60:,.0f} s instead of "
        f"{row.get('oracle_long_min', row['oracle_min']) * 60:,.0f} s)"
        for row in sorted(beyond, key=lambda row: -row["ratio"])
    )
    false = [row for row in rows if row["rule"].startswith("tidegate") and row["false_rollback_upper95"] is not None]
    worst = max(false, key=lambda row: row["false_rollback_upper95"])
    return (
        f"Within 1.3 times the oracle: {len(ours) - len(beyond)} of {len(ours)} cells. Beyond it: {cells or 'none'}. "
        f"The worst upper bound of false rollback is {worst['false_rollback_upper95'] * 100:.2f} % "
        f"({worst['rule']}, {worst['scenario']} at {worst['rps']}/s)."
    )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(columns: int) -> str:
    return "|---" * (columns + 1) + "|"


def main() -> None:
    rows = json.loads(RESULTS.read_text())
    evidence_over_time()
    delays(rows)
    false_rollbacks(rows)
    page = PAGE.read_text()
    filled = f"<!-- measured -->\n\n{table(rows)}\n\n<!-- /measured -->"
    PAGE.write_text(re.sub(r"<!-- measured -->.*<!-- /measured -->", lambda _: filled, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
