"""A stream: one question put to one metric ("is the canary's share of events above r0 times stable's?"), over time.

Evidence is made in evidence blocks: one second of traffic, or as many seconds as it takes until the canary has had
`least_canary` requests (at most `longest_s`), because a second without canary traffic has no control to compare with.
Where a block ends depends on the numbers of requests only, never on what became of them, nor on how often one looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from tidegate.core.stats import bernoulli, counts, dispersion, evidence
from tidegate.core.stats.arrays import Array, constant
from tidegate.core.stats.blocks import Block
from tidegate.core.stats.dispersion import Dispersion, DispersionPolicy
from tidegate.core.stats.evidence import Evidence, Prior

# Rows of Stream.pending: the evidence block under way, and what was known when it opened.
DURATION, N_CANARY, N_STABLE, K_CANARY, K_STABLE, PHI, SHARE = range(7)


class Kind(StrEnum):
    """COUNTS: rare events, a ratio of rates (A). SHARES: any share, a ratio of odds (B)."""

    COUNTS = "counts"
    SHARES = "shares"


@dataclass(frozen=True)
class StreamPolicy:
    """The question and the caution. `null_ratio` is r0; ratios of `prior` above it ask "worse?", below it "not worse?".

    `cap`: the most that one evidence block may multiply E by: one burst is not proof.
    """

    kind: Kind
    prior: Prior
    null_ratio: float = 1.25
    cap: float = 4.0
    least_canary: float = 2.0
    longest_s: float = 10.0
    dispersion: DispersionPolicy = field(default_factory=DispersionPolicy)


@dataclass(frozen=True)
class Stream:
    """The state, O(1): any leading shape. `pending` is (7, shape...)."""

    past: Dispersion
    pending: Array
    evidence: Evidence


def opening(policy: StreamPolicy, shape: tuple[int, ...] = ()) -> Stream:
    """Before the first block: E = 1."""
    return Stream(dispersion.opening(shape), np.zeros((7, *shape)), evidence.opening(policy.prior, shape))


def learn(policy: StreamPolicy, state: Stream, block: Block) -> Stream:
    """Stable's history before the canary exists: dispersion and rate, no evidence."""
    return Stream(_learned(policy, state.past, block), state.pending, state.evidence)


def _learned(policy: StreamPolicy, past: Dispersion, block: Block) -> Dispersion:
    rate = dispersion.rate(past)
    spread = rate * (1.0 - rate) if policy.kind is Kind.SHARES else rate
    return dispersion.learn(policy.dispersion, past, block, spread)


def update(policy: StreamPolicy, state: Stream, block: Block, beside: Array | float = 0.0) -> Stream:
    """One 1-s block or gap. What the block says of stable counts for later blocks only.

    `beside`: the evidence of others that this stream's is added to, in units of its own weight; the cap is on the sum.
    """
    pending, past = state.pending.copy(), state.past
    fresh = pending[DURATION] == 0.0
    np.copyto(pending[PHI, ...], dispersion.phi(policy.dispersion, past), where=fresh)
    np.copyto(pending[SHARE, ...], dispersion.rate(past), where=fresh)
    added = np.array((block.duration_s, block.n_canary, block.n_stable, block.k_canary, block.k_stable))
    added *= dispersion.known(policy.dispersion, past)
    pending[: K_STABLE + 1] += added

    ripe = (pending[N_CANARY] >= policy.least_canary) | (pending[DURATION] >= policy.longest_s)
    seconds = np.where(ripe, pending[DURATION], 0.0)
    ratio = np.where(ripe[..., None], log_ratio(policy, pending), 0.0)
    return Stream(
        past=_learned(policy, past, block),
        pending=np.where(ripe, 0.0, pending),
        evidence=evidence.update(policy.prior, state.evidence, ratio, seconds, policy.cap, beside),
    )


def log_ratio(policy: StreamPolicy, pending: Array) -> Array:
    """log-LR / phi for each ratio of the prior."""
    whole, ratios = Block(*pending[: K_STABLE + 1]), policy.prior.ratios
    match policy.kind:
        case Kind.COUNTS:
            found = counts.log_ratio(whole, ratios, policy.null_ratio)
        case Kind.SHARES:
            found = bernoulli.log_ratio(whole, constant(ratios), policy.null_ratio, pending[SHARE])
    return np.asarray(found / np.maximum(pending[PHI], 1.0)[..., None])


def value(policy: StreamPolicy, state: Stream) -> Array:
    """E of each stream."""
    return evidence.value(policy.prior, state.evidence)
