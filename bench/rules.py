"""The rules that the benchmark compares, each over many runs at once: ours, the oracle, and what the field uses.

Every rule has `learn(second)` for the past, `step(second)`, `look(minutes)` every 5 s, and `hit`: minutes until it
rolled back, inf if never. Ours and the oracle call the shipped code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from traffic import BOUNDS_MS, Arm, Scenario, Traffic, exceed

from tidegate.core.judges import kayenta
from tidegate.core.stats import histograms, shipped, stream
from tidegate.core.stats.blocks import Block
from tidegate.core.stats.evidence import Prior
from tidegate.core.stats.stream import Kind, StreamPolicy
from tidegate.model.verdict import Outcome

ALPHA = 0.01
LOOK_S = 5


def thresholds() -> np.ndarray:
    """The bucket bounds nearest to the quantiles that the shipped policy watches."""
    shares = np.clip(exceed(BOUNDS_MS), 1e-12, 1 - 1e-12)
    odds = np.log(shares / (1 - shares))
    wanted = [np.log((1 - q) / q) for q in shipped.QUANTILES]
    return np.array([BOUNDS_MS[np.argmin(np.abs(odds - w))] for w in wanted])


THRESHOLDS = thresholds()


@dataclass(frozen=True)
class Second:
    """One second of both arms."""

    stable: Arm
    canary: Arm

    def errors(self) -> Block:
        one = np.ones(len(self.stable.requests))
        return Block(one, self.canary.requests, self.stable.requests, self.canary.errors, self.stable.errors)

    def slow(self, column: int) -> Block:
        one = np.ones(len(self.stable.requests))
        slow = self.canary.slow[:, column], self.stable.slow[:, column]
        return Block(one, self.canary.requests, self.stable.requests, *slow)


class Hits:
    """When each run was rolled back."""

    def __init__(self, runs: int) -> None:
        self.hit = np.full(runs, np.inf)

    def mark(self, fired: np.ndarray, minutes: float) -> None:
        self.hit = np.where(fired & np.isinf(self.hit), minutes, self.hit)

    def done(self) -> bool:
        return bool(np.isfinite(self.hit).all())


class Tidegate(Hits):
    """The shipped policy with all its metrics on."""

    def __init__(self, margin: float, runs: int) -> None:
        super().__init__(runs)
        self.of_errors, self.of_latency = shipped.count_policy(margin), shipped.latency_policy(margin)
        self.errors = stream.opening(self.of_errors, (runs,))
        self.latency = histograms.opening(self.of_latency, (runs,))
        self.second = np.ones(runs)

    def learn(self, second: Second) -> None:
        self.errors = stream.learn(self.of_errors, self.errors, second.errors())
        self.latency = histograms.learn(self.of_latency, self.latency, self.second, second.stable.cells())

    def step(self, second: Second) -> None:
        if not self.done():
            values = self.values()
            beside = {name: shipped.beside(values, name) for name in values}
            arms = second.canary.cells(), second.stable.cells()
            self.errors = stream.update(self.of_errors, self.errors, second.errors(), beside[shipped.ERRORS])
            self.latency = histograms.update(self.of_latency, self.latency, self.second, arms, beside[shipped.LATENCY])

    def values(self) -> dict[str, np.ndarray]:
        return {
            shipped.ERRORS: stream.value(self.of_errors, self.errors),
            shipped.LATENCY: histograms.value(self.of_latency, self.latency),
        }

    def look(self, minutes: float) -> None:
        if not self.done():
            self.mark(shipped.shared(self.values()) >= 1 / ALPHA, minutes)


class Oracle(Hits):
    """The sequential probability ratio test that knows the metric, the true ratio and the onset; same blocks, margin,
    alpha, dispersion and cap. For latency it also knows the best of stable's p50, p75, p90, p95 and p99."""

    def __init__(self, policy: StreamPolicy, column: int | None, onset_s: int, runs: int) -> None:
        super().__init__(runs)
        self.policy, self.column, self.wait = policy, column, onset_s
        self.state = stream.opening(policy, (runs,))

    def _block(self, second: Second) -> Block:
        return second.errors() if self.column is None else second.slow(self.column)

    def learn(self, second: Second) -> None:
        self.state = stream.learn(self.policy, self.state, self._block(second))

    def step(self, second: Second) -> None:
        if self.wait > 0:
            self.wait -= 1
            self.learn(second)
        elif not self.done():
            self.state = stream.update(self.policy, self.state, self._block(second))

    def look(self, minutes: float) -> None:
        self.mark(stream.value(self.policy, self.state) >= 1 / ALPHA, minutes)


def oracles(scenario: Scenario, margin: float, runs: int) -> list[Oracle]:
    """Every oracle that could know what is wrong in a scenario; the best of them is the yardstick."""
    if scenario.healthy:
        return []
    if scenario.error_ratio > 1:
        prior = Prior((scenario.error_ratio,), (1.0,), 1.0)
        return [Oracle(StreamPolicy(Kind.COUNTS, prior, margin), None, scenario.onset_s, runs)]
    traffic = Traffic(scenario, 1, 1, THRESHOLDS, 0)
    stable, canary = traffic.slow_shares(False), traffic.slow_shares(True)
    odds = canary / (1 - canary) / (stable / (1 - stable))
    return [
        Oracle(StreamPolicy(Kind.SHARES, Prior((float(odds[i]),), (1.0,), 1.0), margin), i, scenario.onset_s, runs)
        for i in range(5)
        if odds[i] > margin * 1.02
    ]


class Minutes(Hits):
    """What peers see: sums over whole minutes, canary (1) and stable (0)."""

    def __init__(self, runs: int) -> None:
        super().__init__(runs)
        self.seconds = 0
        self.now = self._zero(runs)
        self.minute = self.now
        self.total = self._zero(runs)

    @staticmethod
    def _zero(runs: int) -> np.ndarray:
        return np.zeros((2, 2 + len(THRESHOLDS), runs))

    def learn(self, second: Second) -> None:
        pass

    def step(self, second: Second) -> None:
        self.seconds += 1
        for i, arm in enumerate((second.stable, second.canary)):
            self.now[i, 0] += arm.requests
            self.now[i, 1] += arm.errors
            self.now[i, 2:] += arm.slow.T

    def look(self, minutes: float) -> None:
        if self.seconds % 60 == 0:
            self.minute, self.now = self.now, self._zero(len(self.hit))
            self.total = self.total + self.minute
            self.judge(minutes)

    def judge(self, minutes: float) -> None:
        raise NotImplementedError

    def bad(self) -> tuple[np.ndarray, np.ndarray]:
        """The last minute: success below 99 %; p99 above 500 ms (a bucket bound near it). No requests is bad too."""
        n = self.minute[1, 0]
        empty = n == 0
        share = np.divide(self.minute[1, 1], n, out=np.ones_like(n), where=~empty)
        slow = np.divide(self.minute[1, -1], n, out=np.ones_like(n), where=~empty)
        return (share > 0.01) | empty, (slow > 0.01) | empty


class Flagger(Minutes):
    """Flagger's documentation: success rate at least 99 %, p99 at most 500 ms over 1 min; 5 failed checks, then the
    next tick rolls back."""

    def __init__(self, runs: int) -> None:
        super().__init__(runs)
        self.failed = np.zeros(runs)

    def judge(self, minutes: float) -> None:
        self.mark(self.failed >= 5, minutes)
        errors, slow = self.bad()
        self.failed += errors | slow


class Argo(Minutes):
    """Two metrics with the same conditions, failureLimit 3 each."""

    def __init__(self, runs: int) -> None:
        super().__init__(runs)
        self.failed = np.zeros((2, runs))

    def judge(self, minutes: float) -> None:
        self.failed += np.stack(self.bad())
        self.mark((self.failed > 3).any(axis=0), minutes)


class ZTest(Minutes):
    """A pooled two-proportion z-test on everything so far, one-sided at 0.01, every minute, on one metric: errors, or
    in the latency scenarios the share slower than stable's p90."""

    def __init__(self, column: int, runs: int) -> None:
        super().__init__(runs)
        self.column = column

    def judge(self, minutes: float) -> None:
        n, k = self.total[:, 0], self.total[:, self.column]
        pooled = k.sum(axis=0) / n.sum(axis=0)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / n).sum(axis=0))
        z = np.divide(k[1] / n[1] - k[0] / n[0], spread, out=np.zeros_like(spread), where=spread > 0)
        self.mark(z > 2.3263, minutes)


class Kayenta(Minutes):
    """The Mann-Whitney judge on one value a minute of error share and mean latency; a look every 5 min; a score that
    fails rolls back. Only the first `most` runs, for it is slow."""

    def __init__(self, runs: int, most: int = 100) -> None:
        super().__init__(runs)
        self.most = min(most, runs)
        self.hit = self.hit[: self.most]
        self.series: list[np.ndarray] = []
        metrics = tuple(
            kayenta.MetricConfig(name, (name,), direction=kayenta.Direction.INCREASE) for name in ("errors", "latency")
        )
        self.config = kayenta.JudgeConfig(metrics, {"errors": 50.0, "latency": 50.0})
        self.widths = np.diff(np.concatenate(([0.0], THRESHOLDS, [2 * THRESHOLDS[-1]])))

    def look(self, minutes: float) -> None:
        if self.seconds % 60 == 0:
            self.minute, self.now = self.now, self._zero(self.now.shape[2])
            self.judge(minutes)

    def judge(self, minutes: float) -> None:
        n = self.minute[:, 0, : self.most]
        some = np.where(n > 0, n, np.nan)
        above = np.concatenate((n[:, None], self.minute[:, 2:, : self.most]), axis=1) / some[:, None]
        mean = np.einsum("atr,t->ar", above, self.widths)
        self.series.append(np.stack((self.minute[:, 1, : self.most] / some, mean)))
        if len(self.series) % 5:
            return
        values = np.array(self.series)  # minute, metric, arm, run
        for run in np.flatnonzero(np.isinf(self.hit)):
            samples = {
                name: (values[:, i, 1, run], values[:, i, 0, run]) for i, name in enumerate(("errors", "latency"))
            }
            if kayenta.judge(self.config, samples, compat=True).outcome is Outcome.FAIL:
                self.hit[run] = minutes
