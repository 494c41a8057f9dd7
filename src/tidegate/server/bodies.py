"""Bodies of requests, read with bounds: on their size while they arrive, and on the time that they may take."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from tidegate.model.errors import TidegateError


class BodyError(TidegateError):
    """A body that is not read. `status` is the HTTP status that says so."""

    code = "body"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_json_body(request: Request, most: int, deadline_s: float) -> bytes:
    """The bytes of a JSON body of at most `most` bytes. Raises BodyError: 400, 408, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BodyError(415, f"Content-Type must be application/json, not {kind[:50] or 'absent'}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BodyError(415, "Content-Encoding is not understood here: send the JSON as it is")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise BodyError(413, f"the body may have {most} bytes at most")
    try:
        async with asyncio.timeout(deadline_s):
            return await _read(request, most)
    except TimeoutError:
        raise BodyError(408, f"the body did not arrive within {deadline_s:g} s") from None
    except ClientDisconnect:
        raise BodyError(400, "the client went away") from None


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BodyError(413, f"the body may have {most} bytes at most")
    return bytes(body)
