"""A block: what the canary and stable did in one second, or in one gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate.core.stats.arrays import Array, ArrayLike, as_array


@dataclass(frozen=True)
class Block:
    """Counts of one block for any number of streams at once; every field has the same shape.

    `duration_s`: seconds covered (1, or the length of a gap). `n_*`: requests (or instance-seconds, heartbeats due:
    whatever exposes an arm to events). `k_*`: events among them. A block without events or requests is neutral.
    """

    duration_s: Array
    n_canary: Array
    n_stable: Array
    k_canary: Array
    k_stable: Array


def block(
    n_canary: ArrayLike, n_stable: ArrayLike, k_canary: ArrayLike, k_stable: ArrayLike, seconds: ArrayLike = 1.0
) -> Block:
    """A block from numbers or arrays; shapes are broadcast, and counts that make no sense are refused.

    Raises ValueError for negative or non-finite counts, and for a duration that is not positive: a wrong reading must
    be mended where it is read (a counter that was reset), never become evidence.
    """
    numbers = (seconds, n_canary, n_stable, k_canary, k_stable)
    plain = all(isinstance(one, float | int) for one in numbers)
    counts = np.array(numbers if plain else np.broadcast_arrays(*(as_array(one) for one in numbers)), np.float64)
    if not (counts.min() >= 0.0 and counts.max() < np.inf):
        for name, values in zip(("seconds", "n_canary", "n_stable", "k_canary", "k_stable"), counts, strict=True):
            if not np.all(np.isfinite(values)) or np.any(values < 0):
                raise ValueError(f"block: {name} must be finite and not negative, got {values.tolist()}")
    if counts[0].min() <= 0.0:
        raise ValueError("block: seconds must be positive: a gap has its length, a block of no time says nothing")
    return Block(*counts)
