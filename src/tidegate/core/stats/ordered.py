"""Evidence from ordered categories (B): requests sorted into cells by latency, from fast to slow.

Two-sample e-values in the manner of Turner, Ly & Grunwald 2021 (arXiv 2106.02693), for whole histograms in place of one
threshold. The null: at every threshold, the canary's odds of being slower are at most `null_odds` = r0 times stable's.
A block's e-value is a product over requests, f(cell) for the canary's and g(cell) for stable's, f rising, g falling.

Why it is one: let s_j be stable's true shares beyond threshold j, h(s) = r0 s / (1 + (r0 - 1) s) the most that the null
allows the canary, and df_j, dg_j the steps of f and g there. By the inequality of the means, the expectation's root is
at most the mean of n_c E[f] and n_s E[g], and that is at most a constant + sum n_c df_j h(s_j) + n_s dg_j s_j: concave
in each s_j, because df_j >= 0. Any x may be chosen for its summit: dg_j = -(n_c / n_s) df_j h'(x_j) puts it there, and
E[f] = E[g] = 1 at x makes the bound 1. How well x is chosen decides how fast evidence grows, never whether it is valid.
With one threshold and r0 = 1 this is the two-sample Bernoulli e-value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.core.stats.arrays import Array

Numbers: TypeAlias = npt.NDArray[np.intp]

LEAST_CELL = 1e-12
MOST_STAKE = 0.98


@dataclass(frozen=True)
class Slower:
    """One way to be slower: all odds `odds` times what they were, and `share` of the requests moved beyond threshold
    number `beyond` (from 0)."""

    odds: float
    share: float = 0.0
    beyond: int = 0


def log_factors(
    ways: tuple[Slower, ...], null_odds: float, beyond: Array, n_canary: Array, n_stable: Array
) -> tuple[Array, Array]:
    """log f and log g, each (ways, cells, ...). `beyond` (thresholds, ...): stable's shares beyond each threshold,
    falling, from earlier blocks only. Both arms must have requests."""
    worse = _worse(ways, beyond)
    x = lifted(worse, 1.0 / null_odds) if null_odds != 1.0 else worse.copy()
    x -= beyond
    x *= n_canary / (n_canary + n_stable)
    x += beyond
    lift = 1.0 + (null_odds - 1.0) * x
    null = cells(null_odds * x / lift if null_odds != 1.0 else x)
    both = np.empty((2, *null.shape))
    f, g = both
    np.divide(cells(worse), null, out=f)
    np.maximum.accumulate(f, axis=1, out=f)
    f /= np.add.reduce(null * f, axis=1, keepdims=True)
    falls = f[:, 1:] - f[:, :-1]
    falls *= n_canary / n_stable * null_odds
    if null_odds != 1.0:
        lift *= lift
        falls /= lift
    x *= falls
    first = g[:, :1]
    np.add.reduce(x, axis=1, keepdims=True, out=first)
    first += 1.0
    np.subtract(first, np.add.accumulate(falls, axis=1), out=g[:, 1:])
    # A bet that could lose more than everything is made smaller; f and g stay what they must be.
    stake = np.minimum(1.0, MOST_STAKE / np.maximum(1.0 - g[:, -1:], MOST_STAKE))
    both -= 1.0
    both *= stake
    both += 1.0
    np.log(both, out=both)
    return f, g


def scores(ways: tuple[Slower, ...], null_odds: float, beyond: Array) -> Array:
    """What a request in each cell is worth to each way, (ways, cells): log f where the canary's part is small."""
    return np.asarray(np.log(cells(_worse(ways, beyond)) / cells(lifted(beyond[None], null_odds))))


def cells(beyond: Array) -> Array:
    """Shares of the cells between the thresholds (ways, cells, ...), from those beyond (ways, thresholds, ...)."""
    out = np.empty((beyond.shape[0], beyond.shape[1] + 1, *beyond.shape[2:]))
    out[:, 0] = 1.0 - beyond[:, 0]
    np.subtract(beyond[:, :-1], beyond[:, 1:], out=out[:, 1:-1])
    out[:, -1] = beyond[:, -1]
    return np.maximum(out, LEAST_CELL, out=out)


def lifted(share: Array, odds: float | Array) -> Array:
    """The share whose odds are `odds` times those of `share`."""
    if isinstance(odds, float) and odds == 1.0:
        return share
    return np.asarray(odds * share / (1.0 + (odds - 1.0) * share))


def _worse(ways: tuple[Slower, ...], beyond: Array) -> Array:
    """Shares of the canary beyond the thresholds in each way, (ways, thresholds, ...)."""
    odds, odds_less_1, share, number, start = _columns(ways, beyond.ndim)
    base = odds * beyond
    base /= 1.0 + odds_less_1 * beyond
    within = base / base[number, start][:, None]
    np.minimum(1.0, within, out=within)
    within -= base
    within *= share
    within += base
    return np.asarray(within)


@cache
def _columns(ways: tuple[Slower, ...], dimensions: int) -> tuple[Array, Array, Array, Numbers, Numbers]:
    """Odds, odds - 1, share, number and `beyond` of each way; the first three as columns beside so many dimensions."""
    column = (len(ways), *[1] * dimensions)
    odds = np.array([way.odds for way in ways], np.float64).reshape(column)
    share = np.array([way.share for way in ways], np.float64).reshape(column)
    number, start = np.arange(len(ways), dtype=np.intp), np.array([way.beyond for way in ways], np.intp)
    return odds, odds - 1.0, share, number, start
