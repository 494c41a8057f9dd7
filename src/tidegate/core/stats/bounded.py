"""Means of bounded values (D): CPU and memory share, by betting (Waudby-Smith & Ramdas 2024, arXiv 2010.09686).

The null is "the canary's conditional mean is at most stable's plus a margin". Where both arms have a sample the bet is
on their difference, so that what hits both is nobody's fault; else stable's mean from the past stands in. The wealth is
the product of 1 + lambda (x - m), lambda from the past only, averaged over a few caps on lambda. Samples that follow
each other (memory that creeps up) are not independent; the guarantee is about the conditional mean, so take them a few
seconds apart at least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate.core.stats.arrays import Array, ArrayLike, as_array
from tidegate.core.stats.evidence import MOST


@dataclass(frozen=True)
class MeanPolicy:
    """Values are scaled to `low`..`high` (outside is clipped). `margin` is in the same unit, added to stable's mean.
    `caps`: the largest parts of the possible bet that are tried. `prior` samples of spread 1/2 open the estimates."""

    low: float = 0.0
    high: float = 1.0
    margin: float = 0.05
    caps: tuple[float, ...] = (0.1, 0.3, 0.75)
    cap: float = 4.0
    prior: float = 2.0
    memory: float = 0.995


@dataclass(frozen=True)
class MeanState:
    """`wealth[..., cap]`; sums of how far the canary was beyond the null; stable's fading sum and weight. Scaled."""

    wealth: Array
    count: Array
    total: Array
    squares: Array
    stable_total: Array
    stable_weight: Array


def opening(policy: MeanPolicy, shape: tuple[int, ...] = ()) -> MeanState:
    """E = 1."""
    caps = len(policy.caps)
    return MeanState(np.full((*shape, caps), 1.0 / caps), *(np.zeros(shape) for _ in range(5)))


def update(policy: MeanPolicy, state: MeanState, canary: ArrayLike, stable: ArrayLike) -> MeanState:
    """One sample of each arm (a mean over the arm's instances); NaN where there is none. Nothing is bet before stable
    was seen, nor at a sample that is missing."""
    width = policy.high - policy.low
    x, s = ((np.clip(as_array(v), policy.low, policy.high) - policy.low) / width for v in (canary, stable))
    margin, stable_seen = policy.margin / width, np.isfinite(s)
    past = np.clip(stable_mean(state) + margin, 1e-9, 1.0 - 1e-9)
    seen = np.isfinite(x) & (stable_seen | (state.stable_weight > 0))
    beyond = np.where(seen, x - np.where(stable_seen, s + margin, past), 0.0)
    least = np.where(stable_seen, max(1.0 + margin, 1e-9), past)  # beyond is -least or more

    mean = state.total / (state.count + policy.prior)
    variance = (state.squares + policy.prior * 0.25) / (state.count + policy.prior)
    bet = np.maximum(mean, 0.0) / (variance + mean**2)
    bet = np.minimum(bet[..., None], np.asarray(policy.caps) / least[..., None])
    factor = np.minimum(1.0 + bet * beyond[..., None], policy.cap)

    fade = np.where(stable_seen, policy.memory, 1.0)
    return MeanState(
        wealth=np.minimum(state.wealth * factor, MOST),
        count=state.count + seen,
        total=state.total + beyond,
        squares=state.squares + np.where(seen, (beyond - mean) ** 2, 0.0),
        stable_total=state.stable_total * fade + np.where(stable_seen, s, 0.0),
        stable_weight=state.stable_weight * fade + stable_seen,
    )


def stable_mean(state: MeanState) -> Array:
    """Stable's recent mean, scaled to 0..1; 0 where nothing was seen."""
    return np.asarray(state.stable_total / np.maximum(state.stable_weight, 1e-300))


def value(state: MeanState) -> Array:
    """E."""
    return np.asarray(state.wealth.sum(axis=-1))
