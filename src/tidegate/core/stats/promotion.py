"""Promotion is evidence too (F): it rejects "at least `worst_ratio` times worse than stable, and above the floor".

That null has two parts, and rejecting either rejects it: the ratio to stable (counts, bets on ratios below
`worst_ratio`), and an absolute floor (the canary's own share of events is below `floor`). Without the floor two
error-free arms would never prove anything; with it, requests without an event prove it: 919 of them reject a floor of
0.5 % at alpha = 0.01, since 0.995^919 < 0.01. Half the wealth goes to each part; alpha is 0.05 by default, because a
canary that is wrongly promoted at the floor does little harm and is still watched while it bakes. No traffic proves
nothing: E stays 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tidegate.core.stats import dispersion, stream
from tidegate.core.stats.arrays import Array
from tidegate.core.stats.blocks import Block
from tidegate.core.stats.evidence import MOST, Prior
from tidegate.core.stats.stream import Kind, Stream, StreamPolicy


@dataclass(frozen=True)
class PromotionPolicy:
    """`worst_ratio` r_max, `floor` an absolute share of events that is always good enough (0: none).

    `floor_shares`: parts of the floor that are bet on; the bet on 0 grows fastest and dies with the first event.
    """

    worst_ratio: float = 2.0
    floor: float = 0.005
    alpha: float = 0.05
    floor_weight: float = 0.5
    floor_shares: tuple[float, ...] = (0.0, 0.2, 0.5)
    ratios: StreamPolicy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.worst_ratio <= 1.0:
            raise ValueError(f"promotion: worst_ratio must be above 1, got {self.worst_ratio}")
        if not 0.0 <= self.floor < 1.0:
            raise ValueError(f"promotion: floor must be a share from 0 to below 1, got {self.floor}")
        bets = tuple(self.worst_ratio * part for part in (0.1, 0.5, 0.7))
        prior = Prior(bets, (0.2, 0.5, 0.3), at_start=1.0)
        object.__setattr__(self, "ratios", StreamPolicy(Kind.COUNTS, prior, self.worst_ratio))


@dataclass(frozen=True)
class Promotion:
    """`against_stable` is the stream on the ratio; `below_floor[..., i]` the wealth bet on each part of the floor."""

    against_stable: Stream
    below_floor: Array


def opening(policy: PromotionPolicy, shape: tuple[int, ...] = ()) -> Promotion:
    """E = 1."""
    count = len(policy.floor_shares)
    return Promotion(stream.opening(policy.ratios, shape), np.full((*shape, count), 1.0 / count))


def learn(policy: PromotionPolicy, state: Promotion, block: Block) -> Promotion:
    """Stable's history before the canary exists."""
    return Promotion(stream.learn(policy.ratios, state.against_stable, block), state.below_floor)


def update(policy: PromotionPolicy, state: Promotion, block: Block) -> Promotion:
    """One block. A block's factor on the floor is capped as everywhere, and to the power of 1 / phi: errors that come
    in bursts leave many requests clean that prove little (phi from the past only, G)."""
    wealth = state.below_floor
    if policy.floor > 0.0:
        shares = np.asarray(policy.floor_shares) * policy.floor
        events = np.minimum(block.k_canary, block.n_canary)[..., None]
        clean = block.n_canary[..., None] - events
        hit = np.where(events > 0, np.asarray(policy.floor_shares) ** np.where(events > 0, events, 1.0), 1.0)
        factor = hit * np.exp(clean * (np.log1p(-shares) - np.log1p(-policy.floor)))
        phi = np.maximum(dispersion.phi(policy.ratios.dispersion, state.against_stable.past), 1.0)
        factor = factor ** (1.0 / phi[..., None])
        wealth = np.minimum(wealth * np.minimum(factor, policy.ratios.cap), MOST)
    return Promotion(stream.update(policy.ratios, state.against_stable, block), wealth)


def value(policy: PromotionPolicy, state: Promotion) -> Array:
    """E against "worse than allowed". Promote at 1 / alpha."""
    ratio = stream.value(policy.ratios, state.against_stable)
    if policy.floor == 0.0:
        return ratio
    return np.asarray((1.0 - policy.floor_weight) * ratio + policy.floor_weight * state.below_floor.sum(axis=-1))


def clean_requests_needed(floor: float, alpha: float, weight: float = 1.0) -> int:
    """Requests without an event that reject `floor`, when `weight` of the wealth bets on none at all."""
    return math.ceil(math.log(1.0 / (alpha * weight)) / -math.log1p(-floor))
