"""The gateway's own life on a real engine: start, replace, kill, reboot, several writers, ports that are taken."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientError, ClientSession

from tests.engine import Engine
from tests.gateway_kit import KEY, Load, applied, goal, http_server, until
from tidegate.adapters.gateway import merge, render, stages, volume
from tidegate.adapters.gateway.container import Options
from tidegate.adapters.gateway.envoy import EnvoyGateway, Writer
from tidegate.adapters.gateway.volume import Change
from tidegate.model.errors import EngineError, GatewayError, LeaseLostError
from tidegate.model.operation import StartGateway
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route

pytestmark = pytest.mark.engine
START = StartGateway("the test says so")
ROUTE = Route(8080, 80)


@pytest.fixture
async def gateway(engine: Engine) -> AsyncIterator[EnvoyGateway]:
    docker = engine.aiodocker()
    gateway = EnvoyGateway(docker, Options(drain_s=2))
    try:
        yield gateway
    finally:
        await gateway.close()
        await docker.close()


async def test_an_absent_gateway_is_a_fact(gateway: EnvoyGateway) -> None:
    seen = await gateway.observe(KEY)
    assert not seen.running
    assert "not running" in seen.detail
    with pytest.raises(GatewayError, match="not running"):
        await gateway.execute(applied())
    with pytest.raises(GatewayError, match="not running"):
        await gateway.counters(KEY)


async def test_starting_twice_makes_one(engine: Engine, gateway: EnvoyGateway) -> None:
    docker = engine.aiodocker()
    other = EnvoyGateway(docker, Options(drain_s=2))
    try:
        await asyncio.gather(gateway.execute(START), other.execute(START))
        await gateway.execute(START)
        assert len(engine.containers()) == 1
        assert (await gateway.observe(KEY)).running
    finally:
        await other.close()
        await docker.close()


@pytest.mark.parametrize("fresh", [False, True], ids=["keep-alive", "new connections"])
async def test_replaced_under_load_without_losing_a_request(engine: Engine, gateway: EnvoyGateway, fresh: bool) -> None:
    # A connection that waits at a listener while it closes is reset, unless the kernel hands it to the other listener
    # of the port. Without this setting one of tens of thousands is lost; docs/how-to/gateway.md tells.
    migrate = "echo 1 > /proc/sys/net/ipv4/tcp_migrate_req"
    subprocess.run(engine.slot.enter("sh", "-c", migrate), check=True, timeout=10)
    await gateway.execute(START)
    async with http_server("one", engine.gateway_ip) as one:
        await gateway.execute(applied(goal(ROUTE, (1, 100, [one]))))
        load = Load(f"http://{engine.address}:8080/who", fresh=fresh)
        async with load.running():
            await until(lambda: _true(load.answers["one"] > 20))
            assert await gateway.replace() == 0
            await asyncio.sleep(0.2)
        assert load.lost == []
        names = [container["Names"][0] for container in engine.containers()]
        assert names == ["/tidegate-gateway-2"]
        assert (await gateway.observe(KEY)).routes == (goal(ROUTE, (1, 100, [one])),)
        assert not await gateway.outdated()


async def test_a_killed_gateway_comes_back_with_its_routes(engine: Engine, gateway: EnvoyGateway) -> None:
    await gateway.execute(START)
    async with http_server("one", engine.gateway_ip) as one:
        await gateway.execute(applied(goal(ROUTE, (1, 100, [one]))))
        os.kill(engine.inspect("tidegate-gateway-1")["State"]["Pid"], signal.SIGKILL)
        assert await until(lambda: _answers(engine, "one"))

        async def same() -> bool:
            return (await gateway.observe(KEY)).routes == (goal(ROUTE, (1, 100, [one])),)

        assert await until(same)
        await gateway.execute(applied(goal(ROUTE, (1, 50, [one]), (2, 50, [one]))))


async def test_traffic_goes_on_without_engine_and_after_a_reboot(fresh_engine: Engine) -> None:
    engine = fresh_engine
    docker = engine.aiodocker()
    gateway = EnvoyGateway(docker)
    try:
        await gateway.execute(START)
        async with http_server("one", engine.gateway_ip) as one:
            await gateway.execute(applied(goal(ROUTE, (1, 100, [one]))))
            engine.kill()
            assert await _answers(engine, "one")
            assert not (await gateway.observe(KEY)).running
            with pytest.raises((EngineError, GatewayError)):
                await gateway.execute(START)
            await asyncio.to_thread(engine.start)
            await gateway.execute(applied(goal(ROUTE, (1, 40, [one]), (2, 60, [one]))))
            await asyncio.to_thread(engine.power_cycle)
            assert await until(lambda: _answers(engine, "one"))

            async def back() -> bool:
                return (await gateway.observe(KEY)).routes == (goal(ROUTE, (1, 40, [one]), (2, 60, [one])),)

            assert await until(back)
    finally:
        await gateway.close()
        await docker.close()


async def test_writers_together_lose_no_fragment(engine: Engine, gateway: EnvoyGateway) -> None:
    await gateway.execute(START)
    docker = engine.aiodocker()
    writers = [EnvoyGateway(docker) for _ in range(4)]
    keys = [AgentKey(f"agent{number}", "prod") for number in range(4)]
    try:
        async with http_server("one", engine.gateway_ip) as one:

            async def write(number: int) -> None:
                route = Route(8080, 80, path=f"/{number}")
                for weight in (10, 20, 30):
                    shares = ((1, 100 - weight, [one]), (2, weight, [one]))
                    await writers[number].execute(applied(goal(route, *shares), key=keys[number]))

            await asyncio.gather(*(write(number) for number in range(4)))
            for key in keys:
                [seen] = (await gateway.observe(key)).routes
                assert [backend.weight for backend in seen.backends] == [70, 30]
    finally:
        for writer in writers:
            await writer.close()
        await docker.close()


async def test_a_lower_epoch_is_refused(engine: Engine, gateway: EnvoyGateway) -> None:
    await gateway.execute(START)
    docker = engine.aiodocker()
    former = EnvoyGateway(docker, writer=Writer(epoch=6, authority="store"))
    gateway.writer = Writer(epoch=6, authority="store")
    try:
        async with http_server("one", engine.gateway_ip) as one:
            await former.execute(applied(goal(ROUTE, (1, 100, [one]))))
            gateway.writer = Writer(epoch=7, authority="store")
            await gateway.execute(applied(goal(ROUTE, (1, 0, [one]), (2, 100, [one]))))
            with pytest.raises(LeaseLostError, match="epoch 7, ours is 6"):
                await former.execute(applied(goal(ROUTE, (1, 100, [one]))))
            seen = (await gateway.observe(KEY)).routes
            assert seen == (goal(ROUTE, (1, 0, [one]), (2, 100, [one])),)
            former.writer = Writer(epoch=1, authority="a new store")
            await former.execute(applied(goal(ROUTE, (1, 100, [one]))))
    finally:
        await former.close()
        await docker.close()


async def test_a_taken_port_is_named_with_its_holder(engine: Engine, gateway: EnvoyGateway) -> None:
    await gateway.execute(START)
    engine.run(
        "tidegate/base-busybox", "httpd", "-f", "-p", "8085", name="squatter", HostConfig={"NetworkMode": "host"}
    )
    async with http_server("one", engine.gateway_ip) as one:
        await gateway.execute(applied(goal(ROUTE, (1, 100, [one]))))
        assert await until(lambda: _listens(engine, 8085))
        with pytest.raises(GatewayError, match=r"port 8085 .* is taken by process \d+ \(busybox|httpd\)"):
            await gateway.execute(applied(goal(ROUTE, (1, 100, [one])), goal(Route(8085, 80), (1, 100, [one]))))
        assert (await gateway.observe(KEY)).routes == (goal(ROUTE, (1, 100, [one])),)
        assert await _answers(engine, "one")
        await gateway.execute(applied(goal(Route(8086, 80), (1, 100, [one]))))
        assert (await gateway.observe(KEY)).detail == ""


@pytest.mark.parametrize("done", [1, 2, 3])
async def test_a_writer_that_died_between_stages_is_carried_on(
    engine: Engine, gateway: EnvoyGateway, done: int
) -> None:
    """Any other writer finishes what the dead one began, and every request in between is answered."""
    await gateway.execute(START)
    async with http_server("one", engine.gateway_ip) as one, http_server("two", engine.gateway_ip) as two:
        await gateway.execute(applied(goal(ROUTE, (1, 100, [one]))))
        load = Load(f"http://{engine.address}:8080/who")
        async with load.running():
            session = await gateway._open()
            book = await volume.read(session)
            fragment = merge.Fragment(KEY, (goal(ROUTE, (2, 100, [two])),))
            want = render.render(merge.merge([fragment]))
            book = await volume.commit(session, book, Change(fragment, stages.grow(book.files, want).files))
            await asyncio.sleep(0.1)
            if done > 1:
                book = await volume.commit(session, book, Change(None, stages.switch(book.files, want).files))
                await asyncio.sleep(0.1)
            if done > 2:
                last = stages.shrink(book.files, want, frozenset())
                await volume.commit(session, book, Change(None, last.files, last.deletes))
                await asyncio.sleep(0.1)
            await gateway.close()
            other = AgentKey("other", "prod")
            await gateway.execute(applied(goal(Route(8081, 80), (1, 100, [one])), key=other))
            assert (await gateway.observe(KEY)).routes == (goal(ROUTE, (2, 100, [two])),)
            assert await _answers(engine, "two")
        assert load.lost == []


async def test_a_lock_of_the_dead_is_broken(engine: Engine, gateway: EnvoyGateway) -> None:
    await gateway.execute(START)
    session = await gateway._open()
    await session.run('echo "$(cat /run/tidegate/id) 999999 ." > /config/lock')
    async with http_server("one", engine.gateway_ip) as one:
        await gateway.execute(applied(goal(ROUTE, (1, 100, [one]))))
        assert await _answers(engine, "one")


async def test_the_admin_cannot_be_reached_from_the_network(engine: Engine, gateway: EnvoyGateway) -> None:
    await gateway.execute(START)
    session = await gateway._open()
    _, admin = await session.run("cat /run/tidegate/admin")
    host, port = admin.strip().rsplit(":", 1)
    assert host == "127.0.0.1"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((engine.address, int(port)), timeout=2)
    assert engine.inspect("tidegate-gateway-1")["HostConfig"]["CapDrop"] == ["ALL"]


async def test_stopped_with_draining(engine: Engine, gateway: EnvoyGateway) -> None:
    await gateway.execute(START)
    async with http_server("one", engine.gateway_ip) as one, ClientSession() as client:
        await gateway.execute(applied(goal(ROUTE, (1, 100, [one]))))
        slow = asyncio.create_task(client.get(f"http://{engine.address}:8080/slow/3"))
        await asyncio.sleep(0.2)
        assert await gateway.stop() == 0
        assert await (await slow).text() == "one"
        assert engine.containers() == []


async def _answers(engine: Engine, name: str) -> bool:
    try:
        async with ClientSession() as client, client.get(f"http://{engine.address}:8080/who") as response:
            return await response.text() == name
    except (ClientError, OSError):
        return False


async def _listens(engine: Engine, port: int) -> bool:
    try:
        socket.create_connection((engine.address, port), timeout=1).close()
    except OSError:
        return False
    return True


async def _true(value: bool) -> bool:
    return value
