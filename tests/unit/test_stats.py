"""Evidence processes against numbers worked out by hand."""

import math

import numpy as np
import pytest

from tidegate.core.stats import (
    bernoulli,
    bounded,
    codec,
    counts,
    dispersion,
    evidence,
    power,
    promotion,
    quantiles,
    shipped,
    stream,
)
from tidegate.core.stats.blocks import block
from tidegate.core.stats.evidence import Prior
from tidegate.core.stats.stream import Kind, StreamPolicy

SHARES = StreamPolicy(Kind.SHARES, Prior((1.8, 4.0), (0.5, 0.5), 0.9), 1.25)
ALL = (shipped.count_policy(), shipped.count_policy(1.0), SHARES)


def test_counts_by_hand() -> None:
    # w = 0.1; theta_5 = 0.5 / 1.4, theta_1 = 0.1: a canary error multiplies by 3.571, a stable one by 0.714
    one = counts.log_ratio(block(10, 90, 1, 0), (5.0,), 1.0)
    other = counts.log_ratio(block(10, 90, 0, 1), (5.0,), 1.0)
    assert math.exp(one[0]) == pytest.approx((0.5 / 1.4) / 0.1)
    assert math.exp(other[0]) == pytest.approx((0.9 / 1.4) / 0.9)


def test_counts_margin_by_hand() -> None:
    # theta_1.25 = 0.125 / 1.025
    got = counts.log_ratio(block(10, 90, 2, 1), (5.0,), 1.25)
    canary = (0.5 / 1.4) / (0.125 / 1.025)
    stable = (0.9 / 1.4) / (0.9 / 1.025)
    assert got[0] == pytest.approx(2 * math.log(canary) + math.log(stable))


def test_shares_by_hand_without_margin() -> None:
    # odds 3 at a share of 0.5: 0.75; the null's share is the mean of 10 x 0.75 and 30 x 0.5, 22.5 / 40
    got = bernoulli.log_ratio(block(10, 30, 8, 15), np.array([3.0]), 1.0, np.array(0.5))
    null = 22.5 / 40
    want = 8 * math.log(0.75 / null) + 2 * math.log(0.25 / (1 - null)) + 15 * math.log(0.5 / null)
    want += 15 * math.log(0.5 / (1 - null))
    assert got[0] == pytest.approx(want)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("margin", [1.0, 1.25, 2.0])
def test_shares_expect_at_most_one_for_every_null(share: float, margin: float) -> None:
    """The e-value's expectation, summed over all outcomes of 3 canary and 7 stable requests, for nulls all over."""

    def chance(n: int, k: int, p: float) -> float:
        return math.comb(n, k) * p**k * (1 - p) ** (n - k)

    for stable in (0.005, 0.05, 0.3, 0.6, 0.95):
        for odds in (margin, 0.7 * margin):
            canary = odds * stable / (1 + (odds - 1) * stable)
            total = 0.0
            for i in range(4):
                for j in range(8):
                    e = math.exp(bernoulli.log_ratio(block(3, 7, i, j), np.array([4.0]), margin, np.array(share))[0])
                    total += e * chance(3, i, canary) * chance(7, j, stable)
            assert total <= 1 + 1e-9, (stable, odds)


def after_history(policy: StreamPolicy, share: float = 0.005) -> stream.Stream:
    """A stream that has seen ten minutes of stable: 100 requests a second, all seconds alike."""
    state = stream.opening(policy)
    for seconds in (1.0, 599.0):
        state = stream.learn(policy, state, block(0, 100 * seconds, 0, 100 * share * seconds, seconds))
    return state


@pytest.mark.parametrize("policy", ALL)
def test_silence_is_neutral(policy: StreamPolicy) -> None:
    state = after_history(policy)
    for _ in range(100):
        state = stream.update(policy, state, block(0, 0, 0, 0))
    assert stream.value(policy, state) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("policy", ALL)
def test_stable_alone_is_neutral(policy: StreamPolicy) -> None:
    state = stream.opening(policy)
    for _ in range(100):
        state = stream.update(policy, state, block(0, 50, 0, 20))
    assert stream.value(policy, state) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("policy", ALL)
def test_one_block_never_exceeds_the_cap(policy: StreamPolicy) -> None:
    state = stream.update(policy, after_history(policy), block(100, 900, 100, 4))
    assert 3.0 < stream.value(policy, state) <= policy.cap


@pytest.mark.parametrize("policy", ALL)
def test_nothing_is_evidence_before_stable_is_known(policy: StreamPolicy) -> None:
    state = stream.opening(policy)
    for _ in range(int(policy.dispersion.least_s)):
        state = stream.update(policy, state, block(100, 900, 100, 4))
    assert float(stream.value(policy, state)) == pytest.approx(1.0)


def test_late_onset_spends_the_prior_and_no_more() -> None:
    prior = Prior((2.0,), (1.0,), at_start=0.8, onset_s=600)
    state = evidence.opening(prior, ())
    for _ in range(600):
        state = evidence.update(prior, state, np.zeros(1), np.asarray(1.0), 4.0)
    assert float(evidence.held_back(prior, state.age_s)) == pytest.approx(0.1)  # half of 0.2 within onset_s
    assert float(state.wealth.sum()) == pytest.approx(0.9)


def test_a_late_fault_is_found_sooner_with_late_onset() -> None:
    def found(at_start: float) -> int:
        policy = StreamPolicy(Kind.COUNTS, Prior((5.0,), (1.0,), at_start), 1.0)
        state = stream.opening(policy)
        for t in range(5000):
            bad = t >= 1200
            state = stream.update(policy, state, block(10, 90, 1 if bad and t % 2 else 0, 1 if t % 2 else 0))
            if stream.value(policy, state) >= 100:
                return t
        return 5000

    assert 1200 < found(0.9) < 1260 < found(1.0)


def test_dispersion_of_bursts_by_hand() -> None:
    """Bursts of 10 every tenth second: mean 1, variance 9, so phi is near 9."""
    policy = dispersion.DispersionPolicy(caution=0.0)
    state = dispersion.opening(())
    rng = np.random.default_rng(3)
    for _ in range(3000):
        state = dispersion.learn(policy, state, block(0, 100, 0, 10 * rng.binomial(1, 0.1)), dispersion.rate(state))
    assert 8 < float(dispersion.phi(policy, state)) < 13


def test_dispersion_sees_what_lasts_longer_than_a_block() -> None:
    """Bad for 10 s, good for 90 s: within a second nothing but the mean differs from Poisson; over 10 s much does."""
    policy = dispersion.DispersionPolicy()
    state = dispersion.opening(())
    rng = np.random.default_rng(4)
    for t in range(3000):
        share = 0.05 if t % 100 < 10 else 0.005
        state = dispersion.learn(policy, state, block(0, 200, 0, rng.binomial(200, share)), dispersion.rate(state))
    fine = state.sums[dispersion.SQUARES] / state.sums[dispersion.EXPECTED]
    assert float(dispersion.phi(policy, state)) > 2 * float(fine) > 2


def test_dispersion_is_one_for_coin_tosses() -> None:
    policy = dispersion.DispersionPolicy()
    state = dispersion.opening((400,))
    rng = np.random.default_rng(5)
    for _ in range(1200):
        rate = dispersion.rate(state)
        seen = block(np.zeros(400), 45, 0, rng.binomial(45, 0.005, 400))
        state = dispersion.learn(policy, state, seen, rate * (1 - rate))
    phi = dispersion.phi(policy, state)
    assert float(phi.mean()) < 1.06
    assert float(phi.min()) >= 1.0


def test_shared_evidence_is_the_weighted_mean() -> None:
    values = {shipped.ERRORS: np.asarray(300.0), shipped.LATENCY: np.asarray(0.5)}
    a, b = shipped.WEIGHTS[shipped.ERRORS], shipped.WEIGHTS[shipped.LATENCY]
    assert float(shipped.shared(values)) == pytest.approx((a * 300 + b * 0.5) / (a + b))
    assert sum(shipped.WEIGHTS.values()) == pytest.approx(1.0)


def test_clean_requests_that_reject_a_floor() -> None:
    assert promotion.clean_requests_needed(0.005, 0.01) == 919  # 0.995^919 < 0.01 < 0.995^918
    assert 0.995**919 < 0.01 < 0.995**918


def test_two_error_free_arms_are_promoted_by_919_requests() -> None:
    policy = promotion.PromotionPolicy()
    state = promotion.opening(policy)
    for _ in range(121):  # a past that is long enough to know that errors come alone
        state = promotion.learn(policy, state, block(0, 9, 0, 0))
    seen = 0
    while promotion.value(policy, state) < 1 / policy.alpha and seen < 1000:
        state = promotion.update(policy, state, block(1, 9, 0, 0))
        seen += 1
    assert 600 < seen <= 919


def test_no_traffic_proves_nothing() -> None:
    policy = promotion.PromotionPolicy()
    state = promotion.opening(policy)
    for _ in range(5000):
        state = promotion.update(policy, state, block(0, 100, 0, 1))
    assert float(promotion.value(policy, state)) == pytest.approx(1.0)


def test_an_even_canary_with_errors_is_promoted_by_the_ratio() -> None:
    policy = promotion.PromotionPolicy(floor=0.0)
    state = promotion.opening(policy)
    for t in range(3000):
        state = promotion.update(policy, state, block(50, 50, t % 10 == 0, t % 10 == 5))
        if promotion.value(policy, state) >= 1 / policy.alpha:
            break
    assert 100 < t < 1500


def test_power_knows_what_cannot_be_seen() -> None:
    policy = shipped.count_policy()
    little = power.power(policy, power.Traffic(5, 0.1, 0.005), 600)
    much = power.power(policy, power.Traffic(500, 0.1, 0.005), 600)
    assert not little.decidable
    assert "undecidable at this traffic: 3,000 requests expected" in little.because
    assert much.decidable
    assert little.needed == pytest.approx(much.needed)
    assert power.power(policy, power.Traffic(5, 0.1, 0.0), 600).needed == math.inf


def test_power_growth_by_hand() -> None:
    policy = StreamPolicy(Kind.COUNTS, Prior((2.0,), (1.0,), 1.0), 1.0)
    per_request = power.growth(policy, power.Traffic(50, 0.1, 0.005), 2.0)
    want = 0.005 * (0.2 * math.log(2) + 1.1 * math.log(1 / 1.1))
    assert per_request == pytest.approx(want)
    halved = power.growth(policy, power.Traffic(50, 0.1, 0.005, phi=2.0), 2.0)
    assert halved == pytest.approx(want / 2)


def test_smallest_visible_ratio_falls_with_traffic() -> None:
    policy = shipped.count_policy()
    seen = [power.smallest_visible(policy, power.Traffic(rps, 0.1, 0.005), 1800) for rps in (5, 50, 500)]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] > seen[2]


def test_band_is_the_published_formula() -> None:
    want = 0.85 * math.sqrt((math.log(math.log(math.e * 10_000)) + 0.8 * math.log(1612 / 0.05)) / 10_000)
    assert quantiles.band_width(10_000) == pytest.approx(want)
    assert quantiles.band_width(0) == 1.0


def test_quantile_band_and_thresholds_of_a_histogram() -> None:
    bounds = (10.0, 20.0, 50.0, 100.0)
    past = np.array([5000, 4000, 900, 90, 10])
    assert quantiles.thresholds(bounds, past, (0.5, 0.9, 0.99)) == (10.0, 20.0, 50.0)
    assert quantiles.thresholds(bounds, np.zeros(5), (0.5,)) == ()
    low, high = quantiles.quantile_band(bounds, past, 0.8)
    assert (low, high) == (10.0, 20.0)
    assert quantiles.quantile_band(bounds, np.zeros(5), 0.8) == (0.0, math.inf)
    assert quantiles.slower_than(bounds, past, (10.0, 50.0)).tolist() == [5000, 100]
    with pytest.raises(ValueError, match="4 bounds need 5 counts"):
        quantiles.thresholds(bounds, np.zeros(4), (0.5,))


def test_betting_on_means_finds_memory_that_grows() -> None:
    policy = bounded.MeanPolicy()
    state = bounded.opening(policy)
    rng = np.random.default_rng(6)
    for t in range(400):
        canary = 0.4 + 0.001 * t + rng.normal(0, 0.02)
        state = bounded.update(policy, state, canary, 0.4 + rng.normal(0, 0.02))
        if bounded.value(state) >= 100:
            break
    assert 50 < t < 300


def test_a_missing_sample_changes_no_evidence() -> None:
    policy = bounded.MeanPolicy()
    state = bounded.update(policy, bounded.opening(policy), 0.5, 0.4)
    again = bounded.update(policy, state, math.nan, math.nan)
    assert codec.to_json(again) == codec.to_json(state)


@pytest.mark.parametrize("bad", [(-1, 1, 0, 0), (1, 1, math.nan, 0), (1, 1, 0, math.inf)])
def test_a_reading_that_makes_no_sense_is_refused(bad: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        block(*bad)


def test_state_of_another_kind_is_refused() -> None:
    plain = codec.to_json(stream.opening(shipped.count_policy()))
    del plain["pending"]
    with pytest.raises(ValueError, match="expected the fields past, pending, evidence"):
        codec.from_json(stream.Stream, plain)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Prior((2.0,), (0.5,)),
        lambda: Prior((), ()),
        lambda: Prior((2.0,), (1.0,), at_start=0.0),
        lambda: promotion.PromotionPolicy(worst_ratio=1.0),
        lambda: promotion.PromotionPolicy(floor=1.0),
    ],
)
def test_policies_without_sense_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"prior|promotion"):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("form", ["a field of another name", "an array of another length", "no state at all"])
def test_what_another_tidegate_kept_in_another_form_begins_anew(form: str) -> None:
    fresh = stream.opening(shipped.count_policy())
    plain = codec.to_json(fresh)
    name = next(name for name, value in plain.items() if isinstance(value, list) and value)
    match form:
        case "a field of another name":
            plain["tail"] = plain.pop(name)
        case "an array of another length":
            plain[name] = [*plain[name], 1.0]
        case _:
            plain = {name: None}
    assert codec.revive(fresh, plain) is fresh


def test_what_was_kept_in_this_form_is_revived() -> None:
    rules = shipped.count_policy()
    fresh = stream.opening(rules)
    state = stream.learn(rules, fresh, block(0, 100, 0, 3))
    assert codec.to_json(codec.revive(fresh, codec.to_json(state))) == codec.to_json(state) != codec.to_json(fresh)
