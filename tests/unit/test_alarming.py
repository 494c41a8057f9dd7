"""What alert rules look at: every instance for itself, from sources, from what is observed anyway, and from blocks."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.memory import KEY, release, workload
from tidegate.controller.alarming import Alarming, questions
from tidegate.controller.clock import WallClock
from tidegate.core import notices
from tidegate.model.alerting import ALERTMANAGER, Alerting, AlertRule, Fold, OnAlert, Signal, signal_name
from tidegate.model.errors import MetricError
from tidegate.model.event import Event, EventKind
from tidegate.model.metering import Origin, OriginKind, Question, Reading, Subject
from tidegate.model.observation import Block, InstanceState, Observation, ObservedHeartbeat, ObservedInstance
from tidegate.model.policy import Channel, Endpoint
from tidegate.model.release import AgentKey, Revision
from tidegate.model.rollout import AgentState, Restarts

CPU = AlertRule("cpu", "stats", "cpu_share", above=0.5, over_s=60.0)
QUIET = AlertRule("quiet", "heartbeat", "silence_s", above=30.0)
AGAIN = AlertRule("again", "stats", "restarts", above=2.0, over_s=60.0, fold=Fold.INCREASE)
ONE, TWO = (f"agent.prod.r{revision}.1" for revision in (1, 2))


def instance(name: str, revision: int, **more: object) -> ObservedInstance:
    return ObservedInstance(name, revision, InstanceState.RUNNING, id=name, **more)  # type: ignore[arg-type]


@dataclass
class Scripted:
    """A source that says of each subject the last digit of its revision's instances."""

    error: str = ""
    asked: list[Subject] = field(default_factory=list)
    closed: bool = False

    async def read(self, subject: Subject, asked: Sequence[Question]) -> Reading:
        self.asked.append(subject)
        if self.error:
            raise MetricError(self.error)
        values = {one.revision: 0.1 if one.name == ONE else 0.9 for one in subject.instances}
        return Reading({question.metric: values for question in asked})

    async def close(self) -> None:
        self.closed = True


@dataclass
class Kept:
    """A journal with blocks in it."""

    kept: list[Block] = field(default_factory=list)

    async def blocks(self, key: AgentKey, since: float, until: float) -> list[Block]:
        return [block for block in self.kept if since < block.at <= until]


def state(*rules: AlertRule, origins: tuple[Origin, ...] = ()) -> AgentState:
    base = workload()
    stable = Revision(1, "prod", release("1.0.0", base), base)
    return AgentState(KEY, stable=stable, alerting=Alerting(rules, origins))


async def test_each_instance_is_asked_about_for_itself() -> None:
    source, here = Scripted(), state(CPU)
    alarming = Alarming(KEY, lambda origin: source, WallClock())
    assert not alarming.active
    await alarming.follow(here, Kept(), 0.0)  # type: ignore[arg-type]
    assert alarming.active
    # Two instances of one revision, and a third: one of them could never be told from the other by its revision.
    alarming.see(here, Observation(0.0, instances=(instance(ONE, 1), instance("agent.prod.r1.2", 1), instance(TWO, 2))))
    end = time.monotonic() + 20
    while not (values := alarming.now().values):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert values == {
        signal_name("cpu", ONE): {1: 0.1},
        signal_name("cpu", "agent.prod.r1.2"): {1: 0.9},
        signal_name("cpu", TWO): {2: 0.9},
    }
    assert (source.asked[-1].revisions, source.asked[-1].port) == ((1, 2, 3), 80)
    await alarming.follow(replace(here, alerting=Alerting()), Kept(), 0.0)  # type: ignore[arg-type]
    assert not alarming.active
    await alarming.end()
    assert source.closed


async def test_a_source_that_is_down_is_no_data() -> None:
    here, source = state(CPU), Scripted("refused")
    alarming = Alarming(KEY, lambda origin: source, WallClock())
    await alarming.follow(here, Kept(), 0.0)  # type: ignore[arg-type]
    alarming.see(here, Observation(0.0, instances=(instance(ONE, 1),)))
    end = time.monotonic() + 20
    while not source.asked:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert alarming.now().values == {}
    assert alarming.now().missing == {}  # it holds no rollout: that has sources of its own
    await alarming.end()


async def test_what_is_observed_anyway_is_asked_of_nobody() -> None:
    here = replace(state(QUIET, AGAIN), restarts={ONE: Restarts(2, "", 0.0)})
    assert questions(here.alerting) == []
    alarming = Alarming(KEY, None, WallClock())
    await alarming.follow(here, Kept(), 0.0)  # type: ignore[arg-type]
    heard = ObservedHeartbeat(60.0, 40.0, 1.0)
    alarming.see(here, Observation(100.0, instances=(instance(ONE, 1, heartbeat=heard, restart_count=3),)))
    assert alarming.now().values == {signal_name("quiet", ONE): {1: 40.0}, signal_name("again", ONE): {1: 5.0}}
    # Heard last 90 s ago, and somebody listened for 5 s of it: that is not yet bad, and no sign of life either.
    partly = ObservedHeartbeat(10.0, 5.0, 1.0)
    alarming.see(here, Observation(100.0, instances=(instance(ONE, 1, heartbeat=partly),)))
    assert signal_name("quiet", ONE) not in alarming.now().values


async def test_a_new_controller_begins_with_what_was_measured() -> None:
    name = signal_name("again", ONE)
    before = [Block(float(at), 1.0, values={name: {1: float(at // 10)}}) for at in range(10, 50)]
    alarming = Alarming(KEY, None, WallClock())
    await alarming.follow(state(AGAIN), Kept(before), 50.0)  # type: ignore[arg-type]
    assert alarming.signals((), 50.0) == {"again": {ONE: Signal(3.0, 1)}}
    later = Block(51.0, 1.0, values={name: {1: 7.0}})
    assert alarming.signals((later,), 51.0) == {"again": {ONE: Signal(6.0, 1)}}


def test_declared_sources_are_asked_and_those_of_elsewhere_are_not() -> None:
    mine = Origin("mine", OriginKind.SCRAPE, port=9000, period_s=30.0)
    rules = (CPU, AlertRule("q", "mine", "queue", above=1.0), AlertRule("x", "gone", "queue", above=1.0),
             AlertRule("slow", "gateway", "latency_mean", above=1.0), AlertRule("Told", ALERTMANAGER))  # fmt: skip
    asked = {getattr(origin, "name", origin): origin for origin, _ in questions(Alerting(rules, (mine,)))}
    assert set(asked) == {"stats", "mine", "gone"}
    assert (asked["stats"].period_s, asked["mine"].period_s) == (5.0, 30.0)  # type: ignore[union-attr]


def fires(on_alert: OnAlert, end: str = "alert_firing") -> Event:
    return Event(10.0, KEY, EventKind.ALERT, "because", data={"end": end, "on_alert": on_alert.value})


def test_a_pipeline_is_started_only_by_an_alert_that_asks_for_it() -> None:
    hook, gitlab = Endpoint("hook", Channel.WEBHOOK), Endpoint("git", Channel.GITLAB)
    asks, tells = fires(OnAlert.PIPELINE), fires(OnAlert.NOTIFY)
    over = fires(OnAlert.PIPELINE, "alert_resolved")
    assert [notices.concerns(hook, event, 0.0) for event in (asks, tells, over)] == [True, True, True]
    assert [notices.concerns(gitlab, event, 0.0) for event in (asks, tells, over)] == [True, False, False]
    picky = Endpoint("ends", Channel.WEBHOOK, on=("promoted",))
    assert not notices.concerns(picky, tells, 0.0)
    assert not notices.concerns(replace(gitlab, on=("promoted",)), asks, 0.0)
    assert not notices.concerns(hook, asks, 11.0)
