"""What goes wrong in a route, as problem+json: the same code, sentence and hint that the command line shows.

Nothing of a request's content is repeated in an answer.
"""

import asyncio
import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tidegate.model.errors import (
    AccessError,
    BuildError,
    ConflictError,
    EngineError,
    GatewayError,
    NotFoundError,
    SecretError,
    SourceError,
    SpecError,
    StoreError,
    TidegateError,
    UnreachableError,
    UsageError,
)
from tidegate.server.problems import problem, problem_of

STATUS: dict[type[TidegateError], int] = {
    UsageError: 422,
    NotFoundError: 404,
    AccessError: 403,
    ConflictError: 409,
    UnreachableError: 503,
    EngineError: 502,
    GatewayError: 502,
    StoreError: 503,
    SourceError: 422,
    SecretError: 422,
    BuildError: 422,
}
"""Error -> status; the first class in an error's ancestry that is here counts."""

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Answer every error of this application."""
    app.add_exception_handler(TidegateError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(TimeoutError, _late)
    app.add_exception_handler(Exception, _fault)


def status_of(error: TidegateError) -> int:
    """The status that says it."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, TidegateError)
    status = status_of(error)
    headers = {"Retry-After": "2"} if status == 503 else None
    if isinstance(error, SpecError):
        found = [{"line": p.line, "key": p.key, "message": p.message, "hint": p.hint} for p in error.problems]
        return problem_of(status, error, headers, errors=found)
    return problem_of(status, error, headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """The request does not have the form that the description gives. Values are left out: they may be secrets."""
    assert isinstance(error, RequestValidationError)
    broken = any(one["type"] == "json_invalid" for one in error.errors())
    found = [{"at": ".".join(map(str, one["loc"]))[:200], "message": one["msg"][:200]} for one in error.errors()[:20]]
    readable = [{name: _printable(text) for name, text in one.items()} for one in found]
    status = 400 if broken else 422
    return problem(status, "the request is not as the API describes it", code="usage", errors=readable)


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _late(request: Request, error: Exception) -> Response:
    return problem(504, str(error) or "it took too long", code="timed-out")


async def _fault(request: Request, error: Exception) -> Response:
    if isinstance(error, asyncio.CancelledError):
        raise error
    fields = {"request": getattr(request.state, "request", "")}
    log.error("a fault of Tidegate's own", exc_info=error, extra={"fields": fields})
    return problem(500, "a fault of Tidegate's own; its log has the details", code="internal")
