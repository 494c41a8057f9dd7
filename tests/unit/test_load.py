import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from scripts import load

OK = b"HTTP/1.1 202 Accepted\r\nX-Agent-Version: 1.0.0\r\nContent-Length: 2\r\n\r\nok"
FAULT = b"HTTP/1.1 500 Internal Server Error\r\nx-agent-version: 1.2.0\r\ncontent-length: 0\r\n\r\n"
GATEWAY = b"HTTP/1.1 503 Service Unavailable\r\nserver: envoy\r\ncontent-length: 2\r\n\r\nno"


class Served:
    url = ""
    connections = 0
    requests = 0


@contextlib.asynccontextmanager
async def serving(answer: Callable[[int], bytes | float | None]) -> AsyncIterator[Served]:
    """Answer request n with these bytes, after so many seconds with OK, or (None) close the connection."""
    served = Served()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"Content-Length: " in head:
                    await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))
                given = answer(served.requests)
                served.requests += 1
                if isinstance(given, float):
                    await asyncio.sleep(given)
                    given = OK
                writer.write(given or b"")
                if given is None or (b"Content-Length" not in given and b"content-length" not in given):
                    break
        writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield served
    server.close()


async def test_every_request_of_the_schedule_is_accounted_for() -> None:
    async with serving(lambda n: OK) as served:
        report = await load.run(load.Plan(served.url, rate=400, seconds=0.5, post_share=1.0, fresh_share=0.0))
    assert [record.number for record in report.records] == list(range(200))
    assert served.requests == 200
    assert served.connections < 50
    assert len(report.acknowledged()) == 200
    summary = report.summary()
    assert (summary["lost"], summary["agent_faults"], summary["versions"]["1.0.0"]["answers"]) == (0, 0, 200)


async def test_fresh_ones_have_a_connection_of_their_own() -> None:
    async with serving(lambda n: OK) as served:
        await load.run(load.Plan(served.url, rate=200, seconds=0.2, fresh_share=1.0))
    assert served.connections == served.requests == 40


@pytest.mark.parametrize(
    ("answer", "lost", "faults"),
    [(GATEWAY, 40, 0), (FAULT, 0, 40), (None, 40, 0), (b"nonsense\r\n\r\n", 40, 0),
     (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", 40, 0),
     (b"HTTP/1.1 200 OK\r\n\r\nends with its connection", 0, 0),
     (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0, 0)],
)  # fmt: skip
async def test_lost_and_faulty_are_told_apart(answer: bytes | None, lost: int, faults: int) -> None:
    async with serving(lambda n: answer) as served:
        report = await load.run(load.Plan(served.url, rate=400, seconds=0.1, timeout_s=0.3))
    assert (len(report.lost()), len(report.faults()), len(report.records)) == (lost, faults, 40)
    assert bool(report.acknowledged()) is False


async def test_a_refused_connection_is_lost_and_nothing_is_tried_again() -> None:
    report = await load.run(load.Plan("http://127.0.0.1:1", rate=100, seconds=0.1))
    assert report.summary()["lost_reasons"] == {"connect: ConnectionRefusedError": 10}


async def test_a_stall_shows_in_every_request_that_it_delayed() -> None:
    """One connection, a stall of 0.3 s at the start: those behind it waited, though each answer itself was quick."""
    async with serving(lambda n: 0.3 if n == 0 else OK) as served:
        plan = load.Plan(served.url, rate=100, seconds=0.2, fresh_share=1.0, connections=1)
        report = await load.run(plan)
    assert not report.lost()
    slow = [record for record in report.records if record.latency > 0.1]
    assert len(slow) >= 15


async def test_what_is_never_answered_ends_at_the_time_out() -> None:
    async with serving(lambda n: 60.0) as served:
        report = await asyncio.wait_for(load.run(load.Plan(served.url, rate=50, seconds=0.1, timeout_s=0.2)), 5)
    assert report.summary()["lost_reasons"] == {"timed out": 5}


async def test_stop_ends_the_schedule_and_keeps_the_report() -> None:
    stop = asyncio.Event()
    async with serving(lambda n: OK) as served:
        asyncio.get_running_loop().call_later(0.2, stop.set)
        report = await asyncio.wait_for(load.run(load.Plan(served.url, rate=100, seconds=3600), stop), 5)
    assert 10 <= len(report.records) < 100
    assert not report.lost()
