"""One Docker Engine as an environment's host, and the engines of a fleet. What few commands need is imported late."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiodocker import Docker

from tidegate.adapters.gateway.envoy import EnvoyGateway
from tidegate.adapters.hosts import OpenHost, Way, open_host
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.controller.loop import Ports
from tidegate.model.errors import NotFoundError, TidegateError
from tidegate.model.intent import Intent
from tidegate.model.release import AgentKey, Image
from tidegate.ports import Fleets, SourceControl

if TYPE_CHECKING:
    from tidegate.controller.preview import Preview
    from tidegate.controller.site import Takeover


@dataclass
class DockerPlaces:
    """controller.loop.Places: the hosts of a fleet as its state names them, each opened when it is first used."""

    fleets: Fleets
    shared: Ports
    way: Way
    _open: dict[str, OpenHost] = field(default_factory=dict)

    async def ports(self, key: AgentKey) -> Ports:
        """The ports of one host. Raises NotFoundError, UsageError, UnreachableError."""
        fleet = await self.fleets.load_fleet(key.fleet)
        host = next((one for one in fleet.hosts if one.name == key.host), None) if fleet is not None else None
        if host is None:
            raise NotFoundError(
                f"{key}: the fleet has no host {key.host} any more",
                hint="it is left as it is; put it back into environments.NAME.hosts and deploy to have it again",
            )
        found = self._open.get(host.name)
        if found is None:
            found = self._open[host.name] = open_host(host, self.way)
        return replace(self.shared, platform=found.platform, gateway=found.gateway, places=self)

    async def close(self) -> None:
        """Let go of every host."""
        for found in self._open.values():
            await found.close()
        self._open.clear()


@dataclass
class DockerSite:
    """cli.toolbox.Site on one Docker Engine."""

    ports: Ports
    platform: DockerPlatform
    gateway: EnvoyGateway
    docker: Docker
    secrets: Path
    places: DockerPlaces

    @property
    def data_plane(self) -> EnvoyGateway:
        """The gateway, beyond its port."""
        return self.gateway

    async def preview(self, key: AgentKey, intents: tuple[Intent, ...] = (), probes_s: float = 0.0) -> "Preview":
        """One dry turn on this host."""
        from tidegate.controller.preview import preview

        return await preview(key, self.ports, intents, probes_s)

    async def backups(self, key: AgentKey, backup: str = "", volumes: tuple[str, ...] = ()) -> tuple[str, ...]:
        """What a task of its own says."""
        from tidegate.controller.backups import ask_backups

        return await ask_backups(self.ports.tasks, key, backup, volumes)

    async def forget_network(self) -> None:
        """Remove our network, and what else the agents shared."""
        await self.platform.leave()

    async def owner(self, container: str) -> AgentKey | None:
        """By the labels of a container of this engine."""
        from tidegate.adapters.platform.docker.labels import owner

        async with self.platform.engine.call(f"inspect {container}") as docker:
            facts = await docker.containers.container(container).show()
        return owner(facts["Config"].get("Labels") or {})

    async def takeover(self, container: str, key: AgentKey) -> "Takeover":
        """A container of this engine."""
        from tidegate.adapters.platform.docker.takeover import Adopter
        from tidegate.adapters.platform.docker.takeover import Takeover as DockerTakeover

        adopter = Adopter(self.platform.engine, self.platform.network)
        return DockerTakeover(adopter, await adopter.read(container), key, self.secrets / str(key))

    async def image(self, reference: str) -> Image:
        """The image with its digest where the engine has it."""
        with suppress(TidegateError):
            async with self.platform.engine.call(f"image {reference}") as docker:
                facts = await docker.images.inspect(reference)
            digests = [one.rpartition("@")[2] for one in facts.get("RepoDigests") or ()]
            return Image(reference, str(facts["Id"]), digests[0] if digests else "")
        return Image(reference)

    def source(self) -> SourceControl:
        """git."""
        from tidegate.adapters.source.git import Git

        return Git()

    def follow(self, instance: str, lines: int) -> AsyncIterator[str]:
        """The log as it is written."""
        from tidegate.adapters.platform.docker.tail import follow_log

        return follow_log(self.platform.engine, instance, lines)

    async def close(self) -> None:
        """Let go of connections."""
        if self.ports.notifier is not None:
            await self.ports.notifier.close()
        if self.ports.tasks is not None:
            await self.ports.tasks.close()
        await self.places.close()
        await self.ports.gateway.close()
        await self.platform.close()
        await self.docker.close()
