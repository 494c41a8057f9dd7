"""Sequential statistics in pure numpy: e-processes, dispersion, power.

Never reads a metric source; never decides a rollout.

An e-process E starts at 1 and reaches 1 / alpha ever with probability alpha at most if the canary is no worse. All
states are frozen dataclasses of float64 arrays of any leading shape (() for one metric, (rollouts, metrics) for many at
once), all updates pure functions, O(1) memory a stream:

    block(n_canary, n_stable, k_canary, k_stable, seconds=1.0) -> Block          one 1-s block, or a gap with its length

    policy = shipped.count_policy(margin=1.25)       errors, restarts, missed heartbeats (A); margin is r0
    state = stream.opening(policy, shape)            E = 1
    state = stream.learn(policy, state, block)       stable's history before the canary takes traffic: no evidence
    state = stream.update(policy, state, block)      a block with both arms
    stream.value(policy, state)                      E of each stream

    policy = shipped.latency_policy(margin)          requests between stable's p50, p75, p90, p95, p99, p99.9 (B)
    state = histograms.opening / learn / update / value   the same for histograms: requests a cell, (cells, ...)

    e = shipped.shared({"errors": E, "latency": E})  roll back when e >= 1 / alpha

    guard.opening / learn / update / worse / good_enough / because    all of that for one canary, from model Traffic

    promotion.opening / learn / update / value (F)   promote when value >= 1 / policy.alpha
    power.power(policy, power.Traffic(per_second, canary_part, share, phi), seconds, ratio=2, weight=...).because (H)
    bounded.opening / update / value (D)             means of bounded values: CPU and memory share
    quantiles.thresholds(bounds, stable_past, shipped.QUANTILES), ordered.log_factors   what histograms are judged by
    quantiles.quantile_band(bounds, counts, 0.99)    for display (C)
    dispersion.phi(policy.dispersion, state.past)    how bursty stable was (G)
    codec.to_json(state), codec.from_json(stream.Stream, plain)   bit for bit

What the caller must keep to: one block a second whatever the tick; the metrics that share evidence, and the thresholds
of latency, are fixed before the step begins; a step that changes the weight goes on with the same state. A new canary
gets new evidence: `dataclasses.replace(stream.opening(policy, shape), past=old.past)` keeps stable's history. Feed that
history from before the canary (`learn`): the first 20 s of it are no evidence, and until 120 s bursts are assumed.
"""

from tidegate.core.stats import (
    bernoulli,
    bounded,
    codec,
    counts,
    dispersion,
    evidence,
    guard,
    histograms,
    ordered,
    power,
    promotion,
    quantiles,
    shipped,
    stream,
)
from tidegate.core.stats.blocks import Block, block

__all__ = [
    "Block",
    "bernoulli",
    "block",
    "bounded",
    "codec",
    "counts",
    "dispersion",
    "evidence",
    "guard",
    "histograms",
    "ordered",
    "power",
    "promotion",
    "quantiles",
    "shipped",
    "stream",
]
