"""How soon a bad canary is rolled back, and how often a good one: ours, the oracle, and the rules of the field.

    python bench/decisions.py [--runs 5000] [--scenarios x2,null] [--out bench/results/decisions.json]

Writes the rows; docs/pictures.py draws them and fills the table of docs/explanation/decisions.md.
Canary 10 %, stable errors 0.5 %, latency lognormal (median 120 ms, sigma 0.5), 1 h, a look every 5 s; 20 min of
stable's history before. `oracle_min` of a row is the oracle's median for that row's margin (for peers: margin 1).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
from rules import LOOK_S, THRESHOLDS, Argo, Flagger, Hits, Kayenta, Oracle, Second, Tidegate, ZTest, oracles
from traffic import SCENARIOS, Arm, Scenario, Traffic

HISTORY_S, HALF_HOUR_S, HOUR_S, LONG_S = 1200, 1800, 3600, 6 * 3600
MARGINS = {"tidegate": 1.25, "tidegate-r0=1": 1.0}
RPS = (5, 50, 500)
CHUNK = 1000


def simulate(scenario: Scenario, rps: float, runs: int, seed: int, *, with_peers: bool = True) -> dict[str, np.ndarray]:
    """Minutes to roll back, by rule, one a run. Oracles are named oracle/margin/column."""
    traffic = Traffic(scenario, rps, runs, THRESHOLDS, seed)
    ours = {name: Tidegate(margin, runs) for name, margin in MARGINS.items()}
    knowing = {margin: oracles(scenario, margin, runs) for margin in MARGINS.values()}
    latency = scenario.stretch != 1.0 or scenario.tail_share > 0
    peers: dict[str, Hits] = {}
    if with_peers:
        peers["flagger-99%-1m-5-checks"] = Flagger(runs)
        peers["argo-99%-1m-limit-3"] = Argo(runs)
        peers["z-test-peeking-0.01"] = ZTest(4 if latency else 1, runs)
        if seed % 1000 == 0:  # the judge is slow: the first chunk only
            peers["kayenta-mann-whitney-5m"] = Kayenta(runs)
    silent = Arm(np.zeros(runs), np.zeros(runs), np.zeros((runs, len(THRESHOLDS))))
    every = [oracle for group in knowing.values() for oracle in group]
    for t in range(-HISTORY_S, 0):
        past = Second(traffic.arm(t, 0), silent)
        for rule in (*ours.values(), *every):
            rule.learn(past)

    # What both find after more than an hour is compared over a longer time, without the peers.
    long = scenario.name == "x2" and rps == RPS[0]
    rules = [*ours.values(), *every, *peers.values()]
    for t in range(LONG_S if long else HOUR_S):
        if t == HOUR_S:
            rules = [*ours.values(), *every]
        elif t == HALF_HOUR_S and not scenario.healthy and not long and _medians_known([*ours.values(), *every]):
            rules = list(peers.values())  # the medians and p30 of ours and the oracle are known
        second = Second(traffic.arm(t, 0), traffic.arm(t, 1))
        for rule in rules:
            rule.step(second)
        if (t + 1) % LOOK_S == 0:
            for rule in rules:
                rule.look((t + 1) / 60)
        if t % 60 == 59 and (
            all(r.done() for r in rules) or (t >= HOUR_S and _medians_known([*ours.values(), *every]))
        ):
            break
    out = {name: rule.hit for name, rule in {**ours, **peers}.items()}
    for margin, group in knowing.items():
        out.update({f"oracle/{margin}/{i}": oracle.hit for i, oracle in enumerate(group)})
    return out


def _medians_known(rules: list[Tidegate | Oracle]) -> bool:
    return all(np.isfinite(rule.hit).mean() > 0.55 for rule in rules)


def seed_of(cell: int, chunk: int) -> int:
    """Every chunk of every cell has its own; the number of the cell is that of a full run."""
    return 1000 * (cell + 1) + chunk


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The runs of all chunks; a rule may take part in some only."""
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in parts[0]}


def merged(rows: list[dict[str, object]], fresh: list[dict[str, object]]) -> list[dict[str, object]]:
    """Fresh rows in the place of those of the same rule, scenario and traffic."""

    def key(row: dict[str, object]) -> tuple[object, ...]:
        return row["rule"], row["scenario"], row["rps"]

    keys = {key(row) for row in fresh}
    return [row for row in rows if key(row) not in keys] + fresh


def upper95(events: int, runs: int) -> float:
    """One-sided upper 95 % Clopper-Pearson bound: the share at which so few events have a chance of 5 %."""

    def chance(share: float) -> float:
        logs = [
            math.lgamma(runs + 1) - math.lgamma(k + 1) - math.lgamma(runs - k + 1)
            + k * math.log(share) + (runs - k) * math.log1p(-share)
            for k in range(events + 1)
        ]  # fmt: skip
        return math.fsum(math.exp(value) for value in logs)

    if events >= runs:
        return 1.0
    low, high = max(events / runs, 1e-12), 1.0 - 1e-12
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > 0.05 else (low, middle)
    return high


def rows_of(scenario: Scenario, rps: int, hits: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """The rows of one cell."""
    best = {margin: _best_oracle(hits, margin) for margin in MARGINS.values()}
    rows = []
    named = {f"oracle-r0={margin:g}": (best[margin], margin) for margin in best if best[margin] is not None}
    named |= {name: (hit, MARGINS.get(name, 1.0)) for name, hit in hits.items() if "/" not in name}
    for name, (hit, margin) in named.items():
        if scenario.name == "margin1.2" and margin == 1.0 and name.startswith("tidegate"):
            continue  # x1.2 is worse than "no worse at all": not a false rollback for this margin
        runs = len(hit)
        row: dict[str, object] = {"rule": name, "scenario": scenario.name, "rps": rps, "runs": runs}
        row["measured"] = time.strftime("%Y-%m-%d", time.gmtime())
        median, oracle = (float(np.median(hit)), best[margin])
        oracle_median = float(np.median(oracle)) if oracle is not None else np.inf
        row["median_min"] = _within(median) if not scenario.healthy else None
        row["oracle_min"] = _within(oracle_median) if not scenario.healthy else None
        row["p30"] = None if scenario.healthy else round(float(np.mean(hit <= 30)), 4)
        onset = scenario.onset_s / 60 if not scenario.healthy else 60.0
        counts = scenario.healthy or onset > 0
        false = int(np.sum(hit <= onset))
        row["false_rollback"] = round(false / runs, 5) if counts else None
        row["false_rollback_upper95"] = round(upper95(false, runs), 5) if counts else None
        if name.startswith("tidegate") and not scenario.healthy and np.isfinite(oracle_median):
            row["ratio"] = round(median / oracle_median, 3)
            if median > 60 or oracle_median > 60:
                row["median_long_min"], row["oracle_long_min"] = round(median, 2), round(oracle_median, 2)
            if onset:
                row["ratio_after_onset"] = round((median - onset) / (oracle_median - onset), 3)
        rows.append(row)
    return rows


def _best_oracle(hits: dict[str, np.ndarray], margin: float) -> np.ndarray | None:
    found = [hit for name, hit in hits.items() if name.startswith(f"oracle/{margin}/")]
    return min(found, key=np.median) if found else None


def _within(median: float) -> float | None:
    return round(median, 3) if median <= 60 else None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--scenarios", default=",".join(s.name for s in SCENARIOS))
    parser.add_argument("--rps", default=",".join(map(str, RPS)))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "decisions.json")
    parser.add_argument("--ours", action="store_true", help="ours and the oracle; the rows of the others stay")
    chosen = parser.parse_args(arguments)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    wanted = {(name, int(rps)) for name in chosen.scenarios.split(",") for rps in chosen.rps.split(",")}
    rows = json.loads(chosen.out.read_text()) if chosen.out.exists() else []
    for number, (scenario, rps) in enumerate((s, rps) for s in SCENARIOS for rps in RPS):
        if (scenario.name, rps) not in wanted:
            continue
        started = time.monotonic()
        parts = [
            simulate(
                scenario, rps, min(CHUNK, chosen.runs - at), seed_of(number, at // CHUNK), with_peers=not chosen.ours
            )
            for at in range(0, chosen.runs, CHUNK)
        ]
        rows = merged(rows, rows_of(scenario, rps, joined(parts)))
        chosen.out.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
        print(f"{scenario.name} at {rps}/s: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
