"""A guard from the gateway's blocks: what it finds, what it leaves alone, what it says."""

import json

import numpy as np
import pytest

from tidegate.core.stats import codec, guard
from tidegate.core.stats.guard import Guard, GuardPolicy
from tidegate.model.observation import LATENCY_BOUNDS_MS, Traffic

POLICY = GuardPolicy()


class Service:
    """Requests with lognormal latency around 120 ms, in the gateway's buckets."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def second(self, requests: float, errors: float = 0.005, stretch: float = 1.0) -> Traffic:
        n = int(self.rng.poisson(requests))
        spent = 120 * stretch * np.exp(0.5 * self.rng.standard_normal(n))
        counts = np.bincount(np.searchsorted(LATENCY_BOUNDS_MS, spent), minlength=len(LATENCY_BOUNDS_MS) + 1)
        return Traffic(n, int(self.rng.binomial(n, errors)), tuple(int(c) for c in counts))


def learnt(service: Service, seconds: int = 300) -> Guard:
    state = guard.opening(POLICY)
    for _ in range(seconds):
        state = guard.learn(POLICY, state, 1.0, service.second(90))
    return state


def until(service: Service, seconds: int, **fault: float) -> tuple[Guard, int]:
    state = learnt(service)
    for t in range(seconds):
        state = guard.update(POLICY, state, 1.0, service.second(10, **fault), service.second(90))
        if guard.worse(POLICY, state) >= POLICY.limit:
            return state, t + 1
    return state, seconds


def test_errors_are_found_and_told() -> None:
    state, seconds = until(Service(1), 300, errors=0.05)
    assert seconds < 60
    words = guard.because(POLICY, state, instances=1)
    assert f"in {state.totals[guard.N_CANARY]:,.0f} requests, stable" in words
    assert "against a limit of 100; seen after" in words
    assert "one instance, so a bad host cannot be told from a bad version" in words


def test_slowness_is_found_and_told() -> None:
    state, seconds = until(Service(2), 300, stretch=2.0)
    assert seconds < 30
    assert "slower than" in guard.because(POLICY, state)


def test_a_healthy_canary_is_left_alone_and_proven() -> None:
    state, seconds = until(Service(3), 900)
    assert seconds == 900
    assert guard.good_enough(POLICY, state) >= 1 / POLICY.promotion.alpha


def test_thresholds_are_fixed_from_the_past() -> None:
    service = Service(4)
    state = learnt(service)
    before = state.thresholds_ms.tolist()
    assert set(before) <= set(LATENCY_BOUNDS_MS)
    for _ in range(60):
        state = guard.update(POLICY, state, 1.0, service.second(10, stretch=3.0), service.second(90, stretch=3.0))
    assert state.thresholds_ms.tolist() == before


def test_no_data_decides_nothing() -> None:
    state = learnt(Service(5))
    for _ in range(600):
        state = guard.update(POLICY, state, 1.0, Traffic(), Traffic())
    assert guard.worse(POLICY, state) == pytest.approx(1.0)
    assert guard.good_enough(POLICY, state) == pytest.approx(1.0)


def test_errors_alone_when_there_is_no_histogram() -> None:
    state = guard.opening(POLICY)
    for _ in range(120):
        state = guard.learn(POLICY, state, 1.0, Traffic(90, 0))
    for _ in range(60):
        state = guard.update(POLICY, state, 1.0, Traffic(10, 5), Traffic(90, 0))
    assert guard.worse(POLICY, state) >= POLICY.limit
    assert "canary 300 errors in 600 requests, stable 0 in 5,400; evidence" in guard.because(POLICY, state)


def test_a_restart_changes_no_bit_and_a_next_canary_starts_at_one() -> None:
    service = Service(6)
    state = learnt(service)
    for _ in range(20):
        state = guard.update(POLICY, state, 1.0, service.second(10), service.second(90))
    kept = codec.from_json(Guard, json.loads(json.dumps(codec.to_json(state))))
    canary, stable = service.second(10), service.second(90)
    straight, resumed = (codec.to_json(guard.update(POLICY, s, 1.0, canary, stable)) for s in (state, kept))
    assert straight == resumed
    fresh = guard.next_canary(POLICY, state)
    assert guard.worse(POLICY, fresh) == pytest.approx(1.0)
    assert np.array_equal(fresh.errors.past.sums, state.errors.past.sums)


@pytest.mark.parametrize("seconds", [30, 600])
def test_traffic_is_expected_from_stable_before_the_canary_and_from_both_after(seconds: int) -> None:
    service = Service(7)
    state = learnt(service, seconds)
    before = guard.traffic(POLICY, state, 0.1)
    assert before is not None
    assert before.per_second == pytest.approx(90, rel=0.05)
    assert before.share >= POLICY.promotion.floor
    for _ in range(20):
        state = guard.update(POLICY, state, 1.0, service.second(30), service.second(70))
    after = guard.traffic(POLICY, state, 0.3)
    assert after is not None
    assert after.per_second == pytest.approx(100, rel=0.1)
    assert guard.traffic(POLICY, guard.opening(POLICY), 0.1) is None
