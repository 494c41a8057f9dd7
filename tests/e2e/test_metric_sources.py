"""Metric sources in whole rollouts on a real engine: a leak is caught, a Prometheus that goes away only holds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.test_metric_source import Prom, prometheus, served
from tests.e2e.real import KEY, STRATEGY, Real, agent_workload, real
from tests.engine import Engine
from tidegate.adapters.metrics.opening import Opener
from tidegate.adapters.platform.docker.client import Engine as Client
from tidegate.controller.session import Session
from tidegate.model import intent as intents
from tidegate.model.metering import Origin, OriginKind
from tidegate.model.release import Image, Release
from tidegate.model.rollout import AgentState, PauseKind, Phase
from tidegate.model.spec import Analysis, Rollback, ThresholdMetric
from tidegate.model.workload import Resources, Workload

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]
__all__ = ["prometheus"]

LEAK = r"""
import threading, time
def leak():
    kept = []
    while True:
        kept.append(bytearray(b"x" * (2 << 20)))
        time.sleep(0.25)
threading.Thread(target=leak, daemon=True).start()
"""


@contextlib.asynccontextmanager
async def tidegate(engine: Engine, folder: Path) -> AsyncIterator[Real]:
    """Tidegate with the sources that wiring gives it."""
    async with real(engine, folder) as tide:
        client = Client(engine.url)
        tide.ports = replace(tide.ports, sources=Opener(client, NoSecrets(), folder))
        try:
            yield tide
        finally:
            await client.close()


class NoSecrets:
    async def resolve(self, workload: Workload) -> dict[str, str]:
        return {}


def deploy(tide: Real, workload: Workload, version: str, analysis: Analysis) -> intents.Deploy:
    base = replace(workload, image=tide.image)
    release = Release(f"id-{version}", KEY.agent, version, Image(tide.image), base)
    return intents.Deploy(release, base, STRATEGY, analysis, Rollback())


async def test_a_slow_leak_is_caught_by_its_share_of_memory(engine: Engine, tmp_path: Path) -> None:
    memory = ThresholdMetric(
        "memory", source="stats", query="memory_share", failure_condition="result > 0.6", interval_s=2.0
    )
    watch = Analysis((memory,), sequential=None)
    async with tidegate(engine, tmp_path) as tide:
        sound = replace(agent_workload("1.0.0"), resources=Resources(memory_bytes=96 << 20))
        state = await tide.ask(deploy(tide, sound, "1.0.0", watch))
        assert state.rollout is not None
        assert state.rollout.phase is Phase.PROMOTED
        assert sound.command is not None
        leaking = replace(sound, command=(*sound.command[:-1], LEAK + sound.command[-1]))
        state = await tide.ask(deploy(tide, leaking, "1.1.0", watch), 120.0)
        assert state.rollout is not None
        assert state.rollout.phase is Phase.ROLLED_BACK, state.rollout.because
        assert "memory: memory_share 0." in state.rollout.fault
        rows = await tide.state.journal.blocks(KEY, 0, 2e10)
        assert any(len(block.values.get("memory", {})) == 2 for block in rows)  # of both revisions


async def test_a_prometheus_that_goes_away_holds_and_goes_on(
    engine: Engine, tmp_path: Path, prometheus: Callable[[int], Prom]
) -> None:
    async with served() as target, tidegate(engine, tmp_path) as tide:
        target.body = '# TYPE depth gauge\ndepth{revision="1"} 4\ndepth{revision="2"} 4\n'
        server = prometheus(target.port)
        depth = ThresholdMetric(
            "depth",
            source="prom",
            query='sum(depth{revision="{{revision}}"})',
            failure_condition="result > 5",
            interval_s=1.0,
        )
        origin = Origin("prom", OriginKind.PROMETHEUS, url=server.url, period_s=0.5)
        watch = Analysis((depth,), sequential=None, sources=(origin,))
        state = await tide.ask(deploy(tide, agent_workload("1.0.0"), "1.0.0", watch), 90.0)
        assert state.rollout is not None
        assert state.rollout.phase is Phase.PROMOTED

        rolling = asyncio.create_task(tide.ask(deploy(tide, agent_workload("1.1.0"), "1.1.0", watch), 150.0))
        await seen(tide, lambda now: now.weight == 20)
        server.process.kill()
        server.process.wait(10)
        held = await seen(tide, lambda now: now.hold is not None and now.hold.kind is PauseKind.SOURCE)
        assert held.rollout is not None
        assert held.rollout.weight == 20
        assert "no data from metric source prom (" in held.rollout.because
        assert "cannot be reached" in held.rollout.because
        server.start()
        state = await rolling
        assert state.rollout is not None
        assert state.rollout.phase is Phase.PROMOTED


async def seen(tide: Real, good: Callable[..., bool], deadline_s: float = 60.0) -> AgentState:
    """The state once its rollout under way is as wanted."""
    watching = Session(KEY, tide.ports, tide.state.lease)
    async with asyncio.timeout(deadline_s):
        while True:
            state = (await watching.snapshot()).state
            if state is not None and state.active is not None and good(state.active):
                return state
            await asyncio.sleep(0.1)
