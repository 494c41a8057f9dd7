"""Bodies of requests, read with bounds: on their size while they arrive, and on the time that they may take."""

import asyncio
import zlib
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from tidegate.model.errors import TidegateError


class BodyError(TidegateError):
    """A body that is not read. `status` is the HTTP status that says so."""

    code = "body"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class BodyLimits:
    """What a route takes: a media type, bytes (after decompression, too), seconds, and whether it may be gzip."""

    kind: str
    most: int
    deadline_s: float
    gzip: bool = False


async def read_body(request: Request, limits: BodyLimits) -> bytes:
    """The bytes of a body, decompressed. Raises BodyError: 400, 408, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != limits.kind:
        raise BodyError(415, f"Content-Type must be {limits.kind}, not {kind[:50] or 'absent'}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and not (limits.gzip and encoding == "gzip"):
        raise BodyError(415, f"Content-Encoding must be identity{' or gzip' if limits.gzip else ''}")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limits.most:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.deadline_s):
            body = await _read(request, limits)
    except TimeoutError:
        raise BodyError(408, f"the body did not arrive within {limits.deadline_s:g} s") from None
    except ClientDisconnect:
        raise BodyError(400, "the client went away") from None
    return _gunzip(body, limits) if encoding == "gzip" else body


async def _read(request: Request, limits: BodyLimits) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.most:
            raise _too_large(limits)
    return bytes(body)


def _gunzip(body: bytes, limits: BodyLimits) -> bytes:
    """Never more than the limit in memory, whatever the body would grow to."""
    machine = zlib.decompressobj(wbits=31)
    try:
        plain = machine.decompress(body, limits.most + 1)
    except zlib.error:
        raise BodyError(400, "the body is not gzip") from None
    if len(plain) > limits.most:
        raise _too_large(limits)
    if not machine.eof:
        raise BodyError(400, "the body's gzip has no end")
    return plain


def _too_large(limits: BodyLimits) -> BodyError:
    return BodyError(413, f"the body may have {limits.most} bytes at most")
