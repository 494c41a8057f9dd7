"""The shipped questions: which ratios are bet on for errors and for latency, and how the evidence is shared out.

Chosen by `make bench-decisions`, not by taste: few ratios, far apart (a bet on a doubling also finds a tripling),
because each further one costs all the others delay. docs/explanation/decisions.md shows what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tidegate.core.stats.arrays import Array
from tidegate.core.stats.dispersion import DispersionPolicy
from tidegate.core.stats.evidence import Prior
from tidegate.core.stats.histograms import HistogramPolicy
from tidegate.core.stats.ordered import Slower
from tidegate.core.stats.stream import Kind, StreamPolicy

DEFAULT_MARGIN = 1.25
AT_START = 0.89

ERRORS = "errors"
LATENCY = "latency"

QUANTILES = (0.50, 0.75, 0.90, 0.95, 0.99, 0.999)
"""Stable's past quantiles that part fast requests from slow ones."""

WEIGHTS: Mapping[str, float] = {ERRORS: 0.83, LATENCY: 0.17}
"""How much of the shared evidence each metric holds when all are on. Latency needs less: every request has one."""


COUNTS_UNKNOWN = DispersionPolicy(least_s=10.0, opening_phi=2.5, opening_s=60.0)
"""Errors of a stable that was never watched: it takes fewer seconds to tell how they come than to see pauses."""


def count_policy(margin: float = DEFAULT_MARGIN) -> StreamPolicy:
    """Errors and other rare events: is the canary's rate above `margin` times stable's?"""
    prior = Prior((2.1, 4.0 * margin), (0.46, 0.54), AT_START)
    return StreamPolicy(Kind.COUNTS, prior, margin, dispersion=COUNTS_UNKNOWN)


def latency_policy(margin: float = DEFAULT_MARGIN) -> HistogramPolicy:
    """Requests slower than stable's quantiles: are the canary's odds of it above `margin` times stable's anywhere?

    All may be slower (a little, a lot), or a few may be very slow (beyond p99, beyond p99.9).
    """
    ways = (Slower(1.8), Slower(4.0), Slower(margin, 0.02, beyond=4), Slower(margin, 0.01, beyond=5))
    return HistogramPolicy(ways, (0.28, 0.25, 0.05, 0.42), QUANTILES, margin, AT_START)


def shared(values: Mapping[str, Array], weights: Mapping[str, float] = WEIGHTS) -> Array:
    """Evidence of several metrics as one: the weighted average of their e-values, an e-value under any dependence.

    The weights of the metrics in `values` are scaled to sum to 1; which metrics take part must be fixed beforehand.
    """
    total = sum(weights[name] for name in values)
    return np.asarray(sum(weights[name] / total * value for name, value in values.items()))


def beside(values: Mapping[str, Array], name: str, weights: Mapping[str, float] = WEIGHTS) -> Array:
    """What the metrics other than `name` add to the shared evidence, in units of that metric's own weight."""
    share = weights.get(name, 1.0)
    return np.asarray(sum(weights[other] / share * e for other, e in values.items() if other != name))
