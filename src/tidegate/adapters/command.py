"""Run a program of the host: no shell, a deadline, a bound on its output, and nothing of it left behind."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass


class TooLongError(Exception):
    """The program did not end before its deadline, and was killed with all that it had started."""


class TooMuchError(Exception):
    """The program wrote more than its limit, and was killed."""


END_S = 5.0
"""How long a killed program may take to be gone."""


@dataclass(frozen=True)
class Result:
    """How a program ended and what it wrote."""

    code: int
    out: bytes
    err: str


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes that a program may take; of its standard error only the beginning is kept."""

    deadline_s: float = 60.0
    out_bytes: int = 16 << 20
    err_bytes: int = 64 << 10


async def run(argv: Sequence[str], env: Mapping[str, str], cwd: str | None = None, limits: Limits = Limits()) -> Result:
    """Run to the end. Raises FileNotFoundError and PermissionError (no such program), TooLongError, TooMuchError."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE, env=env, cwd=cwd, start_new_session=True
    )
    try:
        async with asyncio.timeout(limits.deadline_s):
            (out, size), err = await asyncio.gather(_read(process, limits.out_bytes), _head(process, limits.err_bytes))
            code = await process.wait()
    except BaseException as error:
        await _end(process)
        if isinstance(error, TimeoutError):
            raise TooLongError(f"no end within {limits.deadline_s:g} s") from error
        raise
    if size > limits.out_bytes:
        raise TooMuchError(f"more than {limits.out_bytes} bytes")
    return Result(code, out, err.decode(errors="replace"))


async def _read(process: Process, limit: int) -> tuple[bytes, int]:
    """What it wrote, and how much; past the limit it is killed, and what is still in the pipe is thrown away."""
    assert process.stdout is not None
    parts, size = [], 0
    while part := await process.stdout.read(65536):
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            _kill(process)
    return b"".join(parts), size


async def _head(process: Process, limit: int) -> bytes:
    assert process.stderr is not None
    kept = b""
    while part := await process.stderr.read(65536):
        kept += part[: max(0, limit - len(kept))]
    return kept


def _kill(process: Process) -> None:
    # The whole group: what the program started may still hold the pipes.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _end(process: Process) -> None:
    """Kill it and wait. asyncio's wait() ends only when the pipes are empty, hence the reading; both are bounded."""
    _kill(process)
    with suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            await asyncio.gather(_read(process, 0), _head(process, 0))
            await process.wait()
