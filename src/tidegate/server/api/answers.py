"""Answers that may be asked for again: a tag of the content, and 304 when the caller has it already.

Source: RFC 9110, 8.8.3 (ETag), 13.1.1 (If-Match), 13.1.2 (If-None-Match).
"""

import hashlib
import json
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from tidegate.server.problems import problem


def tag_of(value: Any) -> str:
    """The entity tag of plain data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def tagged(request: Request, value: Any) -> Response:
    """Plain data with its tag; 304 without a body when If-None-Match has it."""
    tag = tag_of(value)
    if _lists(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers={"ETag": tag})
    return JSONResponse(value, headers={"ETag": tag})


def stale(request: Request, value: Any) -> Response | None:
    """412 when If-Match asks for another content than there is; None when it may go on."""
    wanted = request.headers.get("if-match", "")
    if not wanted or _lists(wanted, tag_of(value)):
        return None
    detail = "it changed since it was read: read it again, and ask again if it still makes sense"
    return problem(412, detail, code="conflict", headers={"ETag": tag_of(value)})


def _lists(header: str, tag: str) -> bool:
    known = [one.strip().removeprefix("W/") for one in header.split(",")]
    return header.strip() == "*" or tag in known
