"""The shipped questions: which ratios are bet on for errors and for latency, and how the evidence is shared out.

Chosen by `make bench-decisions`, not by taste: few ratios, far apart (a bet on a doubling also finds a tripling), because
each further one costs all the others delay. docs/explanation/decisions.md shows what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tidegate.core.stats.arrays import Array
from tidegate.core.stats.evidence import Prior
from tidegate.core.stats.stream import Kind, StreamPolicy

DEFAULT_MARGIN = 1.25
AT_START = 0.85

ERRORS = "errors"
LATENCY = "latency"
LATENCY_TAIL = "latency_tail"

QUANTILES = (0.50, 0.75, 0.90)
"""Stable's past quantiles whose exceedance LATENCY watches: a shift of all requests."""
TAIL_QUANTILES = (0.95, 0.99)
"""The same of LATENCY_TAIL: a few requests that became very slow."""

QUANTILE_WEIGHTS = (0.3, 0.5, 0.2)
TAIL_WEIGHTS = (0.2, 0.8)

WEIGHTS: Mapping[str, float] = {ERRORS: 0.5, LATENCY: 0.25, LATENCY_TAIL: 0.25}
"""How much of the shared evidence each metric holds when all are on."""


def count_policy(margin: float = DEFAULT_MARGIN) -> StreamPolicy:
    """Errors and other rare events: is the canary's rate above `margin` times stable's?"""
    return StreamPolicy(Kind.COUNTS, Prior((1.4 * margin, 2.0 * margin ** 0.25, 5.0, 20.0), (0.08, 0.42, 0.35, 0.15), AT_START), margin)


def latency_policy(margin: float = DEFAULT_MARGIN) -> StreamPolicy:
    """The share of requests slower than stable's p50, p75 or p90: are the canary's odds above `margin` times stable's?"""
    return StreamPolicy(Kind.SHARES, Prior((1.3 * margin, 1.9 * margin ** 0.25, 8.0), (0.15, 0.6, 0.25), AT_START), margin)


def tail_policy(margin: float = DEFAULT_MARGIN) -> StreamPolicy:
    """The same at stable's p95 and p99, where a fault of few requests multiplies a small share."""
    return StreamPolicy(Kind.SHARES, Prior((2.0 * margin ** 0.25, 4.0), (0.25, 0.75), AT_START), margin)


def shared(values: Mapping[str, Array], weights: Mapping[str, float] = WEIGHTS) -> Array:
    """Evidence of several metrics as one: the weighted average of their e-values, an e-value under any dependence.

    The weights of the metrics in `values` are scaled to sum to 1; which metrics take part must be fixed beforehand.
    """
    total = sum(weights[name] for name in values)
    return np.asarray(sum(weights[name] / total * value for name, value in values.items()))
