"""The observer: what is true of one agent's instances and images on this engine. Never raises for an absent one."""

import asyncio
import json
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.facts import health, observed_instance
from tidegate.adapters.platform.docker.images import find_image
from tidegate.adapters.platform.docker.logs import LogReader
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.planner import wanted_images
from tidegate.adapters.platform.docker.probes import Prober, Target
from tidegate.adapters.platform.docker.pull import Puller
from tidegate.model.desired import Desired
from tidegate.model.errors import TidegateError
from tidegate.model.observation import ImageState, InstanceState, Observation, ObservedImage, ObservedInstance
from tidegate.model.release import AgentKey, Image, Revision
from tidegate.model.workload import Workload

MEMORY_KILL_S = 60.0


class MemoryKills:
    """Containers of which a process was killed for lack of memory within the last minute, by the engine's events.

    Engine 20.10 leaves OOMKilled standing after the restart policy started the container again; no version of the API
    promises that, and a restart loop spends little time exited.
    """

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def add(self, id: str) -> None:
        """An "oom" event came."""
        now = time.monotonic()
        self._at = {known: at for known, at in self._at.items() if now - at < MEMORY_KILL_S} | {id: now}

    def recent(self, id: str) -> bool:
        """Whether it happened within the last minute."""
        return time.monotonic() - self._at.get(id, -math.inf) < MEMORY_KILL_S


class Observer:
    """Reads one engine."""

    def __init__(
        self, engine: Engine, prober: Prober, puller: Puller, kills: MemoryKills, options: DockerOptions
    ) -> None:
        self._engine = engine
        self._memory_kills = kills
        self._prober = prober
        self._puller = puller
        self._options = options
        self._logs = LogReader(engine, options.log_lines)

    async def observe(self, desired: Desired, at: float) -> Observation:
        """Facts about one agent. `at` is unix seconds. Unreachable within the deadline: `reachable` is False."""
        try:
            async with self._engine.call(f"observe {desired.key}", self._options.observe_deadline_s) as docker:
                found, images, surplus = await asyncio.gather(
                    _containers(docker, desired.key),
                    self._images(docker, wanted_images(desired)),
                    _surplus(docker, desired.surplus_images),
                )
        except TidegateError as error:
            return Observation(at, reachable=False, detail=error.message)
        instances = self._instances(desired, found)
        read = {goal.name: goal.log_lines for goal in desired.instances if goal.log_lines}
        return Observation(at, images=(*images, *surplus), instances=await self._logs.attach(instances, read))

    async def found(self, key: AgentKey) -> tuple[Revision, ...]:
        """What the agent's instances say they were made from. Raises EngineError."""
        async with self._engine.call(f"look for {key}", self._options.observe_deadline_s) as docker:
            listed = await docker.containers.list(all=True, filters=_json_filters({"label": labels.filters(key)}))
        read = (labels.made_from(container._container.get("Labels") or {}) for container in listed)
        newest_last = sorted((revision for revision in read if revision is not None), key=lambda one: one.number)
        return tuple({revision.runs_as: revision for revision in newest_last}.values())

    def _instances(self, desired: Desired, found: Mapping[str, Mapping[str, Any]]) -> tuple[ObservedInstance, ...]:
        workloads = {goal.name: goal.revision.workload for goal in desired.instances}
        seen = {
            id: observed_instance(facts, self._options.network, _adopted_revision(desired.key, facts))
            for id, facts in found.items()
        }
        running = [instance for instance in seen.values() if instance.state is InstanceState.RUNNING]
        self._prober.meet(desired.key, ((instance.id, instance.started_at) for instance in running))
        targets = [
            _target(desired.key, instance, workloads[instance.name])
            for instance in running
            if instance.name in workloads
        ]
        watches = self._prober.sync(desired.key, targets)
        judged = []
        for id, instance in seen.items():
            condition = health(found[id], watches.get(instance.name))
            judged.append(
                replace(
                    instance,
                    ready=condition.ready,
                    live=condition.live,
                    probe_detail=condition.detail,
                    oom_killed=instance.oom_killed or self._memory_kills.recent(id),
                )
            )
        return tuple(sorted(judged, key=lambda instance: instance.name))

    async def _images(self, docker: Docker, wanted: Iterable[Image]) -> tuple[ObservedImage, ...]:
        images = tuple(wanted)
        facts = await asyncio.gather(*(find_image(docker, image) for image in images))
        seen = (self._image(image, found) for image, found in zip(images, facts, strict=True))
        return tuple(image for image in seen if image is not None)

    def _image(self, image: Image, facts: Mapping[str, Any] | None) -> ObservedImage | None:
        if facts is None:
            return self._puller.observed(image)
        digest = image.config_digest or str(facts["Id"])
        marks: Mapping[str, str] = (facts.get("Config") or {}).get("Labels") or {}
        said = marks.get("org.opencontainers.image.version", ""), marks.get("dev.tidegate.breaking", "")
        return ObservedImage(image.reference, ImageState.PRESENT, digest, "", *said)


async def _surplus(docker: Docker, images: Iterable[Image]) -> tuple[ObservedImage, ...]:
    """Images that should go: whether they are still there."""
    seen = []
    for image in images:
        facts = await find_image(docker, image)
        state = ImageState.ABSENT if facts is None else ImageState.PRESENT
        seen.append(ObservedImage(image.reference, state, image.config_digest or str((facts or {}).get("Id", ""))))
    return tuple(seen)


async def _containers(docker: Docker, key: AgentKey) -> dict[str, Mapping[str, Any]]:
    """Inspects of the agent's containers by id, stopped ones too: those with our labels, and adopted ones by name."""
    listed = await asyncio.gather(
        docker.containers.list(all=True, filters=_json_filters({"label": labels.filters(key)})),
        docker.containers.list(all=True, filters=_json_filters({"name": [f"^/{re.escape(str(key))}[.]r[0-9]+[.]"]})),
    )
    labelled = {container.id for container in listed[0]}
    adopted = {container.id for container in listed[1] if not labels.is_ours(container._container.get("Labels") or {})}
    ids = sorted(labelled | adopted)
    inspected = await asyncio.gather(*(_inspect(docker, id) for id in ids))
    return {id: facts for id, facts in zip(ids, inspected, strict=True) if facts is not None}


async def _inspect(docker: Docker, id: str) -> Mapping[str, Any] | None:
    try:
        return await docker.containers.container(id).show()
    except DockerError as error:
        if error.status == 404:  # gone between list and inspect
            return None
        raise


def _json_filters(filters: Mapping[str, list[str]]) -> str:
    return json.dumps(filters)


def _adopted_revision(key: AgentKey, facts: Mapping[str, Any]) -> int | None:
    """The revision in the name of a container that has none of our labels; None for one that has."""
    if labels.is_ours(facts["Config"].get("Labels") or {}):
        return None
    match = re.fullmatch(rf"/{re.escape(str(key))}\.r(\d+)\..*", str(facts["Name"]))
    return int(match[1]) if match else 0


def _target(key: AgentKey, instance: ObservedInstance, workload: Workload) -> Target:
    return Target(
        key=key,
        name=instance.name,
        id=instance.id,
        started_at=instance.started_at,
        address=instance.address,
        readiness=workload.readiness,
        liveness=workload.liveness,
    )
