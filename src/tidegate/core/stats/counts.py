"""Evidence from counts (A): errors, restarts, missed heartbeats, conversions.

Given the events of both arms in a block, the canary's part of them is binomial with theta_r = n_c r / (n_c r + n_s),
r the ratio of the rates: whatever the rate itself does drops out. The same product is an e-value for Bernoulli events
without conditioning, in both directions, because log(1 + x) <= x.
Lindon & Malek 2022, arXiv 2011.03567; Lindon, Sanden & Shirikian 2022, arXiv 2205.14762.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tidegate.core.stats.arrays import Array, constant
from tidegate.core.stats.blocks import Block

NONE = 1e-300  # makes 0 / 0 a 1, and changes nothing else


def log_ratio(block: Block, ratios: tuple[float, ...], null_ratio: float) -> Array:
    """log of P(block | r) / P(block | null_ratio) for each r of `ratios` (last axis). Zero where nothing happened."""
    n_canary, n_stable = block.n_canary[..., None], block.n_stable[..., None]
    # The canary's events cannot be weighed without exposure of it: then the block says nothing.
    k_canary = (block.k_canary * (block.n_canary > 0.0))[..., None]
    k_both = (block.k_canary + block.k_stable)[..., None]
    shrink = np.log((n_canary * null_ratio + n_stable + NONE) / (n_canary * constant(ratios) + n_stable + NONE))
    return np.asarray(k_canary * _weights(ratios, null_ratio) + k_both * shrink)


@cache
def _weights(ratios: tuple[float, ...], null_ratio: float) -> Array:
    """What an event of the canary's says for each ratio."""
    return np.asarray(np.log(constant(ratios) / null_ratio))
