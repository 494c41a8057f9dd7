"""Errors as RFC 9457 problem+json: the same code, message, hint and anchor that the command line shows."""

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from tidegate.model.errors import DOCS, TidegateError

MEDIA_TYPE = "application/problem+json"


def problem(
    status: int, detail: str, *, code: str = "", headers: dict[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem. `more` are members of its own (RFC 9457, 3.2), left out when empty."""
    body = {
        "type": f"{DOCS}#{code}" if code else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **{name: value for name, value in more.items() if value},
    }
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def problem_of(status: int, error: TidegateError, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """The problem that an error of ours is."""
    return problem(status, error.message, code=error.code, headers=headers, hint=error.hint, **more)
