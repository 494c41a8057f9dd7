"""Hosts in memory: one that lasts as long as the toolbox, and rehearsals that are thrown away."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from tidegate.adapters.platform.memory.scenarios import SCENARIOS
from tidegate.adapters.platform.memory.world import World
from tidegate.adapters.store.opening import State
from tidegate.controller.backups import ask_backups
from tidegate.controller.loop import Ports
from tidegate.controller.preview import Preview, preview
from tidegate.controller.site import Takeover
from tidegate.model.errors import NotFoundError, UsageError
from tidegate.model.intent import Intent
from tidegate.model.release import AgentKey, Image
from tidegate.ports import LeaseStore, SourceControl


class NoDataPlane:
    """cli.toolbox.DataPlane where the gateway is a variable."""

    async def agents(self) -> tuple[AgentKey, ...]:
        """Nobody."""
        return ()

    async def outdated(self) -> bool:
        """Never."""
        return False

    async def replace(self) -> int:
        """Nothing to replace."""
        return 0

    async def stop(self) -> int:
        """Nothing to stop."""
        return 0

    async def purge(self) -> None:
        """Nothing is left."""


@dataclass
class MemorySite:
    """cli.toolbox.Site in memory."""

    ports: Ports

    @property
    def data_plane(self) -> NoDataPlane:
        """There is none to look at."""
        return NoDataPlane()

    async def preview(self, key: AgentKey, intents: tuple[Intent, ...] = (), probes_s: float = 0.0) -> Preview:
        """One dry turn on this host."""
        return await preview(key, self.ports, intents, probes_s)

    async def backups(self, key: AgentKey, backup: str = "", volumes: tuple[str, ...] = ()) -> tuple[str, ...]:
        """What a task of its own says."""
        return await ask_backups(self.ports.tasks, key, backup, volumes)

    async def forget_network(self) -> None:
        """There is none."""

    async def owner(self, container: str) -> AgentKey | None:
        """Nobody looks for containers in memory."""
        return None

    async def takeover(self, container: str, key: AgentKey) -> Takeover:
        """Nobody starts anything by hand in memory."""
        raise NotFoundError(f"the memory platform has no container {container}")

    async def image(self, reference: str) -> Image:
        """Every image is there."""
        return Image(reference)

    def source(self) -> SourceControl:
        """There is nothing to build with in memory."""
        raise UsageError("the memory platform builds no images", hint="deploy an image: tidegate deploy NAME:TAG")

    async def follow(self, instance: str, lines: int) -> AsyncIterator[str]:
        """What there is; nothing is written afterwards."""
        for line in await self.ports.platform.logs(instance, lines):
            yield line

    async def close(self) -> None:
        """The world goes on."""


@dataclass
class MemoryRehearsal:
    """cli.toolbox.Rehearsal."""

    ports: Ports
    leases: LeaseStore
    state: State
    folder: TemporaryDirectory[str]
    world: World
    scenario: str

    def behave(self, version: str, image: str) -> None:
        """Let the scenario begin for this version."""
        scenario = SCENARIOS[self.scenario]
        self.world.behaviours = {version: scenario.behaviour}
        self.world.requests_per_s = scenario.requests_per_s
        if scenario.pull_fails:
            self.world.images[image] = scenario.pull_fails

    async def close(self) -> None:
        """Throw it away."""
        await self.state.close()
        self.folder.cleanup()
