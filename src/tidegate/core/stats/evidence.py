"""The evidence process: a wealth that bets on ratios and on start times, and stays near 1 if the canary is no worse.

E = sum over ratios and start times of prior x likelihood ratio since that start. If the canary is no worse, E reaches
1 / alpha ever with probability alpha at most, however often one looks (Ville). Late onset (E in the specification):
part of the prior is held back and spent on later starts, so that a fault at minute 20 need not first pay back the
twenty good minutes before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate.core.stats.arrays import Array, constant

MOST = 1e300
MOST_LOG = 300.0


@dataclass(frozen=True)
class Prior:
    """What the wealth is bet on. `ratios` and their `weights` (sum 1); `at_start`: the part that bets from the first
    block on; the rest is spent as onset_s / (age + onset_s) falls, so half of it within `onset_s` seconds."""

    ratios: tuple[float, ...]
    weights: tuple[float, ...]
    at_start: float = 0.6
    onset_s: float = 1200.0

    def __post_init__(self) -> None:
        if len(self.ratios) != len(self.weights) or not self.ratios:
            raise ValueError("prior: as many weights as ratios, at least one")
        if abs(sum(self.weights) - 1.0) > 1e-9 or min(self.weights) < 0:
            raise ValueError(f"prior: weights must be positive and sum to 1, got {sum(self.weights)}")
        if not 0.0 < self.at_start <= 1.0 or self.onset_s <= 0:
            raise ValueError("prior: at_start must lie in (0, 1], onset_s above 0")


@dataclass(frozen=True)
class Evidence:
    """`wealth[..., r]` bet on each ratio; `age_s` seconds since the first block: they fix what is still held back."""

    wealth: Array
    age_s: Array


def opening(prior: Prior, shape: tuple[int, ...]) -> Evidence:
    """E = 1."""
    weights = np.asarray(prior.weights) * prior.at_start
    return Evidence(wealth=np.broadcast_to(weights, (*shape, len(weights))).copy(), age_s=np.zeros(shape))


def update(
    prior: Prior, state: Evidence, log_ratio: Array, seconds: Array, cap: float, beside: Array | float = 0.0
) -> Evidence:
    """One block: spend what is due, then multiply by the block's likelihood ratios (last axis: ratios).

    E with what is `beside` it, and what is bet on any one ratio, ends at `cap` times what they were or below: a process
    that stays below one that keeps the promise keeps it as well.
    """
    age, held = state.age_s + seconds, held_back(prior, state.age_s)
    left = held_back(prior, age)
    most = np.asarray(cap * (np.add.reduce(state.wealth, axis=-1) + held + beside))
    wealth = state.wealth + (held - left)[..., None] * constant(prior.weights)
    wealth *= np.exp(np.minimum(log_ratio, MOST_LOG))
    np.minimum(wealth, np.minimum(most, MOST)[..., None], out=wealth)
    room = (most - left) / np.maximum(np.add.reduce(wealth, axis=-1), 1e-300)
    wealth *= np.minimum(room, 1.0)[..., None]
    return Evidence(wealth, age)


def held_back(prior: Prior, age_s: Array) -> Array:
    """The part of the prior that waits for later starts."""
    return (1.0 - prior.at_start) * (prior.onset_s / (prior.onset_s + age_s))


def value(prior: Prior, state: Evidence) -> Array:
    """E, one a stream."""
    return np.asarray(np.add.reduce(state.wealth, axis=-1) + held_back(prior, state.age_s))
