"""Robustness (G): how much more stable's counts vary than chance alone would have them.

Real errors come in bursts and real latency in pauses. An evidence that takes each event for a fresh coin toss is then
overconfident; dividing its logarithm by the dispersion phi = variance / mean puts that right. phi is taken from the
past only, so an evidence process stays one: E[LR^(1/phi)] <= E[LR]^(1/phi) <= 1 for a predictable phi >= 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tidegate.core.stats.arrays import Array
from tidegate.core.stats.blocks import Block

# Rows of Dispersion.sums. `squares / expected` is the dispersion at the scale of one block, `*_coarse` at the scale of
# `coarse_s`; `events / exposure` is stable's recent rate; `open_*` is the coarse sum under way.
SQUARES, EXPECTED, SQUARES_COARSE, EXPECTED_COARSE, SECONDS, EVENTS, EXPOSURE = range(7)
OPEN_SURPRISE, OPEN_EXPECTED, OPEN_SECONDS = range(3)


@dataclass(frozen=True)
class DispersionPolicy:
    """How stable's recent past is remembered.

    `memory_s`: half-life of the dispersion. `rate_memory_s`: half-life of the rate it is measured against, short, so
    that what both arms share (an incident, the daily cycle) moves the rate and not phi for long. `coarse_s`: a second
    scale, that sees what stays bad for several blocks (pauses, retries). `caution`: an estimate counts less this many
    of its standard errors, so that chance alone does not slow a quiet service down. `prior_events`: the weight, in
    expected events, of the opening guess that there is no dispersion. `least_s`: seconds of stable's past without which
    nothing is evidence. `opening_phi`: the least dispersion assumed at the beginning, falling to 1 at `opening_s`.
    """

    memory_s: float = 900.0
    rate_memory_s: float = 180.0
    coarse_s: float = 10.0
    caution: float = 1.0
    prior_events: float = 1.0
    least_s: float = 20.0
    opening_phi: float = 4.0
    opening_s: float = 120.0


@dataclass(frozen=True)
class Dispersion:
    """What is remembered of stable: `sums` (7, streams...) fade with time, `under_way` (3, streams...) do not."""

    sums: Array
    under_way: Array


def opening(shape: tuple[int, ...]) -> Dispersion:
    """Nothing known yet."""
    return Dispersion(np.zeros((7, *shape)), np.zeros((3, *shape)))


def learn(policy: DispersionPolicy, state: Dispersion, block: Block, spread: Array) -> Dispersion:
    """Stable's part of a block, remembered. `spread`: the variance that chance alone gives to one unit of exposure,
    p for counts of any size at rate p, p (1 - p) for shares."""
    seconds, n, k, before = block.duration_s, block.n_stable, block.k_stable, state.sums
    known = np.where(before[EXPOSURE] > 0.0, 1.0, 0.0)
    now = np.empty_like(state.under_way)
    now[OPEN_SURPRISE] = (k - n * rate(state)) * known
    now[OPEN_EXPECTED] = n * spread * known
    now[OPEN_SECONDS] = seconds

    under_way = state.under_way + now
    going = np.where(under_way[OPEN_SECONDS] >= policy.coarse_s, 0.0, 1.0)
    sums, added = np.empty_like(before), np.empty_like(before)
    np.multiply(before[:EVENTS], np.exp2(seconds * (-1.0 / policy.memory_s)), out=sums[:EVENTS])
    np.multiply(before[EVENTS:], np.exp2(seconds * (-1.0 / policy.rate_memory_s)), out=sums[EVENTS:])
    added[SQUARES : EXPECTED + 1] = now[:OPEN_SECONDS]
    np.multiply(under_way[:OPEN_SECONDS], 1.0 - going, out=added[SQUARES_COARSE : EXPECTED_COARSE + 1])
    # What comes by surprise counts squared.
    added[SQUARES:SECONDS:2] *= added[SQUARES:SECONDS:2]
    added[SECONDS] = seconds * known
    added[EVENTS] = k
    added[EXPOSURE] = n
    sums += added
    under_way *= going
    return Dispersion(sums, under_way)


def phi(policy: DispersionPolicy, state: Dispersion) -> Array:
    """The dispersion, at least 1: the larger of the two scales', each less its own uncertainty.

    For Poisson counts the variance of squares / expected over m sums with E expected events in all is 2 / m + 1 / E.
    """
    sums, prior = state.sums, policy.prior_events
    seconds = np.maximum(sums[SECONDS], 1.0)
    squares, expected = sums[SQUARES:SECONDS:2] + prior, sums[EXPECTED:SECONDS:2] + prior  # both scales
    error = 1.0 / expected
    error[0] += 2.0 / seconds
    error[1] += 2.0 * policy.coarse_s / seconds
    found = squares / expected - policy.caution * np.sqrt(error)
    unknown = policy.opening_phi - sums[SECONDS] * ((policy.opening_phi - 1.0) / policy.opening_s)
    return np.asarray(np.maximum(np.maximum(unknown, 1.0), np.maximum(found[0], found[1])))


def known(policy: DispersionPolicy, state: Dispersion) -> npt.NDArray[np.bool_]:
    """Whether enough of stable was seen for anything to be evidence."""
    return np.asarray(state.sums[SECONDS] >= policy.least_s)


def exposure_rate(policy: DispersionPolicy, state: Dispersion) -> float:
    """Stable's recent exposure a second (requests/s); 0 where nothing was seen. For one stream."""
    seconds = float(state.sums[SECONDS])
    lasting = policy.memory_s / math.log(2.0)
    age = -lasting * math.log1p(-min(seconds / lasting, 1.0 - 1e-9))
    fading = policy.rate_memory_s / math.log(2.0)
    return float(state.sums[EXPOSURE]) / (fading * -math.expm1(-age / fading)) if age > 0.0 else 0.0


def rate(state: Dispersion) -> Array:
    """Stable's recent events per unit of exposure; 0 where nothing was seen."""
    return np.asarray(state.sums[EVENTS] / np.maximum(state.sums[EXPOSURE], 1e-300))
