"""Errors and latency of one canary against stable, from the gateway's blocks: the shipped questions, put together.

A guard learns stable's past, fixes the latency thresholds from it, takes one block after the other, and says how much
evidence there is that the canary is worse, and that it is good enough, with the numbers. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tidegate.core.stats import dispersion, histograms, power, promotion, quantiles, shipped, stream
from tidegate.core.stats.arrays import Array
from tidegate.core.stats.blocks import block
from tidegate.core.stats.histograms import HistogramPolicy, Histograms
from tidegate.core.stats.promotion import Promotion, PromotionPolicy
from tidegate.core.stats.stream import Stream, StreamPolicy
from tidegate.model.observation import LATENCY_BOUNDS_MS, Traffic

ENOUGH_S = 10.0
SECONDS, N_CANARY, N_STABLE, K_CANARY, K_STABLE = range(5)


@dataclass(frozen=True)
class GuardPolicy:
    """`margin` is r0; roll back at evidence 1 / `alpha`. `weights`: what is asked, with its part of the evidence.

    Latency is judged once stable has had `least_requests`; until then its histogram fades, half in `memory_s`.
    """

    margin: float = shipped.DEFAULT_MARGIN
    alpha: float = 0.01
    bounds_ms: tuple[float, ...] = LATENCY_BOUNDS_MS
    least_requests: int = 200
    memory_s: float = 900.0
    weights: Mapping[str, float] = field(default_factory=lambda: shipped.WEIGHTS)
    promotion: PromotionPolicy = field(default_factory=PromotionPolicy)
    errors: StreamPolicy = field(init=False, repr=False)
    latency: HistogramPolicy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "errors", shipped.count_policy(self.margin))
        object.__setattr__(self, "latency", shipped.latency_policy(self.margin))

    @property
    def limit(self) -> float:
        """The evidence that rolls back."""
        return 1.0 / self.alpha


@dataclass(frozen=True)
class Guard:
    """The state; `codec` keeps it. `past`: stable's requests a bucket; `thresholds_ms`: none, or one a quantile;
    `totals`: seconds, requests and errors of both arms; `slow`: (canary, stable) requests above each threshold."""

    past: Array
    thresholds_ms: Array
    errors: Stream
    latency: Histograms
    promotion: Promotion
    totals: Array
    slow: Array


def opening(policy: GuardPolicy) -> Guard:
    """Before anything was seen."""
    return Guard(
        past=np.zeros(len(policy.bounds_ms) + 1),
        thresholds_ms=np.zeros(0),
        errors=stream.opening(policy.errors),
        latency=histograms.opening(policy.latency),
        promotion=promotion.opening(policy.promotion),
        totals=np.zeros(5),
        slow=np.zeros((2, len(shipped.QUANTILES))),
    )


def learn(policy: GuardPolicy, state: Guard, seconds: float, stable: Traffic) -> Guard:
    """A block of stable alone, before the canary takes traffic."""
    state = _remember(policy, state, seconds, stable)
    one = block(0, stable.requests, 0, min(stable.errors, stable.requests), seconds)
    state = replace(
        state,
        errors=stream.learn(policy.errors, state.errors, one),
        promotion=promotion.learn(policy.promotion, state.promotion, one),
    )
    cells = _cells(policy, state, Traffic(), stable)
    if cells is None:
        return state
    return replace(state, latency=histograms.learn(policy.latency, state.latency, np.asarray(seconds), cells[1]))


def update(policy: GuardPolicy, state: Guard, seconds: float, canary: Traffic, stable: Traffic) -> Guard:
    """A block of both arms. A block of stable alone teaches what is normal, and is no evidence."""
    errors = (min(canary.errors, canary.requests), min(stable.errors, stable.requests))
    one = block(canary.requests, stable.requests, *errors, seconds)
    so_far = _values(policy, state)
    after = replace(
        state,
        errors=stream.update(policy.errors, state.errors, one, shipped.beside(so_far, shipped.ERRORS, policy.weights)),
        promotion=promotion.update(policy.promotion, state.promotion, one),
        totals=state.totals + np.array([seconds, canary.requests, stable.requests, *errors]),
    )
    cells = _cells(policy, state, canary, stable)
    if cells is None:
        return _remember(policy, after, seconds, stable)
    return replace(
        after,
        latency=histograms.update(
            policy.latency,
            state.latency,
            np.asarray(seconds),
            (cells[0], cells[1]),
            shipped.beside(so_far, shipped.LATENCY, policy.weights),
        ),
        slow=state.slow + cells.sum(axis=-1, keepdims=True) - np.cumsum(cells, axis=-1)[:, :-1],
    )


def next_canary(policy: GuardPolicy, state: Guard) -> Guard:
    """New evidence for a new canary. What is known of stable stays, with the thresholds that it is about."""
    fresh = opening(policy)
    old = state.promotion.against_stable.past
    return replace(
        fresh,
        past=state.past,
        thresholds_ms=state.thresholds_ms,
        errors=replace(fresh.errors, past=state.errors.past),
        latency=replace(fresh.latency, past=state.latency.past, recent=state.latency.recent),
        promotion=replace(fresh.promotion, against_stable=replace(fresh.promotion.against_stable, past=old)),
    )


def evidence_by_metric(policy: GuardPolicy, state: Guard) -> dict[str, float]:
    """E of each metric that is asked about."""
    return {name: float(e) for name, e in _values(policy, state).items()}


def worse(policy: GuardPolicy, state: Guard) -> float:
    """The shared evidence that the canary is worse. Roll back at `policy.limit`."""
    return float(shipped.shared(_values(policy, state), policy.weights))


def good_enough(policy: GuardPolicy, state: Guard) -> float:
    """The evidence on errors for promotion. Proven at 1 / policy.promotion.alpha."""
    return float(promotion.value(policy.promotion, state.promotion))


def most_telling(state: Guard) -> int:
    """The number of the latency threshold at which the arms differ most, in standard errors."""
    _, n_canary, n_stable, _, _ = state.totals
    n = np.array([[n_canary], [n_stable]])
    pooled = state.slow.sum(axis=0) / max(float(n.sum()), 1.0)
    error = np.sqrt(np.maximum(pooled * (1.0 - pooled), 1e-12) * (1.0 / np.maximum(n, 1.0)).sum())
    share = state.slow / np.maximum(n, 1.0)
    return int(np.argmax((share[0] - share[1]) / error))


def traffic(policy: GuardPolicy, state: Guard, part: float) -> power.Traffic | None:
    """What to expect of the next seconds when the canary has `part` of the requests: as much as both arms had, or
    stable alone before the canary; None where nothing was seen. Stable's share of errors is the floor at least."""
    past = state.errors.past
    elapsed, n_canary, n_stable, _, _ = (float(total) for total in state.totals)
    per_second = (
        (n_canary + n_stable) / elapsed
        if elapsed >= ENOUGH_S
        else dispersion.exposure_rate(policy.errors.dispersion, past)
    )
    if per_second <= 0.0:
        return None
    share = min(max(float(dispersion.rate(past)), policy.promotion.floor), 0.5)
    return power.Traffic(per_second, part, share, float(dispersion.phi(policy.errors.dispersion, past)))


def because(policy: GuardPolicy, state: Guard, instances: int = 0) -> str:
    """One sentence with the numbers of the metric that weighs most."""
    by_metric = evidence_by_metric(policy, state)
    name = max(by_metric, key=lambda metric: policy.weights[metric] * by_metric[metric])
    seconds, n_canary, n_stable, k_canary, k_stable = state.totals
    what = "errors"
    if name != shipped.ERRORS and state.thresholds_ms.size:
        at = most_telling(state)
        k_canary, k_stable = state.slow[:, at]
        what = f"slower than {state.thresholds_ms[at]:g} ms"
    times = ""
    if k_stable and n_canary:
        times = f": {k_canary / n_canary * n_stable / k_stable:.1f} times as many"
    alone = "; one instance, so a bad host cannot be told from a bad version" if instances == 1 else ""
    return (
        f"canary {k_canary:,.0f} {what} in {n_canary:,.0f} requests, stable {k_stable:,.0f} in {n_stable:,.0f}{times}; "
        f"evidence {worse(policy, state):,.3g} against a limit of {policy.limit:g}; seen after {seconds:,.0f} s{alone}"
    )


def _values(policy: GuardPolicy, state: Guard) -> dict[str, Array]:
    found = {
        shipped.ERRORS: stream.value(policy.errors, state.errors),
        shipped.LATENCY: histograms.value(policy.latency, state.latency),
    }
    return {name: found[name] for name in policy.weights}


def _remember(policy: GuardPolicy, state: Guard, seconds: float, stable: Traffic) -> Guard:
    """Stable's histogram, and the thresholds as soon as it holds enough."""
    if len(stable.latency) != len(policy.bounds_ms) + 1:
        return state
    past = state.past * 0.5 ** (seconds / policy.memory_s) + np.asarray(stable.latency, dtype=np.float64)
    chosen = state.thresholds_ms
    if not chosen.size and past.sum() >= policy.least_requests:
        chosen = np.array(quantiles.thresholds(policy.bounds_ms, past, shipped.QUANTILES))
    return replace(state, past=past, thresholds_ms=chosen)


def _cells(policy: GuardPolicy, state: Guard, canary: Traffic, stable: Traffic) -> Array | None:
    """Requests of (canary, stable) between the thresholds; None without thresholds, or without the histogram of an arm
    with requests. Thresholds are bucket bounds, so nothing is interpolated."""
    size = len(policy.bounds_ms) + 1
    if not state.thresholds_ms.size or any(arm.requests and len(arm.latency) != size for arm in (canary, stable)):
        return None
    counts = np.array([arm.latency or (0,) * size for arm in (canary, stable)], dtype=np.float64)
    ends = np.searchsorted(policy.bounds_ms, state.thresholds_ms) + 1
    beyond = counts.sum(axis=-1, keepdims=True) - np.cumsum(counts, axis=-1)[:, ends - 1]
    return np.asarray(-np.diff(beyond, axis=-1, prepend=counts.sum(axis=-1, keepdims=True), append=0.0))
