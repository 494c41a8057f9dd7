"""The agents' route on real sockets: what is answered, what is refused, and what is cut off."""

import asyncio
import http.client
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.test_decoding import GOOD
from tests.unit.test_registry import Memory
from tidegate.control.registry import BURST, Registry
from tidegate.control.tokens import Tokens
from tidegate.controller.clock import WallClock
from tidegate.model.errors import UnreachableError
from tidegate.model.release import AgentKey
from tidegate.sdk.beats import Beats, Front
from tidegate.sdk.identity import Identity
from tidegate.sdk.wire import Status
from tidegate.server import connections
from tidegate.server.agent_connections import AgentConnection
from tidegate.server.agents import MOST_BYTES, PATH
from tidegate.server.listener import LOOPBACK, Listener

KEY = AgentKey("mailer", "prod")
TOKENS = Tokens(b"k" * 32)
BEARER = {"Authorization": f"Bearer {TOKENS.make(KEY)}", "Content-Type": "application/json"}
ELSEWHERE = "192.0.2.1"  # RFC 5737: no machine has it


@dataclass
class Running:
    """A listener on a free port of loopback, and what it heard."""

    port: int
    registry: Registry

    async def ask(
        self, body: bytes = b"", headers: dict[str, str] = BEARER, method: str = "POST", path: str = PATH
    ) -> Any:
        """(status, body, headers) of one request."""
        return await asyncio.to_thread(self._ask, body, headers, method, path)

    def _ask(self, body: bytes, headers: dict[str, str], method: str, path: str) -> Any:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null"), answer.headers
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    port, registry, stop = free_port(), Registry(Memory(), WallClock()), asyncio.Event()
    task = asyncio.create_task(Listener(lambda: TOKENS, ports=(port,)).run(registry, stop))
    await until(lambda: registry.listening().since)
    yield Running(port, registry)
    stop.set()
    await asyncio.wait_for(task, 10)
    assert registry.listening().since is None


def body(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


async def test_a_heartbeat_is_answered(running: Running) -> None:
    status, answer, headers = await running.ask(body(sequence=1))
    assert status == 200
    assert answer.pop("received_at") == pytest.approx(running.registry.listening().at, abs=5)
    assert answer == {"status": "OK", "interval_s": 5.0, "next": [{"action": "continue"}]}
    assert headers["Cache-Control"] == "no-store"
    assert running.registry.pulses_of(KEY)["mailer.prod.r3.1"].version == "1.4.0"
    _, answer, _ = await running.ask(body(instance="mailer.prod.r3.2", sequence=9))
    assert answer["next"] == [{"action": "report_state"}]


@pytest.mark.parametrize(
    ("given", "headers", "status"),
    [
        (b"{}", {"Content-Type": "application/json"}, 401),
        (b"{}", {"Content-Type": "application/json", "Authorization": "Bearer tga_AAAA"}, 401),
        (b"{}", {"Content-Type": "application/json", "Authorization": "Basic dTpw"}, 401),
        (body(agent="billing"), BEARER, 403),
        (body(environment="test"), BEARER, 403),
        (b"nonsense", BEARER, 400),
        (b"[" * 60_000, BEARER, 400),
        (body(status="fine"), BEARER, 422),
        (body(), {**BEARER, "Content-Type": "text/plain"}, 415),
        (body(), {**BEARER, "Content-Encoding": "gzip"}, 415),
        (b" " * (MOST_BYTES + 1), BEARER, 413),
    ],
)
async def test_what_is_wrong_is_a_problem(running: Running, given: bytes, headers: dict[str, str], status: int) -> None:
    answered, problem, answer_headers = await running.ask(given, headers)
    assert (answered, problem["status"]) == (status, status)
    assert answer_headers["Content-Type"] == "application/problem+json"
    assert problem["detail"]
    assert (problem.get("field") == "status") == (status == 422)
    assert not running.registry.pulses_of(KEY)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", PATH, 405), ("PUT", PATH, 405), ("GET", "/", 404), ("POST", f"{PATH}/", 404), ("GET", "/v1/state", 404)],
)
async def test_there_is_nothing_else(running: Running, method: str, path: str, status: int) -> None:
    answered, problem, headers = await running.ask(b"", BEARER, method, path)
    assert (answered, problem["status"]) == (status, status)
    assert headers["Content-Type"] == "application/problem+json"
    assert (headers.get("Allow") == "POST") == (status == 405)


async def test_too_many_are_told_when_to_come_back(running: Running) -> None:
    answers = [await running.ask(body(sequence=n)) for n in range(1, int(BURST) + 15)]
    refused = [(status, headers.get("Retry-After")) for status, _, headers in answers if status != 200]
    assert refused
    assert set(refused) == {(429, "1")}


async def test_a_body_without_a_length_is_bounded_too(running: Running) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, running.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in BEARER.items())
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    with suppress(ConnectionError):
        for _ in range(100):
            writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
            await writer.drain()
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_slow_client_is_cut_off_and_others_are_served(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.5)
    slow = [await asyncio.open_connection(LOOPBACK, running.port) for _ in range(20)]
    for number, (_, writer) in enumerate(slow):
        writer.write(b"POST / HTTP/1.1\r\nHost:" if number % 2 else b"")
    status, _, _ = await running.ask(body())
    assert status == 200
    for reader, writer in slow:
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_the_number_of_connections_is_bounded(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await running.ask(body())  # the limit is worked out for the first one
    monkeypatch.setattr(AgentConnection, "most", 5)
    held = [await asyncio.open_connection(LOOPBACK, running.port) for _ in range(8)]
    for reader, _ in held[5:]:
        with suppress(ConnectionError):
            told = await asyncio.wait_for(reader.read(), 5)
            assert told.startswith(b"HTTP/1.1 503")
            assert b"Retry-After" in told
    for _, writer in held:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in held), return_exceptions=True)
    status, _, _ = await running.ask(body())
    assert status == 200


async def test_the_sdk_and_the_listener_understand_each_other(running: Running) -> None:
    url = f"http://{LOOPBACK}:{running.port}"
    identity = Identity("mailer", "prod", "mailer.prod.r3.1", 3, "1.4.0", url, TOKENS.make(KEY))
    beats = Beats(identity, 2.0, Front(lambda why: None, lambda *run: None, lambda *configured: None))
    beats.metrics.gauge("queue", "waiting").set(3)
    beats.say(Status.DEGRADED, "the relay is slow")
    wait = await asyncio.to_thread(beats.exchange)
    assert 1.8 <= wait <= 2.0
    beats.say(Status.STOPPING)
    await asyncio.to_thread(beats.exchange)
    pulse = running.registry.pulses_of(KEY)["mailer.prod.r3.1"]
    assert (pulse.sequence, pulse.status, pulse.gaps, pulse.interval_s) == (2, "stopping", 0, 2.0)
    assert abs(pulse.skew_s) < 5


async def test_a_token_never_reaches_the_log(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await running.ask(body(agent="billing"))
    await running.ask(body(), {**BEARER, "Authorization": "Bearer tga_wrong"})
    assert "for billing.prod was refused" in caplog.text
    assert "tga_" not in caplog.text


async def test_it_listens_once_the_network_is_there_and_says_what_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers: list[str | Exception | None] = [None, UnreachableError("down")]
    last: list[str | Exception | None] = ["127.0.0.2"]

    async def network() -> str | None:
        answer = answers.pop(0) if answers else last[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    port, registry, stop = free_port(), Registry(Memory(), WallClock()), asyncio.Event()
    taken = socket.create_server(("127.0.0.2", port))
    task = asyncio.create_task(Listener(lambda: TOKENS, network, (port,)).run(registry, stop))
    await until(lambda: "another program has the port" in caplog.text)
    assert registry.listening().since is None
    taken.close()
    await until(lambda: registry.listening().since)
    assert f"listening for heartbeats on http://127.0.0.2:{port}" in caplog.text
    last[0] = ELSEWHERE  # the network was made anew, on an address of another machine
    await until(lambda: "is not one of this machine" in caplog.text)
    assert registry.listening().since is None
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.2", port)
    stop.set()
    await asyncio.wait_for(task, 10)
