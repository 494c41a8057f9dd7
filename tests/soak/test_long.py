"""A long run: healthy releases one after the other, none of which may be taken back, and no request lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.host import LISTEN, Host
from tests.engine import Engine
from tests.soak.conftest import Budget
from tidegate.adapters.gateway.container import Options
from tidegate.adapters.gateway.envoy import EnvoyGateway

pytestmark = [pytest.mark.engine]
RELEASES = 20
LEAST = 3


@pytest.fixture
def host(session_engine: Engine, tmp_path: Path) -> Iterator[Host]:
    session_engine.reset()
    host = Host(session_engine, tmp_path)
    host.deployed("1.0.0")
    try:
        yield host
    finally:
        session_engine.reset()


def test_twenty_healthy_releases_in_a_row(host: Host, budget: Budget) -> None:
    left, done = budget("healthy releases"), 0
    with host.load() as load:
        while done < RELEASES and (left() or done < LEAST):
            done += 1
            host.deployed(f"1.0.{done}", ANALYSE="2s")
    print(f"{done} healthy releases, {load.report['requests']} requests")
    assert load.report["lost"] == 0, load.report
    assert load.report["agent_faults"] == 0
    assert host.instances() == [f"web.prod.r{done + 1}.{index}" for index in (1, 2)]


def test_the_gateway_is_replaced_again_and_again(host: Host, budget: Budget) -> None:
    left, done = budget("gateways"), 0
    with host.load(LISTEN, rate=100) as load:
        while left() or done < LEAST:
            asyncio.run(_replace(host.engine))
            done += 1
    print(f"{done} gateways, {load.report['requests']} requests")
    assert load.report["lost"] <= done // 20, (
        "one in 40,000 was seen with plain SO_REUSEPORT, and no more is put up with"
    )


async def _replace(engine: Engine) -> None:
    docker = engine.aiodocker()
    gateway = EnvoyGateway(docker, Options(image=engine.load("tidegate/gateway"), drain_s=3))
    try:
        assert await gateway.replace() == 0
    finally:
        await gateway.close()
        await docker.close()
