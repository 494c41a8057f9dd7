"""What agents reach: POST /v1/agents/heartbeat and nothing else. docs/reference/heartbeat.md is the contract."""

import logging
import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tidegate.control.decoding import BadHeartbeatError, decode
from tidegate.control.registry import Registry, TooManyError
from tidegate.control.tokens import Tokens
from tidegate.model.heartbeat import Reply
from tidegate.model.release import AgentKey
from tidegate.server.bodies import BodyError, read_json_body
from tidegate.server.problems import problem, problem_of

PATH = "/v1/agents/heartbeat"
MOST_BYTES = 64 * 1024
BODY_S = 5.0
TELL_EVERY_S = 60.0
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tidegate agents"'}
CLOSE = {"Connection": "close"}

log = logging.getLogger(__name__)


def agents_app(registry: Registry, tokens: Tokens) -> Starlette:
    """The application. It authenticates before it reads a body, and answers every error with problem+json."""
    resource = _Heartbeats(registry, tokens)
    app = Starlette(
        routes=[Route(PATH, resource.post, methods=["POST"])],
        exception_handlers={HTTPException: _refused, Exception: _fault},
    )
    app.router.redirect_slashes = False
    return app


class _Heartbeats:
    def __init__(self, registry: Registry, tokens: Tokens) -> None:
        self._registry = registry
        self._tokens = tokens
        self._told_at = -TELL_EVERY_S

    async def post(self, request: Request) -> Response:
        """One heartbeat."""
        key = self._authenticated(request)
        if key is None:
            self._tell(request, "without a token of this control centre")
            return problem(401, "a valid token is needed: Authorization: Bearer tga_...", headers=CHALLENGE | CLOSE)
        try:
            heartbeat = decode(await read_json_body(request, MOST_BYTES, BODY_S))
            if heartbeat.key != key:
                self._tell(request, f"with the token of {key} for {heartbeat.key}")
                return problem(403, f"this token is for {key} and nobody else", code="foreign-token")
            return _answer(self._registry.hear(heartbeat))
        except BodyError as error:
            return problem_of(error.status, error, CLOSE)
        except BadHeartbeatError as error:
            return problem_of(422 if error.understood else 400, error, field=error.field)
        except TooManyError as error:
            return problem_of(429, error, {"Retry-After": f"{error.retry_after_s:.0f}"})

    def _authenticated(self, request: Request) -> AgentKey | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = self._tokens.verify(token.strip(), time.time()) if scheme.lower() == "bearer" else None
        return bearer.key if bearer is not None else None

    def _tell(self, request: Request, what: str) -> None:
        """Say that somebody knocks, at most once a minute: it is for a person to look, not a way to fill the log."""
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._told_at = time.monotonic()
            log.warning("a heartbeat from %s %s was refused", request.client.host if request.client else "?", what)


def _answer(reply: Reply) -> Response:
    asked = [{"action": ask} for ask in reply.next]
    body = {"status": "OK", "interval_s": reply.interval_s, "next": asked, "received_at": reply.received_at}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"here is only POST {PATH}"
    return problem(error.status_code, detail, headers=dict(error.headers or {}) | CLOSE)


async def _fault(request: Request, error: Exception) -> Response:
    return problem(500, "a fault of Tidegate's own; its log has the details", code="internal")
