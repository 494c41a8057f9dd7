"""Whole rollouts on a real Docker Engine and a real Envoy, under load."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.real import agent_workload, real
from tests.engine import Engine
from tidegate.model.rollout import Phase

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


async def test_first_release_healthy_release_bad_release(engine: Engine, tmp_path: Path) -> None:
    async with real(engine, tmp_path) as tide:
        state = await tide.deploy(agent_workload("1.0.0"), "1.0.0")
        assert state.rollout is not None
        assert state.rollout.phase is Phase.PROMOTED
        stop = asyncio.Event()
        load = asyncio.create_task(tide.load(100, 120, stop))
        await asyncio.sleep(1)
        state = await tide.deploy(agent_workload("1.1.0"), "1.1.0")
        assert state.rollout is not None
        assert state.rollout.phase is Phase.PROMOTED
        state = await tide.deploy(agent_workload("1.2.0", FAIL_EVERY="10"), "1.2.0")
        assert state.rollout is not None
        assert state.rollout.phase is Phase.ROLLED_BACK
        assert "errors in" in state.rollout.fault
        stop.set()
        report = await load
        assert report.of("1.1.0")
        assert report.of("1.2.0")
        assert {record.version for record in report.faults()} <= {"1.2.0"}
        assert not report.lost(), report.summary()
        names = engine.docker("ps", "--format", "{{.Names}}").split()
        assert sorted(n for n in names if n.startswith("web.")) == ["web.prod.r2.1", "web.prod.r2.2"]
