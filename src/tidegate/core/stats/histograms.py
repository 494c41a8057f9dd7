"""A stream of histograms: is the canary slower than stable at any threshold by more than r0 in odds, over time?

The same care as in `stream`: evidence blocks that depend on numbers of requests only, stable's dispersion and shares
from the past, a cap on what one block may say. `ordered` has the bets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tidegate.core.stats import dispersion, evidence, ordered
from tidegate.core.stats.arrays import Array
from tidegate.core.stats.blocks import Block
from tidegate.core.stats.dispersion import Dispersion, DispersionPolicy
from tidegate.core.stats.evidence import Evidence, Prior
from tidegate.core.stats.ordered import Slower

NONE = np.zeros(())


@dataclass(frozen=True)
class HistogramPolicy:
    """The question and the caution. `ways` are what is bet on, with their `weights` (sum 1); `quantiles` are stable's
    nominal shares below the thresholds; `at_start` as in Prior, the rest as in StreamPolicy."""

    ways: tuple[Slower, ...]
    weights: tuple[float, ...]
    quantiles: tuple[float, ...]
    null_odds: float = 1.25
    at_start: float = 0.9
    cap: float = 4.0
    least_canary: float = 2.0
    longest_s: float = 10.0
    dispersion: DispersionPolicy = field(default_factory=DispersionPolicy)
    prior: Prior = field(init=False, repr=False)
    nominal: Array = field(init=False, repr=False)
    scores: Array = field(init=False, repr=False)
    squares: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        odds = tuple(way.odds for way in self.ways)
        object.__setattr__(self, "prior", Prior(odds, self.weights, self.at_start))
        beyond = 1.0 - np.asarray(self.quantiles)
        object.__setattr__(self, "nominal", ordered.cells(beyond[None])[0])
        object.__setattr__(self, "scores", ordered.scores(self.ways, self.null_odds, beyond))
        object.__setattr__(self, "squares", self.scores**2)


@dataclass(frozen=True)
class Histograms:
    """The state, O(1). `past`: dispersion of what stable's requests are worth to each way; `recent`: stable's requests
    a cell, fading; the evidence block under way: `seconds`, `canary` and `stable` requests a cell, and `phi` and
    `beyond` (stable's shares beyond each threshold) as known when it opened. Ways and cells are the first axis."""

    past: Dispersion
    recent: Array
    seconds: Array
    canary: Array
    stable: Array
    phi: Array
    beyond: Array
    evidence: Evidence


def opening(policy: HistogramPolicy, shape: tuple[int, ...] = ()) -> Histograms:
    """Before the first block: E = 1."""
    count, ways = len(policy.nominal), len(policy.ways)
    return Histograms(
        past=dispersion.opening((ways, *shape)),
        recent=np.zeros((count, *shape)),
        seconds=np.zeros(shape),
        canary=np.zeros((count, *shape)),
        stable=np.zeros((count, *shape)),
        phi=np.ones((ways, *shape)),
        beyond=np.zeros((count - 1, *shape)),
        evidence=evidence.opening(policy.prior, shape),
    )


def learn(policy: HistogramPolicy, state: Histograms, seconds: Array, stable: Array) -> Histograms:
    """Stable's history before the canary exists: dispersion and shares, no evidence. `stable`: requests a cell,
    (cells, ...)."""
    past, recent = _learned(policy, state, seconds, stable, _shares(policy, state))
    return replace(state, past=past, recent=recent)


def _learned(
    policy: HistogramPolicy, state: Histograms, seconds: Array, stable: Array, share: Array
) -> tuple[Dispersion, Array]:
    """`past` and `recent` with one block more."""
    mean = _worth(policy.scores, share)
    spread = _worth(policy.squares, share) - mean * mean
    seen = Block(seconds, NONE, np.add.reduce(stable), NONE, _worth(policy.scores, stable))
    recent = state.recent * np.exp2(seconds * (-1.0 / policy.dispersion.rate_memory_s))
    recent += stable
    return dispersion.learn(policy.dispersion, state.past, seen, spread), recent


def update(
    policy: HistogramPolicy, state: Histograms, seconds: Array, arms: tuple[Array, Array], beside: Array | float = 0.0
) -> Histograms:
    """One 1-s block or gap. What the block says of stable counts for later blocks only. `arms`: requests a cell of
    canary and stable; `beside` as in stream.update."""
    canary, stable = arms
    share = _shares(policy, state)
    past, recent = _learned(policy, state, seconds, stable, share)
    known = dispersion.known(policy.dispersion, state.past)[0]
    fresh = state.seconds == 0.0
    phi = np.where(fresh, dispersion.phi(policy.dispersion, state.past), state.phi)
    beyond = np.where(fresh, _beyond(share), state.beyond)
    duration = state.seconds + seconds * known
    canary = state.canary + canary * known
    stable = state.stable + stable * known

    n_canary, n_stable = np.add.reduce(canary), np.add.reduce(stable)
    ripe = (n_canary >= policy.least_canary) | (duration >= policy.longest_s)
    log_ratio = np.zeros((*n_canary.shape, len(policy.ways)))
    tell = ripe & (n_canary > 0.0) & (n_stable > 0.0)
    if tell.any():
        which = ... if tell.ndim < 2 and tell.all() else tell
        f, g = ordered.log_factors(policy.ways, policy.null_odds, beyond[:, which], n_canary[which], n_stable[which])
        f *= canary[:, which]
        g *= stable[:, which]
        f += g
        log_ratio[which] = (np.add.reduce(f, axis=1) / phi[:, which]).T
    spent, unripe = np.where(ripe, duration, 0.0), ~ripe
    after = evidence.update(policy.prior, state.evidence, log_ratio, spent, policy.cap, beside)
    return Histograms(past, recent, duration * unripe, canary * unripe, stable * unripe, phi, beyond, after)


def value(policy: HistogramPolicy, state: Histograms) -> Array:
    """E of each stream."""
    return evidence.value(policy.prior, state.evidence)


def _worth(scores: Array, requests: Array) -> Array:
    """(ways, ...): what requests in the cells are worth to each way."""
    return np.asarray(scores @ requests.reshape(len(requests), -1)).reshape((len(scores), *requests.shape[1:]))


def _shares(policy: HistogramPolicy, state: Histograms) -> Array:
    """Stable's recent shares of the cells; one request's worth of nominal shares stands in for what was not seen."""
    nominal = policy.nominal.reshape((-1, *[1] * state.seconds.ndim))
    return np.asarray((state.recent + nominal) / (np.add.reduce(state.recent) + 1.0))


def _beyond(share: Array) -> Array:
    return np.add.accumulate(share[:0:-1])[::-1]
