"""ports.Workshop: each kind of job goes to whoever does it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.workshop.containers import Containers
from tidegate.adapters.workshop.images import examine
from tidegate.adapters.workshop.programs import run_programs
from tidegate.model.delivery import DeliveryKey
from tidegate.model.errors import NotFoundError
from tidegate.model.release import Image
from tidegate.model.work import (
    BuildImage,
    CompareCommits,
    ExamineImage,
    Job,
    LookAtCommit,
    Place,
    Result,
    RunContainer,
    RunPrograms,
)
from tidegate.ports import Builder, SourceControl, Tell

MakeBuilder = Callable[[Tell], Builder]


@dataclass(frozen=True)
class EngineWorkshop:
    """On one engine, with one source control."""

    engine: Engine
    source: SourceControl
    builder: MakeBuilder
    containers: Containers

    async def run(self, job: Job, place: Place, tell: Tell) -> Result:
        """Do a job to its end, or go on waiting for what was begun under its name before."""
        began = time.monotonic()
        match job:
            case LookAtCommit():
                result = await self._look(job)
            case CompareCommits(_, checkout, since):
                found = await self.source.changes(checkout.repository, checkout.commit, since)
                result = Result(change=found)
            case BuildImage():
                result = await self._build(job, tell)
            case ExamineImage():
                result = Result(image_facts=await examine(self.engine, job))
            case RunPrograms():
                result = await run_programs(self.source, job, tell)
            case RunContainer():
                result = await self.containers.run(job, place, tell)
        return replace(result, took_s=time.monotonic() - began)

    async def _look(self, job: LookAtCommit) -> Result:
        identity = await self.source.resolve(job.repository, job.reference)
        commit = await self.source.describe(job.repository, identity)
        return Result(commit=replace(commit, repository=job.repository))

    async def _build(self, job: BuildImage, tell: Tell) -> Result:
        archive = await self.source.archive(job.checkout.repository, job.checkout.commit)
        return Result(image=await self.builder(tell).build(archive, job.tag, job.options))

    async def holds(self, image: Image) -> bool:
        """Whether the engine has this very image under its name."""
        try:
            async with self.engine.call(f"image {image.reference}") as docker:
                facts = await docker.images.inspect(image.reference)
        except NotFoundError:
            return False
        return str(facts["Id"]) == image.config_digest

    async def clean(self, delivery: DeliveryKey) -> None:
        """Remove what is left of a delivery."""
        await self.containers.clean(delivery)
