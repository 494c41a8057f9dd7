"""Images from a commit, by the engine's classic builder (API /build): no client program and no BuildKit needed.

All stages of a Dockerfile run in their order; `RUN --mount` and here-documents need BuildKit and fail with a hint.
"""

import asyncio
import hashlib
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.adapters.registry.context import make_context
from tidegate.model.errors import BuildError, ImageError, UnreachableError
from tidegate.model.release import Image
from tidegate.model.source import BuildOptions, check_tag
from tidegate.model.workload import fingerprint

LINES = 50
"""How much of a failed build is shown."""

INPUTS = "dev.tidegate.build"
"""Label that holds the fingerprint of everything that went into a build."""

QUICK_S = 15.0

NO_CONNECTION = 900
"""aiodocker's own status for an engine that cannot be connected to."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""The engine paints a build's standard error red."""


class EngineBuilder:
    """Builder. `progress` gets each line as the build writes it."""

    name = "classic builder of the engine"

    def __init__(self, docker: Docker, progress: Callable[[str], None] = lambda line: None) -> None:
        self._docker = docker
        self._progress = progress

    async def build(self, context: bytes, tag: str, options: BuildOptions) -> Image:
        """Build from a tar archive of a commit, or find the image that the same inputs made before.

        Raises UsageError for a tag that is not unique, BuildError with the build's last lines, UnreachableError.
        """
        check_tag(tag)
        packed = await asyncio.to_thread(make_context, context, options)
        inputs = await asyncio.to_thread(_inputs, packed, options)
        labels = {**options.labels, INPUTS: inputs}
        known = await self._find(tag)
        if known is not None and labels.items() <= _labels(known).items():
            self._progress(f"{tag} was built before from the same commit and options")
            return Image(tag, known["Id"])
        lines: deque[str] = deque(maxlen=LINES)
        try:
            async with asyncio.timeout(options.deadline_s):
                await self._run(packed, _parameters(tag, labels, options), lines)
        except TimeoutError as error:
            raise _failed(tag, f"no end within {options.deadline_s:g} s", lines) from error
        made = await self._find(tag)
        if made is None:
            raise _failed(tag, "it ended without an error and without an image", lines)
        return Image(tag, made["Id"])

    async def _run(self, packed: bytes, parameters: dict[str, str], lines: deque[str]) -> None:
        try:
            # aiodocker's images.build knows no target; its _query is what that function itself uses.
            async with self._docker._query(
                "build",
                "POST",
                params=parameters,
                headers={"Content-Type": "application/x-tar"},
                data=packed,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=QUICK_S),
            ) as response:
                try:
                    async for message in _messages(response):
                        self._take(message, parameters["t"], lines)
                finally:
                    # Closed, not returned to the pool: the engine ends a build that nobody listens to.
                    response.close()
        except DockerError as error:
            if error.status == NO_CONNECTION:
                raise _unreachable(error.message) from error
            raise _failed(parameters["t"], error.message, lines) from error
        except aiohttp.ClientError as error:
            raise UnreachableError(
                f"the engine went away during the build of {parameters['t']}: {error}",
                hint="tidegate doctor looks at the engine; the build begins again from its cache",
            ) from error

    def _take(self, message: dict[str, Any], tag: str, lines: deque[str]) -> None:
        if "error" in message:
            raise _failed(tag, str(message["error"]).strip(), lines)
        text = COLOUR.sub("", str(message.get("stream", "")))
        for line in filter(str.strip, text.split("\n")):
            lines.append(line)
            self._progress(line)

    async def _find(self, tag: str) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(QUICK_S):
                found: dict[str, Any] = await self._docker.images.inspect(tag)
                return found
        except DockerError as error:
            if error.status == 404:
                return None
            if error.status == NO_CONNECTION:
                raise _unreachable(error.message) from error
            raise ImageError(f"the engine does not show {tag}: {error.message}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(str(error) or f"no answer within {QUICK_S:g} s") from error


def _unreachable(why: str) -> UnreachableError:
    return UnreachableError(f"the engine does not answer: {why}", hint="tidegate doctor looks at the engine")


def _parameters(tag: str, labels: dict[str, str], options: BuildOptions) -> dict[str, str]:
    wanted = {
        "t": tag,
        "dockerfile": options.dockerfile,
        "target": options.target,
        "buildargs": json.dumps(dict(options.args)),
        "labels": json.dumps(labels),
        "rm": "1",
        "forcerm": "1",
    }
    return {name: value for name, value in wanted.items() if value}


def _inputs(packed: bytes, options: BuildOptions) -> str:
    content = hashlib.sha256(packed).hexdigest()
    return fingerprint([content, options.dockerfile, options.target, dict(options.args)])


def _labels(inspected: dict[str, Any]) -> dict[str, str]:
    return (inspected.get("Config") or {}).get("Labels") or {}


async def _messages(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """One JSON object a line; lines may be longer than aiohttp's own limit."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)
    if rest.strip():
        yield json.loads(rest)


HINTS = (
    ("requires BuildKit", "RUN --mount needs BuildKit; the classic builder is used here: copy what is needed instead"),
    (
        "unknown flag: mount",
        "RUN --mount needs BuildKit; the classic builder is used here: copy what is needed instead",
    ),
    ("no space left", "free space where the engine keeps its images: docker system df, docker system prune"),
    ("failed to reach build target", "set build.target in tidegate.yaml to a stage of the Dockerfile"),
    ("pull access denied", "the base image is not on this host and cannot be pulled: check its name and docker login"),
    ("connection refused", "the base image is not on this host and no registry answers: load it with docker load"),
    ("i/o timeout", "the base image is not on this host and no registry answers: load it with docker load"),
    ("no such host", "the base image is not on this host and no registry can be reached: load it with docker load"),
)


def _failed(tag: str, why: str, lines: deque[str]) -> BuildError:
    shown = "\n".join(f"  | {line}" for line in lines)
    hint = next((hint for sign, hint in HINTS if sign in why), "the lines above are the build's last ones")
    return BuildError(f"{tag} could not be built: {why}" + (f"\n{shown}" if shown else ""), hint=hint)
