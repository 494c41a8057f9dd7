"""E-values of histograms: what their expectation is, and how much they find, worked out exactly."""

import math

import numpy as np
import pytest

from tidegate.core.stats import bernoulli, histograms, ordered, shipped
from tidegate.core.stats.arrays import Array
from tidegate.core.stats.blocks import block
from tidegate.core.stats.ordered import Slower

WAYS = (Slower(1.8), Slower(6.0), Slower(1.25, 0.03, beyond=1), Slower(1.25, 0.3, beyond=0))
PAST = np.array([0.4, 0.05])
"""Stable's shares beyond two thresholds, so three cells."""


def cells(beyond: Array) -> Array:
    return ordered.cells(beyond[None])[0]


def factors(margin: float, beyond: Array, n_canary: float, n_stable: float) -> tuple[Array, Array]:
    f, g = ordered.log_factors(WAYS, margin, beyond, np.array(n_canary), np.array(n_stable))
    return np.exp(f), np.exp(g)


@pytest.mark.parametrize("truth", [(0.4, 0.05), (0.9, 0.6), (0.02, 0.001), (0.5, 0.499)])
@pytest.mark.parametrize("margin", [1.0, 1.25])
@pytest.mark.parametrize("requests", [(1, 1), (3, 30), (40, 5)])
def test_no_null_expects_more_than_one(truth: tuple[float, float], margin: float, requests: tuple[int, int]) -> None:
    """Requests are independent, so a block's expectation is a product: E[f]^n_canary E[g]^n_stable."""
    f, g = factors(margin, PAST, *requests)
    stable = np.array(truth)
    for part in (1.0, 0.8):  # at the margin, and better than that
        canary = ordered.lifted(stable, margin * part)
        whole = requests[0] * np.log(f @ cells(canary)) + requests[1] * np.log(g @ cells(stable))
        assert whole.max() <= 1e-9


def test_factors_rise_for_the_canary_and_fall_for_stable() -> None:
    f, g = factors(1.25, PAST, 10, 90)
    assert (np.diff(f, axis=1) >= -1e-12).all()
    assert (np.diff(g, axis=1) <= 1e-12).all()
    assert (f > 0).all()
    assert (g > 0).all()


def test_one_threshold_without_margin_is_the_bernoulli_evalue() -> None:
    f, g = ordered.log_factors((Slower(3.0),), 1.0, np.array([0.5]), np.array(10.0), np.array(30.0))
    ours = f[0] @ np.array([2, 8]) + g[0] @ np.array([15, 15])
    theirs = bernoulli.log_ratio(block(10, 30, 8, 15), np.array([3.0]), 1.0, np.array(0.5))[0]
    assert ours == pytest.approx(theirs)


def test_a_whole_histogram_finds_more_than_its_best_threshold() -> None:
    """Lognormal latency, 20 % slower, at stable's quantiles: expected log-evidence of a block of 10 and 90 requests."""
    policy = shipped.latency_policy(1.0)
    z = np.array([-0.0, 0.6745, 1.2816, 1.6449, 2.3263, 3.0902])
    stable, canary = (np.array([math.erfc((v - shift) / math.sqrt(2)) / 2 for v in z]) for shift in (0.0, 0.3646))
    f, g = ordered.log_factors(policy.ways, 1.0, stable, np.array(10.0), np.array(90.0))
    ours = 10 * f @ cells(canary) + 90 * g @ cells(stable)
    alone = []
    for s, c in zip(stable, canary, strict=True):
        odds = c / (1 - c) / (s / (1 - s))
        seen = block(10, 90, 10 * c, 90 * s)
        alone.append(bernoulli.log_ratio(seen, np.array([odds]), 1.0, np.array(s))[0])
    assert ours.max() > 1.3 * max(alone)


def test_thresholds_that_fell_together_do_no_harm() -> None:
    policy = shipped.latency_policy()
    state = histograms.opening(policy)
    one = np.asarray(1.0)
    stable = np.array([80.0, 0, 0, 10, 0, 0, 0])  # every threshold but two on a bound of its own
    for _ in range(300):
        state = histograms.learn(policy, state, one, stable)
    for _ in range(60):
        state = histograms.update(policy, state, one, (stable / 9, stable))
    assert 0.0 < float(histograms.value(policy, state)) < 1.5
    for _ in range(60):
        state = histograms.update(policy, state, one, (np.array([0.0, 0, 0, 10, 0, 0, 0]), stable))
    assert float(histograms.value(policy, state)) >= 100


def test_a_block_lifts_the_sum_fourfold_at_most() -> None:
    policy = shipped.latency_policy()
    state = histograms.opening(policy)
    stable = 90 * policy.nominal
    for _ in range(300):
        state = histograms.learn(policy, state, np.asarray(1.0), stable)
    slow = np.array([0.0, 0, 0, 0, 0, 0, 30])
    alone = histograms.update(policy, state, np.asarray(1.0), (slow, stable))
    assert float(histograms.value(policy, alone)) == pytest.approx(policy.cap)
    beside = histograms.update(policy, state, np.asarray(1.0), (slow, stable), beside=4.0)
    assert float(histograms.value(policy, beside)) == pytest.approx(policy.cap * 5.0)
    again = histograms.update(policy, alone, np.asarray(1.0), (stable / 9, stable))
    assert again.evidence.wealth.min() > 1e-3  # one pause does not silence the other ways to be slower
