"""Probes put from the engine's own host: every answer that a local probe gives, and what is no answer at all."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.docker_support import BUSYBOX
from tests.engine import Engine as TestEngine
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.probes import Prober, Target
from tidegate.adapters.platform.docker.remote import HELPER, RemoteShell
from tidegate.model.release import AgentKey
from tidegate.model.workload import Probe, ProbeKind

pytestmark = pytest.mark.engine
SERVER = (
    "sh",
    "-c",
    "mkdir -p /www; echo ok > /www/ready; httpd -p 8080 -h /www; "
    "nc -ll -p 8081 -e sh -c 'sleep 5' & nc -ll -p 8082 -e true & sleep 600",
)


async def image(docker: object) -> str:
    return BUSYBOX


@pytest.fixture
async def asking(engine: TestEngine) -> AsyncIterator[tuple[Prober, Target]]:
    engine.run(BUSYBOX, *SERVER, name="agent")
    client = Engine(engine.url)
    shell = RemoteShell(client, image)
    assert await shell.run("true", 20.0) == (0, "")
    client.walled = True  # an engine whose instances cannot be reached from here; found out when it is first asked
    prober = Prober(client, lambda key: None, shell)
    address = engine.container_address("agent")
    target = Target(AgentKey("a", "b"), "agent", "agent", "", address, None, None)
    end = asyncio.get_running_loop().time() + 20
    while await prober.ask(target, http("/ready")) != "":
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.05)
    try:
        yield prober, target
    finally:
        await prober.close()
        await shell.close()
        await client.close()


def http(path: str, port: int = 8080, timeout_s: float = 1.0) -> Probe:
    return Probe(ProbeKind.HTTP, port=port, path=path, timeout_s=timeout_s)


def tcp(port: int) -> Probe:
    return Probe(ProbeKind.TCP, port=port, timeout_s=1.0)


async def test_every_answer(asking: tuple[Prober, Target]) -> None:
    prober, target = asking
    assert await prober.ask(target, http("/ready")) == ""
    assert await prober.ask(target, http("/none")) == "GET /none on port 8080 answered 404"
    assert await prober.ask(target, http("/a%20b'c\"$(d)")) == "GET /a%20b'c\"$(d) on port 8080 answered 404"
    assert await prober.ask(target, http("/", 9)) == "GET / on port 9: connection refused"
    assert await prober.ask(target, http("/", 8081, 0.4)) == "GET / on port 8081: no answer within 0.4 s"
    assert await prober.ask(target, http("/", 8082)) == "GET / on port 8082: connection closed without an answer"
    assert await prober.ask(target, tcp(8080)) == ""
    assert await prober.ask(target, tcp(9)) == "connecting to port 9: connection refused"


async def test_a_slow_answer_holds_no_other_up(asking: tuple[Prober, Target]) -> None:
    prober, target = asking
    loop = asyncio.get_running_loop()
    slow = asyncio.create_task(prober.ask(target, http("/", 8081, 3.0)))
    await asyncio.sleep(0.1)
    began = loop.time()
    for _ in range(10):
        assert await prober.ask(target, http("/ready")) == ""
    assert loop.time() - began < 3.0
    assert not slow.done()
    slow.cancel()


async def test_an_engine_that_is_away_is_no_answer(asking: tuple[Prober, Target], engine: TestEngine) -> None:
    prober, target = asking
    engine.kill()
    try:
        assert await prober.ask(target, http("/ready")) is None
    finally:
        engine.start()
    answers = [await prober.ask(target, http("/ready")) for _ in range(5)]
    assert answers[-1] == ""


async def test_the_helper_is_made_once_and_found_again(asking: tuple[Prober, Target], engine: TestEngine) -> None:
    names = [container["Names"][0] for container in engine.containers()]
    assert names.count(f"/{HELPER}") == 1
    client = Engine(engine.url)
    again = RemoteShell(client, image)
    try:
        assert await again.run("echo here", 2.0) == (0, "here")
        assert await again.run("exit 3", 2.0) == (3, "")
        assert (await again.run("sleep 5", 0.2))[0] == 143
    finally:
        await again.close()
        await client.close()
