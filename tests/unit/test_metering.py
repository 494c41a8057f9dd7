"""The keeper of a rollout's metric sources: deadlines, names of what is down, and nothing in the sampler's way."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.memory import KEY, QUICK, release, workload
from tidegate.controller.clock import WallClock
from tidegate.controller.metering import Metered, Metering
from tidegate.core import analysis
from tidegate.core.analysis import sequential, thresholds
from tidegate.model.errors import MetricError
from tidegate.model.metering import Origin, OriginKind, Question, Reading, Subject
from tidegate.model.observation import Block, Observation, Traffic
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Analysis, Rollback, Sequential, ThresholdMetric
from tidegate.model.verdict import Outcome

MEMORY = ThresholdMetric("memory", source="stats", query="memory_share", failure_condition="result > 0.5")


@dataclass
class Scripted:
    """A source that does what it is told."""

    reading: Reading = field(default_factory=Reading)
    error: str = ""
    slow_s: float = 0.0
    closed: bool = False
    asked: list[Subject] = field(default_factory=list)

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        self.asked.append(subject)
        await asyncio.sleep(self.slow_s)
        if self.error:
            raise MetricError(self.error)
        return self.reading

    async def close(self) -> None:
        self.closed = True


def rollout(watched: Analysis) -> Rollout:
    base = workload()
    candidate = Revision(2, "prod", release("2.0.0", base), base)
    return Rollout("r", candidate, QUICK, watched, Rollback(), 0.0, Phase.PROGRESSING)


def state(watched: Analysis) -> AgentState:
    base = workload()
    return AgentState(KEY, stable=Revision(1, "prod", release("1.0.0", base), base), rollout=rollout(watched))


async def until(metering: Metering, good: Callable[[Metered], object]) -> Metered:
    end = time.monotonic() + 10
    while not good(found := metering.now()):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.01)
    return found


def watching(*origins: Origin) -> Analysis:
    return Analysis((MEMORY,), sequential=None, sources=origins)


FAST = Origin("stats", OriginKind.STATS, period_s=0.05, timeout_s=0.2)


async def test_values_reach_the_sampler_and_what_is_down_is_named() -> None:
    source = Scripted(Reading({"memory": {1: 0.2, 2: 0.4}}))
    metering = Metering(KEY, lambda origin: source, WallClock())
    metering.follow(state(watching(FAST)), Observation(0.0))
    assert metering.now() == Metered()  # nothing was heard yet: neither a value nor a fault
    found = await until(metering, lambda now: now.values)
    assert found == Metered({"memory": {1: 0.2, 2: 0.4}})
    assert source.asked[0].revisions == (2, 1)
    assert source.asked[0].port == 80
    source.error = "it is on fire"
    found = await until(metering, lambda now: now.missing)
    assert found == Metered(missing={"stats": "it is on fire"})
    source.error = ""
    await until(metering, lambda now: now.values)
    source.slow_s = 5.0
    began = time.monotonic()
    found = await until(metering, lambda now: now.missing)
    assert found.missing == {"stats": "no answer within 0.2 s"}
    assert time.monotonic() - began < 4
    await metering.end()
    assert source.closed


async def test_a_metric_without_a_value_for_the_candidate_is_named() -> None:
    source = Scripted(Reading({"memory": {1: 0.2, 2: math.nan}}))
    metering = Metering(KEY, lambda origin: source, WallClock())
    metering.follow(state(watching(FAST)), Observation(0.0))
    found = await until(metering, lambda now: now.missing)
    assert found == Metered({"memory": {1: 0.2}}, {"stats/memory": "no data about revision 2"})
    source.reading = Reading(failed={"memory": "partial data"})
    found = await until(metering, lambda now: not now.values)
    assert found.missing == {"stats/memory": "partial data"}
    await metering.end()


async def test_a_source_that_nobody_declared_and_a_platform_without_any_are_named() -> None:
    strange = Analysis((ThresholdMetric("x", source="nonsense", failure_condition="result > 1"),), sequential=None)
    metering = Metering(KEY, lambda origin: Scripted(), WallClock())
    metering.follow(state(strange), Observation(0.0))
    assert "not declared" in metering.now().missing["nonsense"]
    nowhere = Metering(KEY, None, WallClock())
    nowhere.follow(state(watching()), Observation(0.0))
    assert "no metric sources" in nowhere.now().missing["stats"]


async def test_nothing_is_opened_without_metrics_and_nothing_stays_after_the_rollout() -> None:
    opened: list[Scripted] = []

    def open_source(origin: Origin) -> Scripted:
        opened.append(Scripted())
        return opened[-1]

    metering = Metering(KEY, open_source, WallClock())
    metering.follow(state(Analysis()), Observation(0.0))
    assert not metering.active
    assert not opened
    metering.follow(AgentState(KEY), Observation(0.0))
    metering.follow(state(watching(FAST)), Observation(0.0))
    await until(metering, lambda now: bool(opened and opened[0].asked))
    metering.follow(AgentState(KEY), Observation(0.0))
    assert not metering.active
    await metering.end()
    assert opened[0].closed


def test_a_missing_source_is_inconclusive_and_names_itself() -> None:
    watched = Analysis((MEMORY,), sequential=None)
    states = thresholds.begin(watched, 0.0, True)
    for reason, key in (("it is away", "stats"), ("no data about revision 2", "stats/memory")):
        taken = thresholds.take(watched, states, [Block(6.0, 1.0, missing={key: reason})], 2)
        [verdict] = thresholds.judge_each(watched, taken, 0.0)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert reason in verdict.because
        running = rollout(watched)

        assert analysis.down(replace(running, metrics=taken)) == f"no data from metric source stats ({reason})"


def test_the_sequential_engine_does_not_mind_that_another_source_is_away() -> None:
    rules = Sequential()
    traffic = {1: Traffic(90, 1), 2: Traffic(10, 0)}
    kept = sequential.begin(rules, (), 1)
    without = sequential.take(rules, kept, [Block(1.0, 1.0, traffic)], 2, 1)
    with_one_away = sequential.take(rules, kept, [Block(1.0, 1.0, traffic, missing={"prom": "away"})], 2, 1)
    assert without == with_one_away != kept
    assert sequential.take(rules, kept, [Block(1.0, 1.0, traffic, missing={"gateway": "away"})], 2, 1) == kept
