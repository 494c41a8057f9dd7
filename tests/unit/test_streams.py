"""Sequential evidence of any metric: counts against exposure, bounded means, histograms; shared by on_fail."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.memory import QUICK, release, workload
from tidegate.core import analysis
from tidegate.core.analysis import streams
from tidegate.core.replay import Replayed, of_series
from tidegate.model.judging import OnFail, Role, SequentialMetric, Worse
from tidegate.model.metering import Form, bucket_of, exposure_of
from tidegate.model.observation import Block, Traffic
from tidegate.model.release import Revision
from tidegate.model.rollout import Phase, Rollout
from tidegate.model.spec import Analysis, Rollback, Sequential
from tidegate.model.verdict import Outcome, Verdict

ERRORS = SequentialMetric("log_errors", "logs", "level>=error")
ORDERS = SequentialMetric("orders", "scrape", "orders_total", per="visits_total", worse=Worse.LESS)
MEMORY = SequentialMetric("memory", "stats", "memory_share", Form.MEAN, margin=0.05, interval_s=5.0)
DELAY = SequentialMetric("delay", "scrape", "task_seconds", Form.HISTOGRAM)
STABLE, CANARY = 1, 2
LOOK = 5
Values = dict[str, dict[int, float]]


def rollout(*metrics: SequentialMetric, routed: bool = False, sequential: Sequential | None = None) -> Rollout:
    base = workload(routes=routed)
    candidate = Revision(CANARY, "prod", release("2.0.0", base), base)
    watched = Analysis((), sequential=sequential, streams=metrics)
    return Rollout("r", candidate, QUICK, watched, Rollback(), 0.0, Phase.PROGRESSING)


def counted(
    metric: SequentialMetric, rates: dict[int, float], each: dict[int, float], seed: int = 1
) -> Iterator[Values]:
    """Cumulative events (Poisson-like, by coin tosses) of `each` units of exposure a second."""
    chance, events, exposure = random.Random(seed), dict.fromkeys(rates, 0.0), dict.fromkeys(rates, 0.0)
    while True:
        for revision, rate in rates.items():
            exposure[revision] += each[revision]
            events[revision] += sum(chance.random() < rate * each[revision] / 20 for _ in range(20))
        yield {metric.name: dict(events), exposure_of(metric.name): dict(exposure)}


def watched(before: Rollout, values: Callable[[int], Block], seconds: int) -> tuple[Rollout, Verdict, int]:
    """Feed a second after the other until it fails or the time is over; how long it took."""
    now = analysis.begin(before, 0.0, (), STABLE)
    verdict = Verdict(Outcome.INCONCLUSIVE, "")
    for second in range(1, seconds + 1):
        now = analysis.take(now, (values(second),), STABLE)
        if second % LOOK:
            continue
        verdict = analysis.judge(now, 1, float(second), True)
        if verdict.outcome is Outcome.FAIL:
            return now, verdict, second
    return now, verdict, seconds


def fed(source: Iterator[Values]) -> Callable[[int], Block]:
    return lambda second: Block(float(second), 1.0, values=next(source))


def test_an_agent_without_routes_is_judged_by_its_log_with_the_numbers() -> None:
    source = counted(ERRORS, {STABLE: 0.02, CANARY: 0.5}, {STABLE: 3.0, CANARY: 1.0})
    _, verdict, took = watched(rollout(ERRORS), fed(source), 600)
    assert verdict.outcome is Outcome.FAIL
    assert took < 240, took
    assert "log_errors: canary " in verdict.because
    assert "instance-seconds, stable " in verdict.because
    assert "times as many; evidence " in verdict.because
    assert "against a limit of 100; seen after " in verdict.because
    assert "one instance, so a bad host cannot be told from a bad version" in verdict.because


def test_a_healthy_agent_without_routes_is_left_alone() -> None:
    for seed in range(3):
        source = counted(ERRORS, {STABLE: 0.2, CANARY: 0.2}, {STABLE: 3.0, CANARY: 1.0}, seed)
        _, verdict, _ = watched(rollout(ERRORS), fed(source), 400)
        assert verdict.outcome is Outcome.PASS, verdict


def test_fewer_orders_are_worse_and_more_are_not() -> None:
    each = {STABLE: 10.0, CANARY: 10.0}
    _, fewer, _ = watched(rollout(ORDERS), fed(counted(ORDERS, {STABLE: 0.3, CANARY: 0.05}, each)), 600)
    _, more, _ = watched(rollout(ORDERS), fed(counted(ORDERS, {STABLE: 0.05, CANARY: 0.3}, each)), 600)
    assert fewer.outcome is Outcome.FAIL
    assert "visits_total" in fewer.because
    assert more.outcome is Outcome.PASS


def memory(canary: Callable[[int], float], noise: float = 0.02) -> Callable[[int], Block]:
    chance = random.Random(7)

    def block(second: int) -> Block:
        jitter = chance.uniform(-noise, noise), chance.uniform(-noise, noise)
        return Block(second, 1.0, values={"memory": {STABLE: 0.4 + jitter[0], CANARY: canary(second) + jitter[1]}})

    return block


def test_a_slow_leak_is_found_by_its_mean_and_steady_memory_is_not() -> None:
    _, leaking, took = watched(rollout(MEMORY), memory(lambda second: min(0.4 + second / 1000, 1.0)), 900)
    _, steady, _ = watched(rollout(MEMORY), memory(lambda second: 0.42), 900)
    assert leaking.outcome is Outcome.FAIL
    assert took < 400, took
    assert "memory: canary 0." in leaking.because
    assert "0.05 more allowed" in leaking.because
    assert steady.outcome is Outcome.PASS


@pytest.mark.parametrize("worse", list(Worse))
def test_a_mean_that_is_an_objective_is_promoted_on_proof_and_on_nothing_less(worse: Worse) -> None:
    """`margin` 0.05 and `worst_ratio` 2: proven when the canary's mean is less than 0.1 worse than stable's."""
    sign = 1 if worse is Worse.MORE else -1
    objective = replace(MEMORY, role=Role.OBJECTIVE, worse=worse)

    def said(difference: float, seconds: int = 600) -> Replayed:
        values = memory(lambda second: 0.4 + sign * difference)
        return of_series([values(at) for at in range(1, seconds + 1)], Analysis((), None, streams=(objective,)))

    same = said(0.0)
    assert same.decision == "promoted"
    assert "memory proven not worse: canary 0." in same.because
    assert said(-0.2).decision == "promoted", "better is not worse"
    early = said(0.0, 30)
    assert early.decision == "undecided"
    assert "memory not proven yet" in early.because
    near = said(0.1, 900)
    assert near.decision != "promoted", "at the limit itself nothing is proven"
    assert said(0.2).decision == "rolled back"


def test_a_mean_of_one_side_alone_proves_nothing() -> None:
    objective = replace(MEMORY, role=Role.OBJECTIVE)
    now = analysis.begin(rollout(objective), 0.0, (), STABLE)
    for alone in (CANARY, STABLE):
        for at in range(1, 200):
            now = analysis.take(now, (Block(at, 1.0, values={"memory": {alone: 0.4}}),), STABLE)
        assert not analysis.proven(now)[0]


def delays(slow: float) -> Callable[[int], Block]:
    """A histogram of 20 tasks a second and arm, cumulative; `slow` is the canary's share above 0.1 s."""
    upto = {STABLE: [0.0] * 3, CANARY: [0.0] * 3}
    chance = random.Random(3)

    def block(second: int) -> Block:
        for revision, share in ((STABLE, 0.05), (CANARY, slow)):
            above = sum(chance.random() < share for _ in range(20))
            for index, count in enumerate((20 - above - 5, 20 - above, 20)):
                upto[revision][index] += count
        names = (bucket_of("delay", 0.01), bucket_of("delay", 0.1), "delay")
        values = {name: {r: upto[r][index] for r in upto} for index, name in enumerate(names)}
        return Block(second, 1.0, values=values)

    return block


def test_a_histogram_of_the_agents_own_tells_slow_tasks() -> None:
    _, slow, took = watched(rollout(DELAY), delays(0.3), 300)
    _, same, _ = watched(rollout(DELAY), delays(0.05), 300)
    assert slow.outcome is Outcome.FAIL
    assert took < 120, took
    assert "above 0.1 in " in slow.because
    assert same.outcome is Outcome.PASS


def test_metrics_with_the_same_on_fail_share_evidence_and_others_stand_apart() -> None:
    second = replace(ERRORS, name="more_errors")
    paused = replace(ERRORS, name="paused", on_fail=OnFail.PAUSE)
    only_seen = replace(ERRORS, name="seen", role=Role.OBSERVE)
    source = counted(ERRORS, {STABLE: 0.02, CANARY: 1.0}, {STABLE: 3.0, CANARY: 1.0})

    def block(at: int) -> Block:
        values = next(source)
        events, exposure = values[ERRORS.name], values[exposure_of(ERRORS.name)]
        quiet: dict[int, float] = {STABLE: 0.0, CANARY: 0.0}
        found = {"more_errors": quiet, exposure_of("more_errors"): exposure}
        for name in (ERRORS.name, "paused", "seen"):
            found |= {name: events, exposure_of(name): exposure}
        return Block(at, 1.0, values=found)

    now = analysis.begin(rollout(ERRORS, second, paused, only_seen), 0.0, (), STABLE)
    firsts: dict[str, int] = {}
    for at in range(1, 300):
        now = analysis.take(now, (block(at),), STABLE)
        for one in analysis.judge(now, 2, at, True).metrics:
            if one.outcome is Outcome.FAIL:
                firsts.setdefault(one.metric, at)
    by_name = {one.metric: one for one in analysis.judge(now, 2, 300, True).metrics}
    assert firsts["paused"] < firsts["log_errors"], "whoever shares has twice as far to go"
    assert "more_errors" not in firsts, "the metric that brings the evidence fails, not its neighbour"
    assert "shared with more_errors: " in by_name["log_errors"].because
    assert by_name["seen"].observed
    assert "shared with" not in by_name["seen"].because


def test_no_data_of_either_arm_never_passes() -> None:
    now = analysis.begin(rollout(ERRORS), 0.0, (), STABLE)
    assert analysis.judge(now, 1, 1.0, True).outcome is Outcome.INCONCLUSIVE
    alone = {ERRORS.name: {CANARY: 5.0}, exposure_of(ERRORS.name): {CANARY: 60.0}}
    now = analysis.take(now, tuple(Block(at, 1.0, values=alone) for at in range(1, 90)), STABLE)
    verdict = analysis.judge(now, 1, 90.0, True)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "at the same time" in verdict.because


def test_a_source_that_is_down_is_named_and_what_it_missed_is_not_lost() -> None:
    down = analysis.begin(rollout(ERRORS), 0.0, (), STABLE)
    source = counted(ERRORS, {STABLE: 0.2, CANARY: 0.2}, {STABLE: 3.0, CANARY: 1.0})
    seen = [next(source) for _ in range(60)]
    whole = down
    for at, values in enumerate(seen, start=1):
        whole = analysis.take(whole, (Block(at, 1.0, values=values),), STABLE)
        away = 20 <= at < 30
        block = Block(at, 1.0, missing={"logs": "no answer"}) if away else Block(at, 1.0, values=values)
        down = analysis.take(down, (block,), STABLE)
        if away:
            assert analysis.down(down) == "no data from metric source logs (no answer)"
            assert "no data from source logs: no answer" in analysis.judge(down, 1, at, True).because
    assert not analysis.down(down)
    assert streams.numbers(ERRORS, down.streams["log_errors"]) == streams.numbers(ERRORS, whole.streams["log_errors"])


def test_a_reset_takes_nothing_away() -> None:
    now = analysis.begin(rollout(ERRORS), 0.0, (), STABLE)
    for at, (events, seconds) in enumerate(((10, 100), (12, 101), (1, 1), (2, 2)), start=1):
        values = {
            ERRORS.name: {STABLE: 0.0, CANARY: float(events)},
            exposure_of(ERRORS.name): {STABLE: 3.0 * at, CANARY: float(seconds)},
        }
        now = analysis.take(now, (Block(at, 1.0, values=values),), STABLE)
    seen = streams.numbers(ERRORS, now.streams["log_errors"])
    assert seen.k[0] == 2 + 1 + 1
    assert seen.n[0] == 1 + 1 + 1


def test_an_objective_is_proven_before_promotion() -> None:
    proven = replace(ERRORS, role=Role.OBJECTIVE, floor=0.01)
    now = analysis.begin(rollout(proven), 0.0, (), STABLE)
    sure, why = analysis.proven(now)
    assert not sure
    assert "log_errors not proven yet" in why
    source = counted(proven, {STABLE: 0.0, CANARY: 0.0}, {STABLE: 3.0, CANARY: 1.0})
    for at in range(1, 700):
        now = analysis.take(now, (Block(at, 1.0, values=next(source)),), STABLE)
    assert analysis.proven(now)[0], "two error-free arms are proven by the floor"


def test_the_gateways_numbers_may_have_an_on_fail_of_their_own() -> None:
    latency = SequentialMetric("slow", query="latency", form=Form.HISTOGRAM, on_fail=OnFail.PAUSE)
    start = rollout(latency, routed=True, sequential=Sequential())
    chance = random.Random(5)

    def arm(slow: float) -> Traffic:
        above = sum(chance.random() < slow for _ in range(50))
        return Traffic(50, 0, (0, 0, 0, 0, 50 - above, above, *[0] * 14))

    _, verdict, _ = watched(start, lambda at: Block(at, 1.0, {STABLE: arm(0.05), CANARY: arm(0.4)}), 200)
    assert verdict.outcome is Outcome.FAIL
    assert {one.metric: one.on_fail for one in verdict.metrics if one.outcome is Outcome.FAIL}["slow"] is OnFail.PAUSE


@pytest.mark.parametrize("every", [1, 7])
def test_the_result_does_not_depend_on_how_often_one_looks(every: int) -> None:
    source = counted(ERRORS, {STABLE: 0.3, CANARY: 0.6}, {STABLE: 3.0, CANARY: 1.0}, 9)
    blocks = [Block(at, 1.0, values=next(source)) for at in range(1, 141)]
    now = analysis.begin(rollout(ERRORS), 0.0, (), STABLE)
    for start in range(0, len(blocks), every):
        now = analysis.take(now, blocks[start : start + every], STABLE)
    assert streams.evidence(ERRORS, now.streams["log_errors"]) == pytest.approx(1.0, rel=50)
    once = analysis.take(analysis.begin(rollout(ERRORS), 0.0, (), STABLE), blocks, STABLE)
    assert now.streams == once.streams
