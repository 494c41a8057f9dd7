"""Server-sent events: a response that stays, counted, and cut off when its reader does not read.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidegate.server.api.measures import Measures

READ_S = 30.0
"""How long a reader may leave a message unread; then it is cut off, and comes back with its Last-Event-ID."""


class EventStream(Response):
    """The messages of an iterator until it ends or the reader goes."""

    media_type = "text/event-stream"

    def __init__(self, messages: AsyncIterator[str], measures: Measures) -> None:
        super().__init__()
        self._messages = messages
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send while somebody reads."""
        gone = asyncio.ensure_future(_gone(receive))
        sending = asyncio.ensure_future(self._send(send))
        self._measures.stream(+1)
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._measures.stream(-1)
            for task in (gone, sending):
                task.cancel()
            for task in (gone, sending):
                with suppress(asyncio.CancelledError, TimeoutError):
                    await task

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for message in self._messages:
            async with asyncio.timeout(READ_S):
                await send({"type": "http.response.body", "body": message.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
