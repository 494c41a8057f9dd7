"""Untrusted work in containers: with limits, without a network unless granted, and with nothing of the controller's.

A container is named after its whole key and stays until its delivery is over, so a controller that was killed finds it
again and goes on waiting, or reads how it ended.
"""

import asyncio
import json
import tarfile
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.tail import follow_log
from tidegate.adapters.platform.docker.translate import NANO
from tidegate.model.delivery import DeliveryKey
from tidegate.model.errors import EngineError, ImageError, NotFoundError, TidegateError
from tidegate.model.work import Place, Result, RunContainer
from tidegate.ports import SourceControl, Tell

DELIVERY = f"{labels.PREFIX}delivery"
STAGE = f"{labels.PREFIX}stage"
KIND = "stage"

COPY_S = 300.0
END_S = 15.0
LOOK_S = 0.2
LAST_LINES = 200
OUTPUT_BYTES = 64 << 20
"""A file that is taken out may be this large."""
LOG = {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "1"}}
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"]
"""What the root of a builder image needs to write its files; nothing of the host's."""


class Containers:
    """Run-to-completion containers of stages on one engine."""

    def __init__(self, engine: Engine, source: SourceControl) -> None:
        self._engine = engine
        self._source = source

    async def run(self, job: RunContainer, place: Place, tell: Tell) -> Result:
        """Make it, or find it; wait for its end; take out what was asked for."""
        name = place.name(job.name)
        facts = await self._find(name)
        if facts is None and place.resumed and not job.repeatable:
            return Result(unknown=True)
        if facts is None or facts["State"]["Status"] == "created":
            await self._make(name, job, place)
        timed_out = await self._wait(name, job, tell)
        return await self._read(name, job, timed_out)

    async def _find(self, name: str) -> dict[str, Any] | None:
        try:
            async with self._engine.call(f"inspect {name}") as docker:
                found: dict[str, Any] = await docker.containers.container(name).show()
                return found
        except NotFoundError:
            return None

    async def _make(self, name: str, job: RunContainer, place: Place) -> None:
        """Anew: what was made and never started may lack a part of the checkout."""
        await self._remove(name)
        archive = None
        if job.checkout is not None:
            archive = await self._source.archive(job.checkout.repository, job.checkout.commit)
        try:
            async with self._engine.call(f"make {name}") as docker:
                await docker.containers.create(_body(job, place), name=name)
        except NotFoundError as error:
            raise ImageError(f"image {job.image} is not on this host", hint="build or pull it first") from error
        async with self._engine.call(f"copy the checkout into {name}", COPY_S) as docker:
            container = docker.containers.container(name)
            if archive is not None:
                packed = await asyncio.to_thread(_under, archive, job.working_dir)
                await container.put_archive("/", packed)  # type: ignore[no-untyped-call]
            await container.start()

    async def _wait(self, name: str, job: RunContainer, tell: Tell) -> bool:
        """Until it ended; whether it had to be killed because its time was over."""
        try:
            async with asyncio.timeout(job.bounds.timeout_s):
                async for line in follow_log(self._engine, name, -1):
                    tell(line)
                while (await self._state(name))["Running"]:
                    await asyncio.sleep(LOOK_S)
                return False
        except TimeoutError:
            with suppress(TidegateError):
                async with self._engine.call(f"kill {name}", END_S) as docker:
                    await docker.containers.container(name).kill()
            while (await self._state(name))["Running"]:
                await asyncio.sleep(LOOK_S)
            return True

    async def _state(self, name: str) -> dict[str, Any]:
        facts = await self._find(name)
        if facts is None:
            raise EngineError(f"{name} is gone: somebody removed it while it ran", hint="deliver again")
        state: dict[str, Any] = facts["State"]
        return state

    async def _read(self, name: str, job: RunContainer, timed_out: bool) -> Result:
        state = await self._state(name)
        async with self._engine.call(f"read {name}", COPY_S) as docker:
            container = docker.containers.container(name)
            log = "".join(await container.log(stdout=True, stderr=True, tail=LAST_LINES)).splitlines()
            outputs: dict[str, bytes] = {}
            for path in job.outputs:
                outputs |= await _files(docker, name, path)
        result = Result(log=tuple(log), outputs=outputs, timed_out=timed_out, oom_killed=bool(state.get("OOMKilled")))
        return result if timed_out else replace(result, exit_code=int(state["ExitCode"]))

    async def _remove(self, name: str) -> None:
        with suppress(NotFoundError):
            async with self._engine.call(f"remove {name}", END_S) as docker:
                await docker.containers.container(name).delete(force=True, v=True)

    async def clean(self, delivery: DeliveryKey) -> None:
        """Remove every container of a delivery."""
        async with self._engine.call(f"find what is left of {delivery}") as docker:
            wanted = json.dumps({"label": [f"{DELIVERY}={delivery}"]})
            found = [one.id for one in await docker.containers.list(all=True, filters=wanted)]
        await asyncio.gather(*(self._remove(id) for id in found))


def _body(job: RunContainer, place: Place) -> dict[str, Any]:
    """The request to make it. Its environment is the job's, never the controller's."""
    bounds = job.bounds
    body: dict[str, Any] = {
        "Image": job.image,
        "Labels": {
            labels.KIND: KIND,
            labels.AGENT: place.delivery.agent.agent,
            labels.ENVIRONMENT: place.delivery.agent.environment,
            DELIVERY: str(place.delivery),
            STAGE: place.stage.value,
        },
        "Env": [f"{name}={value}" for name, value in sorted(job.environment.items())],
        "WorkingDir": job.working_dir if job.checkout is not None else "",
        "User": job.user,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": job.network or "none",
            "NanoCpus": round(bounds.cpus * NANO),
            "Memory": bounds.memory_bytes,
            "MemorySwap": bounds.memory_bytes,
            "PidsLimit": bounds.pids,
            "CapDrop": ["ALL"],
            "CapAdd": CAPABILITIES,
            "SecurityOpt": ["no-new-privileges"],
            "Init": True,
            "LogConfig": LOG,
        },
    }
    if job.command is not None:
        body["Cmd"] = list(job.command)
    if job.entrypoint is not None:
        body["Entrypoint"] = list(job.entrypoint)
    return body


def _under(archive: bytes, folder: str) -> bytes:
    """The archive with every path below a folder."""
    packed, prefix = BytesIO(), folder.strip("/")
    with (
        tarfile.open(fileobj=BytesIO(archive), mode="r:") as source,
        tarfile.open(fileobj=packed, mode="w:", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in source:
            content = source.extractfile(member) if member.isreg() else None
            moved = member.replace(name=f"{prefix}/{member.name}", deep=False)
            if member.islnk():
                moved = moved.replace(linkname=f"{prefix}/{member.linkname}", deep=False)
            target.addfile(moved, content)
    return packed.getvalue()


async def _files(docker: Docker, container: str, path: str) -> dict[str, bytes]:
    """One regular file by its path, or all those in a folder; nothing when it is not there.

    Raises EngineError for what is too large.
    """
    try:
        # aiodocker's get_archive reads without a bound.
        async with docker._query(
            f"containers/{container}/archive",
            params={"path": path},
            timeout=aiohttp.ClientTimeout(total=COPY_S),
        ) as response:
            packed = b""
            async for chunk in response.content.iter_chunked(1 << 20):
                packed += chunk
                if len(packed) > OUTPUT_BYTES:
                    raise EngineError(f"{path} is larger than {OUTPUT_BYTES >> 20} MiB", hint="write less into it")
    except DockerError as error:
        if error.status == 404:
            return {}
        raise
    above = path.rstrip("/").rpartition("/")[0]
    with tarfile.open(fileobj=BytesIO(packed), mode="r:") as archive:
        members = [member for member in archive if member.isreg()]
        read = ((member.name, archive.extractfile(member)) for member in members)
        return {f"{above}/{name}": file.read() for name, file in read if file is not None}
