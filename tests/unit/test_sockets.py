"""A server that is made when somebody knocks."""

from __future__ import annotations

import asyncio
import socket

from tidegate.server.sockets import LateServer, bind


class Greeter:
    """Says one word to everybody."""

    def __init__(self, bound: socket.socket) -> None:
        self._bound = bound
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with await asyncio.start_server(self._greet, sock=self._bound) as server:
            await server.serve_forever()

    async def _greet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_the_server_is_made_for_the_first_who_knocks_and_serves_the_others_too() -> None:
    made = []

    async def make(bound: socket.socket) -> Greeter:
        made.append(bound)
        return Greeter(bound)

    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    late = LateServer(bound, make)
    await asyncio.sleep(0)
    assert not made
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 10) == b"hello"
        writer.close()
    assert len(made) == 1
    await late.close()


async def test_nobody_knocked_and_the_port_is_free_again() -> None:
    async def never(_: socket.socket) -> Greeter:
        raise AssertionError("nobody connected")

    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    late = LateServer(bound, never)
    await asyncio.sleep(0)
    await late.close()
    assert late.task.done()
    bind("127.0.0.1", port).close()
