"""The Mann-Whitney test as Kayenta's judge computes it: normal approximation, continuity correction, roots by Brent.

The confidence interval is that of R's wilcox.test(exact = FALSE, conf.int = TRUE, tol.root = 1e-4): the shifts mu at
which the standardised rank sum of x - mu against y crosses the normal quantiles; the estimate (Hodges-Lehmann) is where
it crosses 0. The tolerance of the root is part of the result, so the same search with the same steps is made here.
Semantics read from spinnaker/kayenta a69573be (MannWhitney.scala); Brent 1973, chapter 4 ("zeroin").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tidegate.core.stats.arrays import Array

ROOT_TOLERANCE = 1e-4
MOST_STEPS = 1000
EPSILON = float(np.finfo(np.float64).eps)


class AllTiedError(ValueError):
    """Every observation is the same at some shift: there is no interval."""


@dataclass(frozen=True)
class Shift:
    """How much larger x is than y: confidence interval and Hodges-Lehmann estimate, in the metric's unit."""

    low: float
    high: float
    estimate: float


def ranks(values: Array) -> tuple[Array, Array]:
    """Ranks from 1, ties sharing their average; and the size of each group of ties."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    average = (last - sizes + 1 + last) / 2.0
    return average[group], sizes.astype(np.float64)


def standardised(shift: float, quantile: float, x: Array, y: Array) -> float:
    """The corrected, standardised rank sum of x - shift against y, less `quantile`. Falls as shift rises."""
    n, m = float(len(x)), float(len(y))
    rank, ties = ranks(np.concatenate((x - shift, y)))
    centred = float(rank[: len(x)].sum()) - n * (n + 1) / 2 - n * m / 2
    tied = float((ties**3 - ties).sum())
    sigma = math.sqrt((n * m / 12) * ((n + m + 1) - tied / ((n + m) * (n + m - 1))))
    if sigma == 0:
        raise AllTiedError("mann-whitney: all observations are tied, so no confidence interval exists")
    return (centred - 0.5 * float(np.sign(centred))) / sigma - quantile


def shift(x: Array, y: Array, confidence: float = 0.95) -> Shift:
    """The shift of x against y. Raises AllTiedError; both samples must hold at least one finite value."""
    lowest, highest = float(x.min() - y.max()), float(x.max() - y.min())
    quantile = NormalDist().inv_cdf((1.0 - confidence) / 2)

    def bound(at: float) -> float:
        first, last = standardised(lowest, at, x, y), standardised(highest, at, x, y)
        if first <= 0:
            return lowest
        if last >= 0:
            return highest
        return root(lambda mu: standardised(mu, at, x, y), (lowest, first), (highest, last))

    low, high = bound(-quantile), bound(quantile)
    ends = ((mu, standardised(mu, 0.0, x, y)) for mu in (lowest, highest))
    return Shift(low, high, root(lambda mu: standardised(mu, 0.0, x, y), *ends))


def root(f: Callable[[float], float], first: tuple[float, float], last: tuple[float, float]) -> float:
    """A zero of f between two points (x, f(x)), to ROOT_TOLERANCE, by Brent's method: inverse quadratic or linear
    interpolation where it converges, bisection otherwise. An end that is a zero is returned as it is."""
    (a, fa), (b, fb) = first, last
    if fa == 0.0:
        return a
    if fb == 0.0:
        return b
    c, fc = a, fa
    for _ in range(MOST_STEPS + 1):
        before = b - a
        if abs(fc) < abs(fb):  # b is the best guess
            a, b, c = b, c, b
            fa, fb, fc = fb, fc, fb
        tolerance = 2 * EPSILON * abs(b) + ROOT_TOLERANCE / 2
        step = (c - b) / 2
        if abs(step) <= tolerance or fb == 0.0:
            return b
        if abs(before) >= tolerance and abs(fa) > abs(fb):
            step = _interpolated(((a, fa), (b, fb), (c, fc)), before, tolerance, step)
        if abs(step) < tolerance:
            step = tolerance if step > 0 else -tolerance
        a, fa = b, fb
        b += step
        fb = f(b)
        if (fb > 0 and fc > 0) or (fb < 0 and fc < 0):
            c, fc = a, fa
    return b


def _interpolated(points: tuple[tuple[float, float], ...], before: float, tolerance: float, halving: float) -> float:
    """The interpolated step from b, where it stays well inside the bracket and shrinks fast enough; else `halving`."""
    (a, fa), (b, fb), (c, fc) = points
    width = c - b
    if a == c:
        slope = fb / fa
        p, q = width * slope, 1.0 - slope
    else:
        q, slope, ratio = fa / fc, fb / fc, fb / fa
        p = ratio * (width * q * (q - slope) - (b - a) * (slope - 1.0))
        q = (q - 1.0) * (slope - 1.0) * (ratio - 1.0)
    if p > 0.0:
        q = -q
    else:
        p = -p
    inside = p < (0.75 * width * q - abs(tolerance * q) / 2)
    return p / q if inside and p < abs(before * q / 2) else halving
