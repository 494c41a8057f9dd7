"""Histograms: bands for display (C), and the thresholds at which latency is judged (B)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tidegate.core.stats.arrays import Array, ArrayLike, as_array


def band_width(n: float, alpha: float = 0.05) -> float:
    """Half-width of a band around a distribution function that holds at all n at once: sup |F_hat - F| is below
    0.85 sqrt((ln ln(e n) + 0.8 ln(1612 / alpha)) / n) with probability 1 - alpha (Howard & Ramdas 2022)."""
    if n < 1:
        return 1.0
    return min(1.0, 0.85 * math.sqrt((math.log(math.log(math.e * n)) + 0.8 * math.log(1612 / alpha)) / n))


def quantile_band(
    bounds: Sequence[float], counts: ArrayLike, quantile: float, alpha: float = 0.05
) -> tuple[float, float]:
    """Where the quantile may lie: bucket bounds (the metric's unit), 0 and inf where the data leave it open.

    `counts`: requests a bucket, one more than `bounds` (the last bucket has no upper bound).
    """
    n, share = _cumulative(bounds, counts)
    width = band_width(n, alpha)
    below = [bound for bound, at in zip(bounds, share, strict=True) if at + width < quantile]
    above = [bound for bound, at in zip(bounds, share, strict=True) if at - width >= quantile]
    return (max(below, default=0.0), min(above, default=math.inf)) if n else (0.0, math.inf)


def slower_than(bounds: Sequence[float], counts: ArrayLike, thresholds: Sequence[float]) -> Array:
    """How many requests were slower than each threshold, which must be bucket bounds: exact, nothing interpolated."""
    values = as_array(counts)
    tail = values.sum(axis=-1, keepdims=True) - np.cumsum(values, axis=-1)
    return np.asarray(tail[..., [list(bounds).index(threshold) for threshold in thresholds]])


def thresholds(bounds: Sequence[float], past: ArrayLike, quantiles: Sequence[float]) -> tuple[float, ...]:
    """The bucket bounds nearest (in log-odds) to stable's past quantiles; () without a past.

    Quantiles that share a nearest bound share the threshold too: the result has one entry a quantile.
    """
    n, share = _cumulative(bounds, past)
    if not n:
        return ()
    # Half a request is added on both sides, so that the emptiest buckets have odds as well.
    odds = np.log((share * n + 0.5) / ((1.0 - share) * n + 0.5))
    wanted = np.log(as_array(quantiles) / (1.0 - as_array(quantiles)))
    return tuple(float(bounds[int(np.argmin(np.abs(odds - w)))]) for w in wanted)


def _cumulative(bounds: Sequence[float], counts: ArrayLike) -> tuple[float, Array]:
    values = as_array(counts)
    if values.shape != (len(bounds) + 1,):
        raise ValueError(f"histogram: {len(bounds)} bounds need {len(bounds) + 1} counts, got {values.shape}")
    n = float(values.sum())
    return n, np.cumsum(values)[:-1] / max(n, 1.0)
