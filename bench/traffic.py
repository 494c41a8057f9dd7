"""Simulated traffic of a canary (10 %) and stable, in 1-s blocks, for many runs at once.

Latency is lognormal (median 120 ms, sigma 0.5) and is seen as a histogram only; an error is an error share of 0.5 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MEDIAN_MS, SIGMA, ERROR_SHARE, CANARY = 120.0, 0.5, 0.005, 0.10
BOUNDS_MS = np.array([1.25**i for i in range(0, 50)])  # 1 ms .. 56 s, each bucket 25 % wider than the last


def normal_cdf(z: np.ndarray) -> np.ndarray:
    """The standard normal distribution function."""
    return np.array([math.erfc(-value / math.sqrt(2)) / 2 for value in np.atleast_1d(z)])


def exceed(bounds_ms: np.ndarray, stretch: float = 1.0) -> np.ndarray:
    """Share of requests slower than each bound when all are `stretch` times slower."""
    return 1.0 - normal_cdf(np.log(bounds_ms / (MEDIAN_MS * stretch)) / SIGMA)


@dataclass(frozen=True)
class Scenario:
    """What is wrong with the canary (or with both arms), and from when."""

    name: str
    healthy: bool = False
    error_ratio: float = 1.0
    stretch: float = 1.0
    tail_share: float = 0.0
    tail_stretch: float = 10.0
    onset_s: int = 0
    burst: float = 0.0
    incident: tuple[int, int] = (0, 0)
    cycle: bool = False


SCENARIOS = (
    Scenario("x2", error_ratio=2.0),
    Scenario("x5", error_ratio=5.0),
    Scenario("x20", error_ratio=20.0),
    Scenario("latency+20", stretch=1.2),
    Scenario("latency+100", stretch=2.0),
    Scenario("tail3", tail_share=0.03),
    Scenario("late20", error_ratio=5.0, onset_s=1200),
    Scenario("null", healthy=True),
    Scenario("incident", healthy=True, incident=(900, 1500)),
    Scenario("burst3", healthy=True, burst=3.0),
    Scenario("burst10", healthy=True, burst=10.0),
    Scenario("loadcycle", healthy=True, cycle=True),
    Scenario("margin1.2", healthy=True, error_ratio=1.2),
)


@dataclass
class Arm:
    """One arm's second: requests, errors, and how many requests were slower than each threshold."""

    requests: np.ndarray
    errors: np.ndarray
    slow: np.ndarray

    def cells(self) -> np.ndarray:
        """Requests between the thresholds: (thresholds + 1, runs)."""
        return -np.diff(self.slow.T, axis=0, prepend=self.requests[None], append=0.0)


class Traffic:
    """`second(t)` gives both arms' blocks; `t` may be negative: the past, in which there is no canary."""

    def __init__(self, scenario: Scenario, rps: float, runs: int, thresholds_ms: np.ndarray, seed: int) -> None:
        self.scenario, self.rps, self.runs, self.thresholds = scenario, rps, runs, thresholds_ms
        self.rng = np.random.default_rng(seed)
        self.pause = np.zeros((2, runs))

    def slow_shares(self, canary: bool) -> np.ndarray:
        """Exceedance of each threshold."""
        s = self.scenario
        stretch = s.stretch if canary else 1.0
        out = exceed(self.thresholds, stretch)
        if canary and s.tail_share:
            out = (1 - s.tail_share) * out + s.tail_share * exceed(self.thresholds, s.tail_stretch)
        return out

    def arm(self, t: int, which: int) -> Arm:
        s, rng, runs = self.scenario, self.rng, self.runs
        canary = which == 1
        rate = self.rps * (CANARY if canary else 1.0 - CANARY)
        phase = 0.5 * (1.0 - np.cos(2 * np.pi * t / 1200.0)) if s.cycle else 0.0  # 0 at night, 1 at noon
        if s.cycle:
            rate *= 0.3 + 1.4 * phase
        requests = rng.poisson(rate, runs)
        faulty = canary and t >= s.onset_s
        share = ERROR_SHARE * (s.error_ratio if faulty else 1.0)
        if s.incident[0] <= t < s.incident[1]:
            share = 0.05
        burst = 1.0 + 4.0 * phase if s.cycle else s.burst
        if burst > 1.0:
            bursts = rng.poisson(rate * share / burst, runs)
            errors = bursts.copy()
            some = bursts > 0
            # geometric sizes from 1, mean `burst`: the sum of b of them is b + negative binomial
            errors[some] += rng.negative_binomial(bursts[some], 1.0 / burst)
            requests = np.maximum(requests, errors)
        else:
            errors = rng.binomial(requests, min(share, 1.0))
        shares = self.slow_shares(faulty)
        shares = np.broadcast_to(shares, (runs, len(shares)))
        if s.cycle:
            # a pause of the collector: starts every 30 s on average in each arm, lasts 2.5 s on average, and then
            # 30 % of the requests are three times slower; at noon everything is 10 % slower in both arms
            start = rng.random(runs) < 1 / 30
            goes_on = rng.random(runs) < 0.6
            self.pause[which] = np.where(self.pause[which] > 0, goes_on, start)
            calm = exceed(self.thresholds, 1.0 + 0.1 * phase)
            paused = 0.7 * calm + 0.3 * exceed(self.thresholds, 3.0)
            shares = np.where(self.pause[which][:, None] > 0, paused, calm)
        left = requests
        slow = np.empty((runs, len(self.thresholds)))
        before = np.ones(runs)
        for i in range(len(self.thresholds)):
            left = rng.binomial(left, np.clip(shares[:, i] / before, 0, 1))
            slow[:, i] = left
            before = np.maximum(shares[:, i], 1e-12)
        return Arm(requests.astype(float), errors.astype(float), slow)
