"""Evidence keeps its promise however often one looks, and whatever happens in between. Seeded; about half a minute."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.core.stats import bounded, codec, histograms, ordered, promotion, shipped, stream
from tidegate.core.stats.blocks import Block, block
from tidegate.core.stats.evidence import Prior
from tidegate.core.stats.stream import Kind, StreamPolicy

RUNS, SECONDS = 3000, 900
ALPHAS = (0.01, 0.05, 0.2)
SHARES = StreamPolicy(Kind.SHARES, Prior((1.8, 4.0), (0.5, 0.5), 0.9), 1.25)


def upper_bound(alpha: float, runs: int = RUNS) -> float:
    """What a rate of exactly alpha stays below in that many runs with probability above 0.9999."""
    return alpha + 4 * np.sqrt(alpha * (1 - alpha) / runs)


def highest(policy: StreamPolicy, seed: int, canary: float, stable: float, rps: float = 40.0) -> np.ndarray:
    """The largest E of each run, looked at every second: the worst that optional stopping can do."""
    rng = np.random.default_rng(seed)
    state = stream.opening(policy, (RUNS,))
    best = np.ones(RUNS)
    for t in range(-200, SECONDS):
        n_canary, n_stable = rng.poisson(rps * 0.2, RUNS), rng.poisson(rps * 0.8, RUNS)
        k_canary, k_stable = rng.binomial(n_canary, canary), rng.binomial(n_stable, stable)
        zero = np.zeros(RUNS)
        if t < 0:
            state = stream.learn(policy, state, block(zero, n_stable, zero, k_stable))
        else:
            state = stream.update(policy, state, block(n_canary, n_stable, k_canary, k_stable))
            best = np.maximum(best, stream.value(policy, state))
    return best


def highest_of_histograms(margin: float, seed: int, rps: float = 40.0) -> np.ndarray:
    """The same for latency: the canary's odds of being slower are `margin` times stable's at every threshold."""
    policy = shipped.latency_policy(margin)
    rng = np.random.default_rng(seed)
    beyond = 1.0 - np.array(policy.quantiles)
    arms = [ordered.cells(np.array([odds(s, ratio) for s in beyond])[None])[0] for ratio in (margin, 1.0)]
    runs = RUNS // 2
    state = histograms.opening(policy, (runs,))
    best, one = np.ones(runs), np.ones(runs)
    for t in range(-200, SECONDS):
        n_canary, n_stable = rng.poisson(rps * 0.2, runs), rng.poisson(rps * 0.8, runs)
        canary, stable = (
            rng.multinomial(n, cells).T.astype(float) for n, cells in zip((n_canary, n_stable), arms, strict=True)
        )
        if t < 0:
            state = histograms.learn(policy, state, one, stable)
        else:
            state = histograms.update(policy, state, one, (canary, stable))
            best = np.maximum(best, histograms.value(policy, state))
    return best


def odds(share: float, ratio: float) -> float:
    return ratio * share / (1 + (ratio - 1) * share)


@pytest.mark.parametrize(
    ("policy", "canary", "stable"),
    [
        (shipped.count_policy(1.0), 0.02, 0.02),
        (shipped.count_policy(1.25), 0.025, 0.02),
        (SHARES, odds(0.25, 1.25), 0.25),
    ],
    ids=["counts", "counts at the margin", "shares at the margin"],
)
def test_type_one_error_under_optional_stopping(policy: StreamPolicy, canary: float, stable: float) -> None:
    best = highest(policy, 11, canary, stable)
    for alpha in ALPHAS:
        assert np.mean(best >= 1 / alpha) <= upper_bound(alpha), alpha


@pytest.mark.parametrize("margin", [1.0, 1.25])
def test_type_one_error_of_latency_under_optional_stopping(margin: float) -> None:
    best = highest_of_histograms(margin, 14)
    for alpha in ALPHAS:
        assert np.mean(best >= 1 / alpha) <= upper_bound(alpha, len(best)), alpha


def test_pauses_of_a_collector_in_both_arms_are_not_the_canarys_fault() -> None:
    """Each arm pauses on its own (every 30 s, 2.5 s on average; then 30 % of its requests are slower than p99):
    slow requests come in clumps, in both alike. With ten minutes of stable's past fewer than 1 % in 10 minutes."""
    runs, policy = 600, shipped.latency_policy(1.0)
    rng = np.random.default_rng(15)
    state, one = histograms.opening(policy, (runs,)), np.ones(runs)
    paused, best = np.zeros((2, runs), dtype=bool), np.ones(runs)
    slow = 0.7 * policy.nominal + 0.3 * np.array([0, 0, 0, 0, 0, 0.5, 0.5])
    for t in range(-600, 600):
        arms = []
        for arm, rate in enumerate((10.0, 90.0)):
            paused[arm] = np.where(paused[arm], rng.random(runs) < 0.6, rng.random(runs) < 1 / 30)
            shares = np.where(paused[arm][:, None], slow, policy.nominal)
            arms.append(rng.multinomial(rng.poisson(rate, runs), shares).T.astype(float))
        if t < 0:
            state = histograms.learn(policy, state, one, arms[1])
        else:
            state = histograms.update(policy, state, one, (arms[0], arms[1]))
            best = np.maximum(best, histograms.value(policy, state))
    assert np.mean(best >= 100) <= 0.01


def test_promotion_of_a_bad_canary_under_optional_stopping() -> None:
    policy = promotion.PromotionPolicy(worst_ratio=2.0, floor=0.01)
    rng = np.random.default_rng(12)
    state = promotion.opening(policy, (RUNS,))
    best = np.ones(RUNS)
    for _ in range(SECONDS):
        n_canary, n_stable = rng.poisson(8, RUNS), rng.poisson(32, RUNS)
        seen = block(n_canary, n_stable, rng.binomial(n_canary, 0.04), rng.binomial(n_stable, 0.02))
        state = promotion.update(policy, state, seen)
        best = np.maximum(best, promotion.value(policy, state))
    for alpha in ALPHAS:
        assert np.mean(best >= 1 / alpha) <= upper_bound(alpha), alpha


def bursts(rng: np.random.Generator, events: float, mean: float, most: int, runs: int) -> np.ndarray:
    """That many events a block on average, in bursts of `mean` on average; never more than requests."""
    count = rng.poisson(events / mean, runs)
    return np.minimum(count + rng.negative_binomial(np.maximum(count, 1), 1 / mean) * (count > 0), most)


@pytest.mark.parametrize("mean", [3.0, 10.0])
def test_promotion_of_a_bad_canary_whose_errors_come_in_bursts(mean: float) -> None:
    """Twice stable's errors, above the floor, and a burst is one event in truth: many clean requests prove little."""
    policy, runs = promotion.PromotionPolicy(), 1000
    rng = np.random.default_rng(16)
    state = promotion.opening(policy, (runs,))
    best, zero = np.ones(runs), np.zeros(runs)
    for t in range(-600, SECONDS):
        k_stable = bursts(rng, 0.005 * 45, mean, 45, runs)
        if t < 0:
            state = promotion.learn(policy, state, block(zero, zero + 45, zero, k_stable))
        else:
            k_canary = bursts(rng, 0.01 * 5, mean, 5, runs)
            state = promotion.update(policy, state, block(zero + 5, zero + 45, k_canary, k_stable))
            best = np.maximum(best, promotion.value(policy, state))
    assert np.mean(best >= 1 / policy.alpha) <= upper_bound(policy.alpha, runs)


def test_means_under_optional_stopping() -> None:
    policy = bounded.MeanPolicy(margin=0.0)
    rng = np.random.default_rng(13)
    state = bounded.opening(policy, (RUNS,))
    # a long past makes stable's mean known; then nothing of stable: the null is fixed
    for _ in range(50):
        state = bounded.update(policy, state, np.full(RUNS, np.nan), np.full(RUNS, 0.3))
    best = np.ones(RUNS)
    for _ in range(400):
        state = bounded.update(policy, state, rng.beta(3, 7, RUNS), np.full(RUNS, np.nan))
        best = np.maximum(best, bounded.value(state))
    for alpha in ALPHAS:
        assert np.mean(best >= 1 / alpha) <= upper_bound(alpha), alpha


@pytest.mark.parametrize("margin", [0.05, -0.1])
def test_a_step_of_both_means_is_not_the_canarys_fault(margin: float) -> None:
    """Stable's past lags behind what hits both arms; of the proof the margin is negative."""
    runs, policy = 300, bounded.MeanPolicy(margin=margin)
    rng = np.random.default_rng(17)
    state, best = bounded.opening(policy, (runs,)), np.ones(runs)
    less = max(-margin, 0.0)
    for t in range(-204, 360):
        mean = 0.3 if t < 0 else 0.5
        canary = np.full(runs, np.nan) if t < -24 else rng.normal(mean - less, 0.02, runs)
        state = bounded.update(policy, state, canary, rng.normal(mean, 0.02, runs))
        best = np.maximum(best, bounded.value(state))
    assert np.mean(best >= 100) <= upper_bound(0.01, runs)


BLOCKS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 200), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60
)
POLICIES = st.sampled_from([shipped.count_policy(), shipped.count_policy(1.0), SHARES])

COUNTS = ("n_canary", "n_stable", "k_canary", "k_stable")


def sane(counts: tuple[int, int, int, int]) -> Block:
    n_canary, n_stable, k_canary, k_stable = counts
    return block(n_canary, n_stable, min(k_canary, n_canary), min(k_stable, n_stable))


def after_history(policy: StreamPolicy, shape: tuple[int, ...] = ()) -> stream.Stream:
    """A stream that has seen ten minutes of stable: 100 requests a second with 3 % events."""
    state = stream.opening(policy, shape)
    for seconds in (1.0, 599.0):
        zero = np.zeros(shape)
        state = stream.learn(policy, state, block(zero, zero + 100 * seconds, zero, zero + 3 * seconds, seconds))
    return state


@settings(max_examples=60, deadline=None)
@given(POLICIES, BLOCKS, st.integers(0, 59))
def test_a_restart_in_the_middle_changes_no_bit(
    policy: StreamPolicy, counts: list[tuple[int, int, int, int]], cut: int
) -> None:
    straight = broken = after_history(policy)
    for i, one in enumerate(counts):
        straight = stream.update(policy, straight, sane(one))
        broken = stream.update(policy, broken, sane(one))
        if i == cut % len(counts):
            broken = codec.from_json(stream.Stream, json.loads(json.dumps(codec.to_json(broken))))
    assert codec.to_json(straight) == codec.to_json(broken)


@settings(max_examples=40, deadline=None)
@given(POLICIES, BLOCKS)
def test_looking_changes_nothing_and_neither_does_company(
    policy: StreamPolicy, counts: list[tuple[int, int, int, int]]
) -> None:
    """A stream alone gives the same bits as one looked at every second, or updated among others."""
    alone, looked, among = after_history(policy), after_history(policy), after_history(policy, (3,))
    for one in counts:
        seen = sane(one)
        alone = stream.update(policy, alone, seen)
        looked = stream.update(policy, looked, seen)
        stream.value(policy, looked)
        wide = [np.array([3.0, float(v), 7.0]) for v in (seen.n_canary, seen.n_stable, seen.k_canary, seen.k_stable)]
        wide[2], wide[3] = np.minimum(wide[2], wide[0]), np.minimum(wide[3], wide[1])
        among = stream.update(policy, among, block(*wide))
    assert float(stream.value(policy, alone)) == float(stream.value(policy, looked))
    assert float(stream.value(policy, among)[1]) == pytest.approx(float(stream.value(policy, alone)), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(POLICIES, st.integers(0, 1), st.integers(2, 30), st.integers(0, 200), st.integers(0, 200), st.integers(0, 9))
def test_merging_counters_below_an_evidence_block_changes_no_evidence(
    policy: StreamPolicy, first: int, more: int, n_stable: int, m_stable: int, k: int
) -> None:
    """Two seconds that make one evidence block weigh the same whether they were read apart or as one."""
    start = after_history(policy)
    one = block(first, n_stable, min(k, first), min(k, n_stable))
    two = block(more, m_stable, min(k, more), min(k, m_stable))
    apart = stream.update(policy, stream.update(policy, start, one), two)
    merged = block(*(getattr(one, name) + getattr(two, name) for name in COUNTS), 2.0)
    assert np.array_equal(apart.evidence.wealth, stream.update(policy, start, merged).evidence.wealth)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 50), st.integers(10, 400), st.integers(0, 20), st.integers(0, 20))
def test_more_canary_errors_never_lower_the_evidence(n_canary: int, n_stable: int, k: int, k_stable: int) -> None:
    policy = StreamPolicy(Kind.COUNTS, Prior((1.6, 3.0, 10.0), (0.3, 0.4, 0.3)), 1.25)
    start = after_history(policy)
    fewer, more = (
        float(stream.value(policy, stream.update(policy, start, block(n_canary, n_stable, errors, k_stable))))
        for errors in (k, k + 1)
    )
    assert more >= fewer * (1 - 1e-12)  # at the cap both are the same but for rounding


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 50), st.integers(10, 400), st.integers(0, 20), st.integers(0, 20))
def test_more_stable_errors_never_raise_the_evidence(n_canary: int, n_stable: int, k: int, k_stable: int) -> None:
    policy = shipped.count_policy()
    start = after_history(policy)
    fewer, more = (
        float(stream.value(policy, stream.update(policy, start, block(n_canary, n_stable, k, errors))))
        for errors in (k_stable, k_stable + 1)
    )
    assert more <= fewer * (1 + 1e-12)


CELLS = st.lists(st.integers(0, 30), min_size=7, max_size=7)
LATENCY = shipped.latency_policy()


def after_latency() -> histograms.Histograms:
    """Latency of a stable that was seen for five minutes."""
    state = histograms.opening(LATENCY)
    for _ in range(300):
        state = histograms.learn(LATENCY, state, np.asarray(1.0), 100 * LATENCY.nominal)
    return state


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20), st.integers(0, 19))
def test_a_restart_changes_no_bit_of_latency(blocks: list[tuple[list[int], list[int]]], cut: int) -> None:
    straight = broken = after_latency()
    for i, (canary, stable) in enumerate(blocks):
        arms = np.array(canary, dtype=float), np.array(stable, dtype=float)
        straight = histograms.update(LATENCY, straight, np.asarray(1.0), arms)
        broken = histograms.update(LATENCY, broken, np.asarray(1.0), arms)
        if i == cut % len(blocks):
            broken = codec.from_json(histograms.Histograms, json.loads(json.dumps(codec.to_json(broken))))
    assert codec.to_json(straight) == codec.to_json(broken)


@settings(max_examples=60, deadline=None)
@given(CELLS, CELLS, st.integers(0, 5), st.integers(0, 5))
def test_a_slower_canary_request_never_lowers_the_evidence(
    canary: list[int], stable: list[int], cell: int, further: int
) -> None:
    slower = list(canary)
    canary[cell] += 2
    slower[cell] += 1
    slower[min(6, cell + 1 + further)] += 1
    stable[0] += 1
    start, counts = after_latency(), np.array(stable, dtype=float)
    before, after = (
        float(
            histograms.value(LATENCY, histograms.update(LATENCY, start, np.asarray(1.0), (np.array(c, float), counts)))
        )
        for c in (canary, slower)
    )
    assert after >= before * (1 - 1e-12)


@settings(max_examples=30, deadline=None)
@given(POLICIES, st.lists(st.floats(0.1, 5000), min_size=1, max_size=30))
def test_gaps_without_traffic_never_decide(policy: StreamPolicy, gaps: list[float]) -> None:
    state, proof = after_history(policy), promotion.opening(promotion.PromotionPolicy())
    for seconds in gaps:
        empty = block(0, 0, 0, 0, seconds)
        state = stream.update(policy, state, empty)
        proof = promotion.update(promotion.PromotionPolicy(), proof, empty)
    assert float(stream.value(policy, state)) == pytest.approx(1.0)
    assert float(promotion.value(promotion.PromotionPolicy(), proof)) == pytest.approx(1.0)
