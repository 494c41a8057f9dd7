"""The gateway on a real engine: weights, protocols, counters."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import pytest
from aiohttp import ClientSession

from tests.engine import Engine
from tests.gateway_kit import KEY, Load, applied, goal, http_server, tcp_server, until
from tidegate.adapters.gateway.envoy import EnvoyGateway
from tidegate.model.desired import Endpoint
from tidegate.model.errors import GatewayError
from tidegate.model.observation import LATENCY_BOUNDS_MS
from tidegate.model.operation import StartGateway
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route, RouteProtocol, Tls

pytestmark = pytest.mark.engine


@pytest.fixture
async def gateway(engine: Engine) -> AsyncIterator[EnvoyGateway]:
    docker = engine.aiodocker()
    gateway = EnvoyGateway(docker)
    try:
        await gateway.execute(StartGateway("the test says so"))
        yield gateway
    finally:
        await gateway.close()
        await docker.close()


async def test_weight_flips_under_load_lose_nothing(engine: Engine, gateway: EnvoyGateway) -> None:
    async with http_server("one", engine.gateway_ip) as one, http_server("two", engine.gateway_ip) as two:
        route = Route(8080, 80)
        await gateway.execute(applied(goal(route, (1, 100, [one]))))
        load = Load(f"http://{engine.address}:8080/who")
        async with load.running():
            await until(lambda: _true(load.answers["one"] > 20))
            for flip in range(30):
                weight = (0, 50, 100)[flip % 3]
                await gateway.execute(applied(goal(route, (1, 100 - weight, [one]), (2, weight, [two]))))
            await gateway.execute(applied(goal(route, (2, 100, [two]))))
            flipped = time.monotonic()
            await asyncio.sleep(0.3)
        assert load.lost == []
        assert load.last["one"] - flipped < 0.1
        assert load.answers["one"] + load.answers["two"] == load.sent
        posts = [body for body in [*one.seen, *two.seen] if body.isdigit()]
        assert len(posts) == len(set(posts)) == load.sent // 2, "a POST reached two instances, or none"
        assert all((one.seen + two.seen)[body] == 1 for body in posts), "a POST was sent twice"


async def test_observe_says_what_is_applied(engine: Engine, gateway: EnvoyGateway) -> None:
    async with http_server("one", engine.gateway_ip) as one, http_server("two", engine.gateway_ip) as two:
        goals = (
            goal(Route(8080, 80, path="/a", timeout_s=2.5), (1, 75, [one, two]), (2, 25, [two])),
            goal(Route(8081, 81, RouteProtocol.TCP), (1, 100, [one]), (2, 0, [])),
        )
        await gateway.execute(applied(*goals))
        seen = await gateway.observe(KEY)
        assert seen.running
        assert seen.routes == goals
        assert dict(seen.active) == {1: 0, 2: 0}
        assert (await gateway.observe(AgentKey("web", "test"))).routes == ()
        await gateway.execute(applied())
        assert (await gateway.observe(KEY)).routes == ()


async def test_keep_alive_clients_move_at_once(engine: Engine, gateway: EnvoyGateway) -> None:
    async with http_server("one", engine.gateway_ip) as one, http_server("two", engine.gateway_ip) as two:
        route = Route(8080, 80)
        await gateway.execute(applied(goal(route, (1, 100, [one]))))
        clients = [http.client.HTTPConnection(engine.address, 8080) for _ in range(20)]
        assert set(await asyncio.to_thread(_ask_all, clients)) == {"one"}
        await gateway.execute(applied(goal(route, (1, 0, [one]), (2, 100, [two]))))
        assert set(await asyncio.to_thread(_ask_all, clients)) == {"two"}


async def test_shares_follow_weights(engine: Engine, gateway: EnvoyGateway) -> None:
    async with http_server("one", engine.gateway_ip) as one, http_server("two", engine.gateway_ip) as two:
        await gateway.execute(applied(goal(Route(8080, 80), (1, 80, [one]), (2, 20, [two]))))
        client = http.client.HTTPConnection(engine.address, 8080)
        said = Counter(await asyncio.to_thread(_ask_all, [client] * 1000))
        assert 130 < said["two"] < 270, "200 expected; 5.5 standard deviations"


async def test_counters_by_revision(engine: Engine, gateway: EnvoyGateway) -> None:
    async with http_server("one", engine.gateway_ip) as one, ClientSession(f"http://{engine.address}:8080") as client:
        dead = Endpoint(engine.gateway_ip, 1)
        route = Route(8080, 80)
        await gateway.execute(applied(goal(route, (1, 100, [one]))))
        for path in ("/who", "/status/200", "/status/404", "/status/500", "/slow/0.03"):
            async with client.get(path):
                pass
        broken = goal(route, (1, 0, [one]), (2, 100, []))
        backends = (broken.backends[0], type(broken.backends[1])(2, 100, (dead,)))
        await gateway.execute(applied(type(broken)(route, backends)))
        for _ in range(3):
            async with client.get("/who") as response:
                assert response.status == 503

        async def counted() -> bool:
            latency = (await gateway.counters(KEY))[1].latency
            return sum(latency) == 5

        assert await until(counted), await gateway.counters(KEY)
        traffic = await gateway.counters(KEY)
        assert (traffic[1].requests, traffic[1].errors) == (5, 1)
        assert (traffic[2].requests, traffic[2].errors) == (3, 3)
        assert len(traffic[1].latency) == len(LATENCY_BOUNDS_MS) + 1
        assert traffic[1].latency[LATENCY_BOUNDS_MS.index(50)] == 1


async def test_an_instance_leaves_without_breaking_what_it_answers(engine: Engine, gateway: EnvoyGateway) -> None:
    async with (
        http_server("one", engine.gateway_ip) as one,
        http_server("two", engine.gateway_ip) as two,
        ClientSession(f"http://{engine.address}:8080") as client,
    ):
        route = Route(8080, 80)
        await gateway.execute(applied(goal(route, (1, 100, [one]))))
        slow = asyncio.create_task(_text(client, "/slow/1"))
        assert await until(lambda: _active(gateway, 1))
        await gateway.execute(applied(goal(route, (2, 100, [two]))))
        assert await _active(gateway, 1) == 1, "a revision that no route names is still counted while it answers"
        assert await _text(client, "/who") == "two"
        assert await slow == "one"
        assert await until(lambda: _idle(gateway, 1))


async def test_websocket_and_sse_outlive_a_weight_change(engine: Engine, gateway: EnvoyGateway) -> None:
    async with (
        http_server("one", engine.gateway_ip) as one,
        http_server("two", engine.gateway_ip) as two,
        ClientSession(f"http://{engine.address}:8080") as client,
    ):
        route = Route(8080, 80)
        await gateway.execute(applied(goal(route, (1, 100, [one]))))
        async with client.ws_connect("/ws") as socket, client.get("/sse") as stream:
            await socket.send_str("a")
            assert await socket.receive_str() == "one a"
            assert (await stream.content.readline()).startswith(b"data: one 0")
            await gateway.execute(applied(goal(route, (2, 100, [two]))))
            await gateway.execute(applied(goal(route, (2, 100, [two]))))
            assert await _active(gateway, 1) == 2
            await socket.send_str("b")
            assert await socket.receive_str() == "one b"
            events = [await stream.content.readline() for _ in range(5)]
            assert any(event.startswith(b"data: one 2") for event in events)
            async with client.ws_connect("/ws") as other:
                await other.send_str("c")
                assert await other.receive_str() == "two c"


async def test_tcp_weights_leave_connections_alone(engine: Engine, gateway: EnvoyGateway) -> None:
    async with tcp_server("one", engine.gateway_ip) as one, tcp_server("two", engine.gateway_ip) as two:
        route = Route(8090, 9000, RouteProtocol.TCP)
        await gateway.execute(applied(goal(route, (1, 100, [one]))))
        held = await asyncio.open_connection(engine.address, 8090)
        assert await _line(held) == "one x"
        for weight in (50, 100):
            await gateway.execute(applied(goal(route, (1, 100 - weight, [one]), (2, weight, [two]))))
        await gateway.execute(applied(goal(route, (2, 100, [two]))))
        fresh = [await asyncio.open_connection(engine.address, 8090) for _ in range(5)]
        assert [await _line(one) for one in fresh] == ["two x"] * 5
        assert await _line(held) == "one x"
        assert (await gateway.observe(KEY)).active == {1: 1, 2: 5}
        traffic = await gateway.counters(KEY)
        assert (traffic[1].requests, traffic[2].requests) == (1, 5)
        for _, writer in [held, *fresh]:
            writer.close()


async def test_several_agents_hosts_and_paths_share_a_port(engine: Engine, gateway: EnvoyGateway) -> None:
    async with (
        http_server("shop", engine.gateway_ip) as shop,
        http_server("api", engine.gateway_ip) as api,
        http_server("rest", engine.gateway_ip) as rest,
        ClientSession(f"http://{engine.address}:8080") as client,
    ):
        shop_key, api_key, rest_key = (AgentKey(name, "prod") for name in ("shop", "api", "rest"))
        await gateway.execute(applied(goal(Route(8080, 80, host="shop.test"), (1, 100, [shop])), key=shop_key))
        await gateway.execute(
            applied(goal(Route(8080, 80, host="shop.test", path="/api"), (1, 100, [api])), key=api_key)
        )
        await gateway.execute(applied(goal(Route(8080, 80), (1, 100, [rest])), key=rest_key))
        asked = {
            ("shop.test", "/"): "shop",
            ("shop.test:8080", "/apix"): "shop",
            ("shop.test", "/api"): "api",
            ("shop.test", "/api/x"): "api",
            ("other.test", "/api"): "rest",
        }
        for (host, path), name in asked.items():
            assert await _text(client, path, Host=host) == name, (host, path)
        with pytest.raises(GatewayError, match=r"api\.test and rest\.prod: both claim port 8080"):
            await gateway.execute(applied(goal(Route(8080, 80), (1, 100, [api])), key=AgentKey("api", "test")))
        await gateway.execute(applied(key=rest_key))
        assert await _text(client, "/", Host="shop.test") == "shop"
        async with client.get("/", headers={"Host": "other.test"}) as response:
            assert response.status == 404


async def test_http2_downstream(engine: Engine, gateway: EnvoyGateway) -> None:
    async with (
        http_server("one", engine.gateway_ip) as one,
        http_server("two", engine.gateway_ip) as two,
        httpx.AsyncClient(http1=False, http2=True) as client,
    ):
        url, route = f"http://{engine.address}:8080/who", Route(8080, 80)
        await gateway.execute(applied(goal(route, (1, 100, [one]))))
        answer = await client.get(url)
        assert (answer.http_version, answer.text) == ("HTTP/2", "one")
        await gateway.execute(applied(goal(route, (2, 100, [two]))))
        assert (await client.get(url)).text == "two"


async def test_grpc(engine: Engine, gateway: EnvoyGateway) -> None:
    async with _grpc_server("one", engine.gateway_ip) as one, _grpc_server("two", engine.gateway_ip) as two:
        route = Route(8080, 50051, RouteProtocol.GRPC)
        await gateway.execute(applied(goal(route, (1, 100, [one]))))
        async with grpc.aio.insecure_channel(f"{engine.address}:8080") as channel:
            call = channel.unary_unary("/test.Echo/Say")
            assert await call(b"x") == b"one x"
            await gateway.execute(applied(goal(route, (2, 100, [two]))))
            assert await call(b"x") == b"two x"
            for _ in range(2):
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(b"fail")

        async def counted() -> bool:
            return (await gateway.counters(KEY))[2].requests == 3

        assert await until(counted)
        assert (await gateway.counters(KEY))[2].errors == 2


async def test_tls_by_files(engine: Engine, gateway: EnvoyGateway, tmp_path: Path) -> None:
    first, second = _certificate(tmp_path, "first.test"), _certificate(tmp_path, "second.test")
    async with http_server("one", engine.gateway_ip) as one, http_server("two", engine.gateway_ip) as two:
        await gateway.execute(
            applied(
                goal(Route(8443, 80, host="first.test", tls=first), (1, 100, [one])),
                goal(Route(8443, 80, host="second.test", tls=second), (1, 0, [one]), (2, 100, [two])),
            )
        )
        for host, name in (("first.test", "one"), ("second.test", "two")):
            assert await asyncio.to_thread(_tls, engine.address, host, tmp_path) == ("h2", host)
            context = ssl.create_default_context(cafile=tmp_path / f"{host}.crt")
            async with ClientSession() as client:
                url = f"https://{engine.address}:8443/who"
                async with client.get(url, ssl=context, server_hostname=host, headers={"Host": host}) as response:
                    assert await response.text() == name
        _certificate(tmp_path, "first.test")
        with pytest.raises(ssl.SSLCertVerificationError):  # the gateway still shows the former one
            await asyncio.to_thread(_tls, engine.address, "first.test", tmp_path)
        await gateway.refresh_tls(frozenset({first}))
        assert await until(lambda: _trusted(engine.address, "first.test", tmp_path))
        await gateway.execute(applied())
        nothing = Tls(str(tmp_path / "nothing.crt"), first.key)
        with pytest.raises(GatewayError, match=r"nothing\.crt"):
            await gateway.execute(applied(goal(Route(8443, 80, tls=nothing), (1, 100, [one]))))


async def test_no_backend_is_a_clear_503(engine: Engine, gateway: EnvoyGateway) -> None:
    await gateway.execute(applied(goal(Route(8080, 80), (1, 0, []))))
    async with ClientSession() as client, client.get(f"http://{engine.address}:8080/") as response:
        assert response.status == 503
        assert "web.prod has no ready instance" in await response.text()


def _ask_all(clients: list[http.client.HTTPConnection]) -> list[str]:
    said = []
    for client in clients:
        client.request("GET", "/who")
        said.append(client.getresponse().read().decode())
    return said


def _certificate(directory: Path, host: str) -> Tls:
    certificate, key = directory / f"{host}.crt", directory / f"{host}.key"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={host} -addext subjectAltName=DNS:{host}"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return Tls(str(certificate), str(key))


def _tls(address: str, host: str, directory: Path) -> tuple[str | None, str]:
    import socket

    context = ssl.create_default_context(cafile=directory / f"{host}.crt")
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((address, 8443)) as raw, context.wrap_socket(raw, server_hostname=host) as wrapped:
        name = wrapped.getpeercert()["subjectAltName"][0][1]  # type: ignore[index]
        return wrapped.selected_alpn_protocol(), str(name)


async def _trusted(address: str, host: str, directory: Path) -> bool:
    try:
        await asyncio.to_thread(_tls, address, host, directory)
    except ssl.SSLError:
        return False
    return True


async def _true(value: bool) -> bool:
    return value


async def _text(client: ClientSession, path: str, **headers: str) -> str:
    async with client.get(path, headers=headers) as response:
        return await response.text()


async def _active(gateway: EnvoyGateway, revision: int) -> int:
    return (await gateway.observe(KEY)).active.get(revision, 0)


async def _idle(gateway: EnvoyGateway, revision: int) -> bool:
    return await _active(gateway, revision) == 0


async def _line(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> str:
    reader, writer = connection
    writer.write(b"x\n")
    async with asyncio.timeout(5):
        return (await reader.readline()).decode().strip()


class _grpc_server:
    """Echoes with its name; the message "fail" gets status INTERNAL."""

    def __init__(self, name: str, host: str) -> None:
        self._name, self._host = name, host

    async def __aenter__(self):  # type: ignore[no-untyped-def]
        from tests.gateway_kit import Server

        async def say(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if request == b"fail":
                await context.abort(grpc.StatusCode.INTERNAL, "asked to")
            return self._name.encode() + b" " + request

        handler = grpc.method_handlers_generic_handler("test.Echo", {"Say": grpc.unary_unary_rpc_method_handler(say)})
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((handler,))
        port = self._server.add_insecure_port(f"{self._host}:0")
        await self._server.start()
        return Server(self._name, port, self._host)

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)
