"""Sequential evidence of one metric from any source: counts, bounded means, histograms (core.stats), window by window.

Two questions as everywhere: is the canary worse, and (of an objective) is it proven not worse? All memory is plain.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from tidegate.core.analysis import increments
from tidegate.core.analysis.increments import Meter, Window
from tidegate.core.stats import bounded, codec, guard, promotion, shipped, stream
from tidegate.core.stats.arrays import Array
from tidegate.core.stats.blocks import Block as Counted
from tidegate.core.stats.blocks import block as counted
from tidegate.core.stats.bounded import MeanPolicy, MeanState
from tidegate.core.stats.evidence import Prior
from tidegate.core.stats.guard import Guard, GuardPolicy
from tidegate.core.stats.promotion import Promotion, PromotionPolicy
from tidegate.core.stats.stream import Kind, Stream, StreamPolicy
from tidegate.model.judging import Role, SequentialMetric, Worse
from tidegate.model.metering import GATEWAY, Form
from tidegate.model.observation import Block, Traffic

Kept = Mapping[str, Any]
"""Everything that is remembered of one metric, plain."""

NEEDED = 1.0 / PromotionPolicy().alpha
"""The evidence that a proof takes."""

P90 = 2
"""The quantile of a histogram that an objective is proven at: stable's p90."""


@dataclass(frozen=True)
class Counts:
    """Of COUNT: evidence, proof, and totals (seconds, n and k of the canary, n and k of stable)."""

    stream: Stream
    proof: Promotion
    totals: Array


@dataclass(frozen=True)
class Means:
    """Of MEAN: evidence, proof, and totals (seconds, count and sum of the canary, count and sum of stable)."""

    worse: MeanState
    proof: MeanState
    totals: Array


@dataclass(frozen=True)
class Histogram:
    """Of HISTOGRAM: a guard whose requests are the histogram's events, and the proof at stable's p90."""

    guard: Guard
    proof: Promotion


State = Counts | Means | Histogram


def begin(metric: SequentialMetric, past: Iterable[Block], arms: tuple[int, int]) -> Kept:
    """The memory of a metric that has learned what stable was like before the canary took part."""
    kept: Kept = {"meter": _plain(Meter()), "bounds": [], "state": None}
    for block in past:
        kept = _take(metric, kept, block, (-1, arms[1]))
    return {**kept, "meter": _plain(Meter(_meter(kept).last))}


def take(metric: SequentialMetric, kept: Kept, blocks: Iterable[Block], arms: tuple[int, int]) -> Kept:
    """Feed blocks of both arms."""
    for block in blocks:
        kept = _take(metric, kept, block, arms)
    return kept


def _take(metric: SequentialMetric, kept: Kept, block: Block, arms: tuple[int, int]) -> Kept:
    meter, window = increments.take(metric, _meter(kept), block, arms)
    kept = {**kept, "meter": _plain(meter)}
    if window is None:
        return kept
    bounds = tuple(kept["bounds"]) or window.bounds
    if metric.form is Form.HISTOGRAM and (not bounds or window.bounds != bounds):
        return kept  # other buckets than those that the evidence is about say nothing
    state = _state(metric, kept["state"], bounds)
    after = _update(metric, state, window, bounds, alone=arms[0] < 0)
    return {**kept, "bounds": list(bounds), "state": codec.to_json(after)}


def _update(metric: SequentialMetric, state: State, window: Window, bounds: tuple[float, ...], alone: bool) -> State:
    canary, stable = window.canary, window.stable
    match state:
        case Counts():
            both = counted(canary.n, stable.n, canary.k, stable.k, window.seconds)
            added = np.array([window.seconds, canary.n, stable.n, canary.k, stable.k])
            if alone:
                return replace(state, stream=stream.learn(count_policy(metric), state.stream, both))
            proof = _prove(metric, state.proof, both)
            return Counts(stream.update(count_policy(metric), state.stream, both), proof, state.totals + added)
        case Means():
            values = [np.nan if arm.mean is None else arm.mean for arm in (canary, stable)]
            turned = [metric.most - value for value in values]
            more, less = (values, turned) if metric.worse is Worse.MORE else (turned, values)
            parts = (canary.n, (canary.mean or 0.0) * canary.n, stable.n, (stable.mean or 0.0) * stable.n)
            return Means(
                bounded.update(mean_policy(metric), state.worse, *more),
                bounded.update(mean_policy(metric, proof=True), state.proof, *less),
                state.totals + (0.0 if alone else np.array([window.seconds, *parts])),
            )
        case Histogram():
            arms = [Traffic(int(sum(a.buckets)), 0, tuple(int(n) for n in a.buckets)) for a in (canary, stable)]
            rules = guard_policy(metric, bounds)
            if alone:
                return replace(state, guard=guard.learn(rules, state.guard, window.seconds, arms[1]))
            after = guard.update(rules, state.guard, window.seconds, *arms)
            slow = (after.slow - state.guard.slow)[:, P90]
            both = counted(arms[0].requests, arms[1].requests, slow[0], slow[1], window.seconds)
            known = bool(after.thresholds_ms.size)
            return Histogram(after, _prove(metric, state.proof, both) if known else state.proof)


def _prove(metric: SequentialMetric, proof: Promotion, both: Counted) -> Promotion:
    """The proof of what is worse by less is the same with the arms' names exchanged. Only an objective needs one."""
    if metric.role is not Role.OBJECTIVE:
        return proof
    if metric.worse is Worse.LESS:
        both = Counted(both.duration_s, both.n_stable, both.n_canary, both.k_stable, both.k_canary)
    return promotion.update(proof_policy(metric), proof, both)


def evidence(metric: SequentialMetric, kept: Kept) -> float:
    """How much speaks against the canary: 1 is nothing."""
    match _state(metric, kept["state"], tuple(kept["bounds"])):
        case Counts() as state:
            return float(stream.value(count_policy(metric), state.stream))
        case Means() as state:
            return float(bounded.value(state.worse))
        case Histogram() as state:
            if not kept["bounds"]:
                return 1.0
            rules = guard_policy(metric, tuple(kept["bounds"]))
            return guard.worse(rules, state.guard)


def proof(metric: SequentialMetric, kept: Kept) -> float:
    """How much speaks for the canary being no worse than allowed."""
    match _state(metric, kept["state"], tuple(kept["bounds"])):
        case Means() as state:
            return float(bounded.value(state.proof))
        case Counts() | Histogram() as state:
            return float(promotion.value(proof_policy(metric), state.proof))


def missing(kept: Kept) -> str:
    """Why there was no data last; empty when there was."""
    return _meter(kept).missing


@dataclass(frozen=True)
class Numbers:
    """What a sentence about a metric needs: seconds watched, n and k (or mean) of both arms, and what was counted."""

    seconds: float
    n: tuple[float, float]
    k: tuple[float, float]
    what: str = ""


def numbers(metric: SequentialMetric, kept: Kept) -> Numbers:
    """Totals since the canary takes part."""
    match _state(metric, kept["state"], tuple(kept["bounds"])):
        case Histogram() as state:
            totals, slow, at = state.guard.totals, state.guard.slow, guard.most_telling(state.guard)
            what = f"above {state.guard.thresholds_ms[at]:g}" if state.guard.thresholds_ms.size else "slow"
            return Numbers(float(totals[0]), _pair(totals[1:3]), _pair(slow[:, at]), what)
        case Means() as state:
            seconds, n_canary, sum_canary, n_stable, sum_stable = (float(value) for value in state.totals)
            means = sum_canary / max(n_canary, 1.0), sum_stable / max(n_stable, 1.0)
            return Numbers(seconds, (n_canary, n_stable), means)
        case Counts() as state:
            return Numbers(float(state.totals[0]), _pair(state.totals[1:3]), _pair(state.totals[3:5]))


def sentence(metric: SequentialMetric, kept: Kept) -> str:
    """The numbers of both arms, for a person."""
    seen = numbers(metric, kept)
    (n, m), (k, j) = seen.n, seen.k
    if metric.form is Form.MEAN:
        return f"canary {k:.4g} on average, stable {j:.4g} (of {metric.most:g} at most); {metric.margin:g} more allowed"
    against = metric.per or ("requests" if metric.source == GATEWAY else "instance-seconds")
    if metric.form is Form.HISTOGRAM:
        against, what = ("requests" if metric.source == GATEWAY else "events"), f" {seen.what}"
    else:
        what = ""
    times = f": {k / n * m / j:.2g} times as many" if j and n else ""
    return f"canary {k:,.0f}{what} in {n:,.0f} {against}, stable {j:,.0f} in {m:,.0f}{times}"


@lru_cache(maxsize=1024)
def count_policy(metric: SequentialMetric) -> StreamPolicy:
    """Rates above `margin` times stable's; or, where less is worse, below 1 / `margin` of it."""
    rules = shipped.count_policy(metric.margin)
    if metric.worse is Worse.MORE:
        return rules
    prior = Prior(tuple(1 / ratio for ratio in rules.prior.ratios), rules.prior.weights, rules.prior.at_start)
    return StreamPolicy(Kind.COUNTS, prior, 1 / metric.margin)


@lru_cache(maxsize=1024)
def mean_policy(metric: SequentialMetric, *, proof: bool = False) -> MeanPolicy:
    """Stable's mean and `margin`; of the proof, `worst_ratio` margins, looked at from above."""
    margin = -metric.worst_ratio * metric.margin if proof else metric.margin
    return MeanPolicy(high=metric.most, margin=margin)


@lru_cache(maxsize=1024)
def proof_policy(metric: SequentialMetric) -> PromotionPolicy:
    """Of counts and histograms. Where less is worse, no absolute floor is good enough."""
    return PromotionPolicy(metric.worst_ratio, metric.floor if metric.worse is Worse.MORE else 0.0)


@lru_cache(maxsize=1024)
def guard_policy(metric: SequentialMetric, bounds: tuple[float, ...]) -> GuardPolicy:
    """The gateway's questions about latency, with the metric's own buckets."""
    return GuardPolicy(margin=metric.margin, bounds_ms=bounds, weights={shipped.LATENCY: 1.0})


def _state(metric: SequentialMetric, plain: Any, bounds: tuple[float, ...]) -> State:
    fresh = _opening(metric, bounds)
    return fresh if plain is None else codec.revive(fresh, plain)


@lru_cache(maxsize=1024)
def _opening(metric: SequentialMetric, bounds: tuple[float, ...]) -> State:
    proof = promotion.opening(proof_policy(metric))
    match metric.form:
        case Form.MEAN:
            bet = bounded.opening(mean_policy(metric))
            return Means(bet, bet, np.zeros(5))
        case Form.HISTOGRAM:
            return Histogram(guard.opening(guard_policy(metric, bounds)), proof)
        case _:
            return Counts(stream.opening(count_policy(metric)), proof, np.zeros(5))


def _meter(kept: Kept) -> Meter:
    return Meter(**kept["meter"])


def _plain(meter: Meter) -> dict[str, Any]:
    return {"last": meter.last, "sums": meter.sums, "seconds": meter.seconds, "missing": meter.missing}


def _pair(values: Array) -> tuple[float, float]:
    return float(values[0]), float(values[1])
