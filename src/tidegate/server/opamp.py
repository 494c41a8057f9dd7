"""OpAMP's transports: POST /v1/opamp, and a WebSocket on the same path. docs/reference/opamp.md is the contract."""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tidegate.control.opamp.decoding import MalformedError
from tidegate.control.opamp.desk import Connection, Desk, ForeignError
from tidegate.control.opamp.encoding import Fault, encode_fault
from tidegate.control.opamp.framing import frame, unframe
from tidegate.control.opamp.uids import Line
from tidegate.control.registry import TooManyError
from tidegate.control.tokens import Bearer
from tidegate.server.agents import MOST_OPAMP_BYTES, OPAMP_PATH
from tidegate.server.bodies import BodyError, BodyLimits, read_body
from tidegate.server.callers import CHALLENGE, CLOSE, Callers
from tidegate.server.load import Load, OverloadError
from tidegate.server.problems import problem, problem_of

PROTOBUF = "application/x-protobuf"
LIMITS = BodyLimits(PROTOBUF, MOST_OPAMP_BYTES, 5.0, gzip=True)
NO_TOKEN = "a valid token is needed: Authorization: Bearer tga_..., tge_... or tgi_..."  # noqa: S105
MOST_MALFORMED = 20
"""A connection on which this many messages in a row made no sense is closed."""

POLICY, UNSUPPORTED = 1008, 1003
"""WebSocket close codes (RFC 6455, 7.4.1)."""

_PLAIN = Line()
"""Over plain HTTP nothing lasts from one message to the next."""


class OpampHttp:
    """The plain HTTP transport, as an ASGI application."""

    def __init__(self, desk: Desk, callers: Callers, load: Load) -> None:
        self._desk = desk
        self._callers = callers
        self._load = load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One message."""
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method != "POST":
            return problem(405, f"here is only POST {OPAMP_PATH}", headers={"Allow": "POST", **CLOSE})
        if self._load.too_much():
            wait = f"{random.uniform(2, 15):.0f}"  # noqa: S311 - so that they do not come back together
            return problem_of(503, OverloadError(), {"Retry-After": wait, **CLOSE})
        bearer = self._callers.who(request.headers)
        if bearer is None:
            self._callers.tell(request.scope.get("client"), "without a token of this control centre")
            return problem(401, NO_TOKEN, headers={**CHALLENGE, **CLOSE})
        try:
            return _protobuf(200, self._desk.hear(bearer, await read_body(request, LIMITS), _PLAIN))
        except BodyError as error:
            return problem_of(error.status, error, dict(CLOSE))
        except MalformedError as error:
            return _protobuf(400, encode_fault(b"", Fault.BAD_REQUEST, error.message))
        except ForeignError as error:
            return problem_of(403, error)
        except TooManyError as error:
            return problem_of(429, error, {"Retry-After": f"{error.retry_after_s:.0f}"})


def _protobuf(status: int, body: bytes) -> Response:
    return Response(body, status, media_type=PROTOBUF)


class OpampWebSocket:
    """The WebSocket transport. Compression is never negotiated: the Go client fails with it."""

    def __init__(self, desk: Desk, callers: Callers) -> None:
        self._desk = desk
        self._callers = callers
        self._sending: set[asyncio.Task[None]] = set()

    async def serve(self, socket: WebSocket) -> None:
        """One connection."""
        bearer = self._callers.who(socket.headers)
        if bearer is None:
            self._callers.tell(socket.scope.get("client"), "without a token of this control centre")
            await socket.send_denial_response(problem(401, NO_TOKEN, headers=dict(CHALLENGE)))
            return
        await socket.accept()
        connection = Connection(
            lasting=True,
            send=lambda message: self._later(socket.send_bytes(frame(message))),
            close=lambda: self._later(socket.close(POLICY, "another connection of this agent took its place")),
        )
        try:
            await self._talk(socket, bearer, connection)
        except (WebSocketDisconnect, RuntimeError):
            pass  # it is gone, or was closed from here
        finally:
            self._desk.hang_up(connection)

    async def _talk(self, socket: WebSocket, bearer: Bearer, connection: Connection) -> None:
        malformed = 0
        while not connection.superseded:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            if data is None:
                await socket.close(UNSUPPORTED, "OpAMP messages are binary")
                return
            try:
                answer = self._desk.hear(bearer, unframe(data), connection)
                malformed = 0
            except MalformedError as error:
                malformed += 1
                answer = encode_fault(b"", Fault.BAD_REQUEST, error.message)
            except TooManyError as error:
                answer = encode_fault(b"", Fault.UNAVAILABLE, error.message, error.retry_after_s)
            except ForeignError as error:
                await socket.close(POLICY, error.message)
                return
            await socket.send_bytes(frame(answer))
            if malformed >= MOST_MALFORMED:
                await socket.close(POLICY, "too many malformed messages")
                return

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """The connection may have ended meanwhile; whoever reads from it notices."""
    with suppress(WebSocketDisconnect, RuntimeError):
        await work
