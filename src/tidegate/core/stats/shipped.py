"""The shipped questions: which ratios are bet on for errors and for latency, and how the evidence is shared out.

Chosen by `make bench-decisions`, not by taste: few ratios, far apart (a bet on a doubling also finds a tripling),
because each further one costs all the others delay. docs/explanation/decisions.md shows what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tidegate.core.stats.arrays import Array
from tidegate.core.stats.evidence import Prior
from tidegate.core.stats.stream import Kind, StreamPolicy

DEFAULT_MARGIN = 1.25
AT_START = 0.9

ERRORS = "errors"
LATENCY = "latency"
LATENCY_TAIL = "latency_tail"

QUANTILES = (0.50, 0.75, 0.90)
"""Stable's past quantiles whose exceedance LATENCY watches: a shift of all requests."""
TAIL_QUANTILES = (0.95, 0.99, 0.999)
"""The same of LATENCY_TAIL: a few requests that became very slow."""

QUANTILE_WEIGHTS = (0.15, 0.4, 0.45)
TAIL_WEIGHTS = (0.1, 0.3, 0.6)

WEIGHTS: Mapping[str, float] = {ERRORS: 0.57, LATENCY: 0.31, LATENCY_TAIL: 0.12}
"""How much of the shared evidence each metric holds when all are on."""


def count_policy(margin: float = DEFAULT_MARGIN) -> StreamPolicy:
    """Errors and other rare events: is the canary's rate above `margin` times stable's?"""
    return StreamPolicy(Kind.COUNTS, Prior((1.5 * margin, 2.4, 5.0), (0.05, 0.55, 0.40), AT_START), margin)


def latency_policy(margin: float = DEFAULT_MARGIN) -> StreamPolicy:
    """Requests slower than stable's p50, p75 or p90: are the canary's odds of it above `margin` times stable's?"""
    return StreamPolicy(Kind.SHARES, Prior((1.4 * margin, 2.4, 8.0), (0.2, 0.5, 0.3), AT_START), margin)


def tail_policy(margin: float = DEFAULT_MARGIN) -> StreamPolicy:
    """The same at stable's p95 and p99, where a fault of few requests multiplies a small share."""
    return StreamPolicy(Kind.SHARES, Prior((2.6, 5.0, 25.0), (0.1, 0.45, 0.45), AT_START), margin)


def shared(values: Mapping[str, Array], weights: Mapping[str, float] = WEIGHTS) -> Array:
    """Evidence of several metrics as one: the weighted average of their e-values, an e-value under any dependence.

    The weights of the metrics in `values` are scaled to sum to 1; which metrics take part must be fixed beforehand.
    """
    total = sum(weights[name] for name in values)
    return np.asarray(sum(weights[name] / total * value for name, value in values.items()))
