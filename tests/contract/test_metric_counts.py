"""What sources say for evidence: counts that only grow, what they are counted against, means and histograms."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.contract.test_metric_source import (
    BUSYBOX,
    KEY,
    NOBODY,
    Prom,
    Secrets,
    heard,
    instance,
    on,
    patient,
    prometheus,
    served,
)
from tests.engine import Engine as PrivateEngine
from tests.memory import QUICK, release, workload
from tidegate.adapters.metrics.file import Recorded
from tidegate.adapters.metrics.heartbeat import HeartbeatSource
from tidegate.adapters.metrics.logs import Logs
from tidegate.adapters.metrics.prometheus import Prometheus
from tidegate.adapters.metrics.scrape import Scrape
from tidegate.adapters.metrics.stats import Stats
from tidegate.controller.clock import WallClock
from tidegate.controller.metering import Metering
from tidegate.model.heartbeat import AgentStatus, Heartbeat
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import Form, Origin, OriginKind, Question, Reading, Subject, exposure_of
from tidegate.model.observation import InstanceState, Observation, ObservedInstance
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Analysis, Rollback

__all__ = ["prometheus"]

EXPOSED = """
# TYPE mails_total counter
mails_total{{result="ok"}} {ok}
mails_total{{result="failed"}} {failed}
# TYPE task_seconds histogram
task_seconds_bucket{{le="0.1"}} {quick}
task_seconds_bucket{{le="1.0"}} {most}
task_seconds_bucket{{le="+Inf"}} {all}
task_seconds_sum 1
task_seconds_count {all}
"""


async def test_scrape_counts_by_revision_through_restarts_and_departures() -> None:
    async with served() as one, served() as two:
        first, second = (instance(2, name, "127.0.0.1", name) for name in "ab")
        source, other = (Scrape(Origin("scrape", OriginKind.SCRAPE, port=server.port)) for server in (one, two))
        asked = (
            Question("failed", 'mails_total{result="failed"}', form=Form.COUNT, per="mails_total"),
            Question("share", 'mails_total{result="failed"} / mails_total', form=Form.COUNT),
            Question("delay", "task_seconds", form=Form.HISTOGRAM),
        )
        one.body = EXPOSED.format(ok=100, failed=1, quick=5, most=8, all=10)
        both = Subject(KEY, (1, 2), (first, second))
        zero = (await source.read(both, asked)).values
        assert zero["failed"] == zero[exposure_of("failed")] == {2: 0.0}, "only what happens from now on counts"
        one.body = EXPOSED.format(ok=110, failed=3, quick=6, most=10, all=14)
        grown = (await source.read(both, asked)).values
        assert grown["failed"] == grown["share"] == {2: 4.0}  # both instances answer the same
        assert grown[exposure_of("failed")] == grown[exposure_of("share")] == {2: 24.0}
        assert (grown["delay/le/0.1"], grown["delay/le/1"], grown["delay"]) == ({2: 2.0}, {2: 4.0}, {2: 8.0})
        one.body = EXPOSED.format(ok=1, failed=1, quick=0, most=0, all=0)  # both started again
        assert (await source.read(both, asked)).values["failed"] == {2: 6.0}
        one.body = EXPOSED.format(ok=1, failed=4, quick=0, most=0, all=0)
        alone = Subject(KEY, (1, 2), (first,))
        assert (await source.read(alone, asked)).values["failed"] == {2: 9.0}, "what the other did stays counted"
        await source.close()
        await other.close()


async def test_heartbeats_that_never_arrived_are_counted() -> None:
    centre, registry = heard()
    source, subject = HeartbeatSource(centre), Subject(KEY, (1, 2), (instance(1), instance(2)))
    asked = (Question("gaps", "gaps", form=Form.COUNT), Question("failing", "failing", form=Form.MEAN))

    async def after(*sequences: int) -> Reading:
        for sequence in sequences:
            beat = Heartbeat(KEY, "web.prod.r2.1", 2, "2", AgentStatus.OK, sequence, time.time(), interval_s=1.0)
            registry.hear(beat)
        return await source.read(subject, asked)

    assert (await after(1)).values["gaps"] == {2: 0.0}
    found = (await after(2, 5)).values
    assert found["gaps"] == {2: 2.0}
    assert found["failing"] == {2: 0.0}


async def test_a_file_of_counters_tolerates_resets(tmp_path: Path) -> None:
    source = Recorded(Origin("file", OriginKind.FILE, file="m.csv"), tmp_path)
    question = Question("orders", "orders_total", form=Form.COUNT, per="visits_total")
    found = []
    for orders, visits in ((10, 100), (14, 120), (1, 5)):
        rows = "".join(f"{time.time()},{n},2,{v}\n" for n, v in (("orders_total", orders), ("visits_total", visits)))
        (tmp_path / "m.csv").write_text("at,metric,revision,value\n" + rows)
        values = (await source.read(NOBODY, (question,))).values
        found.append((values["orders"][2], values[exposure_of("orders")][2]))
    assert found == [(0, 0), (4, 20), (5, 25)]


async def test_a_real_prometheus_counts_too(prometheus: Callable[[int], Prom]) -> None:
    async with served() as server:
        text = (
            '# TYPE e_total counter\ne_total{{revision="2"}} {0}\n# TYPE n_total counter\nn_total{{revision="2"}} {1}\n'
        )
        server.body = text.format(7, 100)
        origin = Origin("prometheus", OriginKind.PROMETHEUS, url=prometheus(server.port).url, timeout_s=5.0)
        source = Prometheus(origin, Secrets())
        question = Question("errors", 'sum(e_total{revision="{{revision}}"})', form=Form.COUNT,
                            per='sum(n_total{revision="{{revision}}"})')  # fmt: skip

        async def until(good: Callable[[dict[str, dict[int, float]]], object]) -> dict[str, dict[int, float]]:
            end = time.monotonic() + 30
            while True:
                reading = await patient(lambda: source.read(NOBODY, (question,)))
                values = {name: dict(known) for name, known in reading.values.items()}
                if good(values):
                    return values
                assert time.monotonic() < end, values
                await asyncio.sleep(0.1)

        first = await until(lambda values: "errors" in values and exposure_of("errors") in values)
        assert first == {"errors": {2: 0.0}, exposure_of("errors"): {2: 0.0}}
        server.body = text.format(9, 140)
        await until(lambda values: (values["errors"][2], values[exposure_of("errors")][2]) == (2.0, 40.0))
        server.body = text.format(1, 3)  # the agent started again
        await until(lambda values: (values["errors"][2], values[exposure_of("errors")][2]) == (3.0, 43.0))
        await source.close()


class Counting:
    """A source that counts one event more at every look."""

    def __init__(self) -> None:
        self.looks = 0.0

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        self.looks += 1
        return Reading({one.metric: {2: self.looks} for one in questions})

    async def close(self) -> None: ...


async def test_what_has_nothing_to_be_counted_against_is_counted_against_instance_seconds() -> None:
    base = workload(routes=False)
    candidate = Revision(2, "prod", release("2.0.0", base), base)
    streams = (SequentialMetric("errors", "logs", "level>=error"),)
    sources = (Origin("logs", OriginKind.LOGS, period_s=0.05),)
    watched = Analysis((), sequential=None, sources=sources, streams=streams)
    rollout = Rollout("r", candidate, QUICK, watched, Rollback(), 0.0, Phase.PROGRESSING)
    instances = tuple(ObservedInstance(f"a.r2.{index}", 2, InstanceState.RUNNING, str(index)) for index in (1, 2, 3))
    metering = Metering(KEY, lambda origin: Counting(), WallClock())
    began = time.monotonic()
    metering.follow(AgentState(KEY, rollout=rollout), Observation(0.0, instances=instances))
    while (seconds := metering.now().values.get(exposure_of("errors"), {}).get(2, 0.0)) < 1.0:
        assert time.monotonic() - began < 20
        await asyncio.sleep(0.02)
    assert seconds <= 3 * (time.monotonic() - began)
    await metering.end()


@pytest.mark.engine
async def test_an_engine_counts_lines_and_means_over_instances(engine: PrivateEngine) -> None:
    loud = engine.run(BUSYBOX, "sh", "-c", "while :; do echo ERROR; sleep 0.2; done", HostConfig={"Memory": 64 << 20})
    still = engine.run(BUSYBOX, "sleep", "600", HostConfig={"Memory": 64 << 20})
    subject = Subject(KEY, (1, 2), (instance(1, still), instance(2, loud)))
    async with on(engine) as client:
        logs, stats = Logs(client), Stats(client)
        lines = Question("errors", "level>=error", form=Form.COUNT)
        memory = Question("memory", "memory_share", form=Form.MEAN)
        before, end = -1.0, time.monotonic() + 30
        while True:
            found = (await logs.read(subject, (lines,))).values["errors"]
            share = (await stats.read(subject, (memory,))).values["memory"]
            assert found.get(2, 0.0) >= before, "a count never falls"
            before = found.get(2, 0.0)
            if before >= 8 and share.keys() == {1, 2}:
                break
            assert time.monotonic() < end, (found, share)
            await asyncio.sleep(0.2)
        assert found[1] == 0
        assert 0 < share[1] < 0.5
        await logs.close()
        await stats.close()
