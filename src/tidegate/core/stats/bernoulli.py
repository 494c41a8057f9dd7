"""Evidence from shares that need not be small (B): requests slower than a threshold, missed objectives.

Two-sample Bernoulli e-values of Turner, Ly & Grunwald 2021 (arXiv 2106.02693), with a margin: the alternative pair is
(odds x stable's past odds, stable's past share), the null's representative is the pair with odds ratio `null_odds` and
the same expected number of events. For null_odds >= 1 the null is convex, and the ratio is an e-value for all of it:
its logarithm's expectation bound is d ((t_c - t_c0) / v_c0 - (t_s - t_s0) / v_s0), at most 0 below a concave curve.
"""

from __future__ import annotations

import numpy as np

from tidegate.core.stats.arrays import Array
from tidegate.core.stats.blocks import Block

SMALLEST_SHARE = 1e-6


def log_ratio(block: Block, odds: Array, null_odds: float, stable_share: Array) -> Array:
    """log e-value of a block for each odds ratio of `odds` (last axis, each above `null_odds` >= 1).

    `stable_share` (one a stream) must come from earlier blocks only.
    """
    n_canary, n_stable = block.n_canary[..., None], block.n_stable[..., None]
    share = np.clip(stable_share, SMALLEST_SHARE, 1.0 - SMALLEST_SHARE)[..., None]
    lift = 1.0 + (odds - 1.0) * share
    margin = null_odds - 1.0

    # x: the null's share of stable, with the alternative's expected number of events; a x^2 + b x = total.
    total = n_canary * (odds * share / lift) + n_stable * share
    b = n_canary * null_odds + n_stable - total * margin
    root = b + np.sqrt(b * b + 4.0 * margin * n_stable * total) if margin > 0.0 else 2.0 * b
    seen = (n_canary > 0) & (n_stable > 0)
    x = np.where(seen, 2.0 * total / np.maximum(root, 1e-300), share)

    events = (block.k_canary + block.k_stable)[..., None]
    others = n_canary + n_stable - events
    out = block.k_canary[..., None] * np.log(odds / null_odds)
    out = out + events * (np.log(share) - np.log(x))
    out += others * (np.log1p(-share) - np.log1p(-x))
    out += n_canary * np.log((1.0 + margin * x) / lift)
    return np.asarray(np.where(seen, out, 0.0))
