"""What agents reach: the JSON heartbeat and OpAMP, and nothing else. docs/reference/heartbeat.md and opamp.md."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from tidegate.control.decoding import BadHeartbeatError, decode, decode_enrolment
from tidegate.control.registry import Registry, TooManyError
from tidegate.control.tokens import Grant, Tokens
from tidegate.model.heartbeat import Reply
from tidegate.server.bodies import BodyError, BodyLimits, read_body
from tidegate.server.callers import CHALLENGE, CLOSE, Callers
from tidegate.server.load import Load
from tidegate.server.problems import problem, problem_of

if TYPE_CHECKING:
    from tidegate.control.opamp.desk import Desk
    from tidegate.server.opamp import OpampHttp, OpampWebSocket

PATH = "/v1/agents/heartbeat"
ENROL_PATH = "/v1/agents/enrol"
OPAMP_PATH = "/v1/opamp"
MOST_BYTES = 64 * 1024
MOST_OPAMP_BYTES = 1 << 20
LIMITS = BodyLimits("application/json", MOST_BYTES, 5.0)

MakeDesk = Callable[[], "Desk"]
"""Loads OpAMP: its messages cost memory that a temporary controller does without."""


def agents_app(registry: Registry, tokens: Tokens, load: Load, desk: MakeDesk) -> Starlette:
    """The application. It authenticates before it reads a body, and answers every error with problem+json."""
    callers = Callers(tokens)
    heartbeats = _Heartbeats(registry, callers, tokens)
    opamp = _Opamp(callers, load, desk)
    app = Starlette(
        routes=[
            Route(PATH, heartbeats.post, methods=["POST"]),
            Route(ENROL_PATH, heartbeats.enrol, methods=["POST"]),
            Route(OPAMP_PATH, opamp),
            WebSocketRoute(OPAMP_PATH, opamp.connect),
        ],
        exception_handlers={HTTPException: _refused, Exception: _fault},
    )
    app.router.redirect_slashes = False
    return app


class _Opamp:
    """OpAMP's transports, loaded with the first message."""

    def __init__(self, callers: Callers, load: Load, desk: MakeDesk) -> None:
        self._made: tuple[OpampHttp, OpampWebSocket] | None = None
        self._callers = callers
        self._load = load
        self._desk = desk

    def _transports(self) -> "tuple[OpampHttp, OpampWebSocket]":
        if self._made is None:
            from tidegate.server.opamp import OpampHttp, OpampWebSocket

            desk = self._desk()
            self._made = OpampHttp(desk, self._callers, self._load), OpampWebSocket(desk, self._callers)
        return self._made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One message by HTTP."""
        await self._transports()[0](scope, receive, send)

    async def connect(self, socket: WebSocket) -> None:
        """One connection by WebSocket."""
        await self._transports()[1].serve(socket)


class _Heartbeats:
    def __init__(self, registry: Registry, callers: Callers, tokens: Tokens) -> None:
        self._registry = registry
        self._callers = callers
        self._tokens = tokens

    async def enrol(self, request: Request) -> Response:
        """A credential of its own for an instance that shows an enrolment token."""
        bearer = self._callers.who(request.headers)
        if bearer is None or bearer.grant is not Grant.ENROLMENT:
            self._callers.tell(request.scope.get("client"), "without a token to enrol with")
            detail = "an enrolment token is needed that has not run out: tidegate agents enrol makes one"
            return problem(401, detail, headers={**CHALLENGE, **CLOSE})
        try:
            instance = decode_enrolment(await read_body(request, LIMITS))
        except BodyError as error:
            return problem_of(error.status, error, dict(CLOSE))
        except BadHeartbeatError as error:
            return problem_of(422 if error.understood else 400, error, field=error.field)
        body = {"status": "OK", "token": self._tokens.credential(bearer.key, instance)}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def post(self, request: Request) -> Response:
        """One heartbeat."""
        bearer = self._callers.who(request.headers)
        if bearer is None:
            self._callers.tell(request.scope.get("client"), "without a token of this control centre")
            detail = "a valid token is needed: Authorization: Bearer tga_..."
            return problem(401, detail, headers={**CHALLENGE, **CLOSE})
        try:
            heartbeat = decode(await read_body(request, LIMITS))
            if heartbeat.key != bearer.key:
                self._callers.tell(request.scope.get("client"), f"with the token of {bearer.key} for {heartbeat.key}")
                return problem(403, f"this token is for {bearer.key} and nobody else", code="foreign-token")
            if bearer.grant is Grant.ENROLMENT or bearer.instance not in ("", heartbeat.instance):
                return problem(403, "this token is not for heartbeats of that instance", code="foreign-token")
            return _answer(self._registry.hear(heartbeat))
        except BodyError as error:
            return problem_of(error.status, error, dict(CLOSE))
        except BadHeartbeatError as error:
            return problem_of(422 if error.understood else 400, error, field=error.field)
        except TooManyError as error:
            return problem_of(429, error, {"Retry-After": f"{error.retry_after_s:.0f}"})


def _answer(reply: Reply) -> Response:
    asked = [{"action": one.ask, **one.arguments} for one in reply.next]
    body = {"status": "OK", "interval_s": reply.interval_s, "next": asked, "received_at": reply.received_at}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"here are only POST {PATH}, {ENROL_PATH} and {OPAMP_PATH}"
    return problem(error.status_code, detail, headers={**(error.headers or {}), **CLOSE})


async def _fault(request: Request, error: Exception) -> Response:
    return problem(500, "a fault of Tidegate's own; its log has the details", code="internal")
