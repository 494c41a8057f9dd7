"""What whoever asks needs: the state, opened (Books), and an environment's host, opened (Site).

Command line and HTTP API are written against these; wiring makes them, of adapters here or of an API elsewhere.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from tidegate.controller.loop import Ports
from tidegate.controller.preview import Preview
from tidegate.model.intent import Intent
from tidegate.model.release import AgentKey, Image
from tidegate.model.workload import Workload
from tidegate.ports import (
    Access,
    AgentRecords,
    Audit,
    Deliveries,
    Fleets,
    Journal,
    LeaseStore,
    OrderBook,
    Outbox,
    Pulses,
    SourceControl,
    Store,
    Switches,
)


class Books(Protocol):
    """The state, opened: what was decided, what was told, and who decides."""

    @property
    def store(self) -> Store:
        """State and intents."""

    @property
    def journal(self) -> Journal:
        """Events, releases, revisions."""

    def lease_of(self, environment: str) -> LeaseStore:
        """Who decides in an environment."""

    @property
    def pulses(self) -> Pulses:
        """What agents reported."""

    @property
    def records(self) -> AgentRecords:
        """What agents say of themselves."""

    @property
    def orders(self) -> OrderBook:
        """What agents are asked to do."""

    @property
    def switches(self) -> Switches:
        """What holds for everything."""

    @property
    def outbox(self) -> Outbox:
        """How far receivers of notices were told."""

    @property
    def fleets(self) -> Fleets:
        """Fleets and where they stand."""

    @property
    def deliveries(self) -> Deliveries:
        """Deliveries and their evidence."""

    @property
    def audit(self) -> Audit:
        """Who did what and why."""

    @property
    def access(self) -> Access:
        """Tokens of the API."""

    async def compact(self) -> bool:
        """Give the room of what was forgotten back to the disk; False where that is not possible now."""

    async def close(self) -> None:
        """Let go of it."""


class DataPlane(Protocol):
    """The host's gateway as a thing of its own."""

    async def agents(self) -> tuple[AgentKey, ...]:
        """Every agent that has routes in it."""

    async def outdated(self) -> bool:
        """Whether it was made from another image or other options than it would be made from now."""

    async def replace(self) -> int:
        """Replace it without a lost request; the number of long connections that were cut."""

    async def stop(self) -> int:
        """Drain and remove it; the number of long connections that were cut."""

    async def purge(self) -> None:
        """Remove what it left on the disk."""


class Takeover(Protocol):
    """A container that somebody started by hand, about to be adopted."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What adopting means, one sentence a line, downtime included."""

    @property
    def workload(self) -> Workload:
        """What runs; secrets are written to files and referred to. Raises StoreError."""

    @property
    def image(self) -> Image:
        """What it runs from."""

    async def take(self, revision: int) -> str:
        """Make it the instance of a revision; its new name. Raises EngineError."""

    async def give_back(self) -> None:
        """Undo the taking. Raises EngineError."""


class Site(Protocol):
    """One environment's host, opened: the ports that a controller and a view need."""

    ports: Ports

    @property
    def data_plane(self) -> DataPlane:
        """The host's gateway."""

    async def preview(self, key: AgentKey, intents: tuple[Intent, ...] = (), probes_s: float = 0.0) -> Preview:
        """One dry turn, as if these intents were asked too (controller.preview)."""

    async def backups(self, key: AgentKey, backup: str = "", volumes: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The backups on this host, or what was written since one (controller.backups)."""

    async def forget_network(self) -> None:
        """Remove the network of the agents, unless somebody still uses it."""

    async def owner(self, container: str) -> AgentKey | None:
        """Whose instance a container is by its labels; None where it is none of ours. Raises NotFoundError."""

    async def takeover(self, container: str, key: AgentKey) -> Takeover:
        """Look at a container that Tidegate did not start. Raises NotFoundError, ConflictError, UsageError."""

    async def image(self, reference: str) -> Image:
        """The image as the host knows it: with its digest where it is present. Never raises for an absent one."""

    def source(self) -> SourceControl:
        """Where commits come from. Raises UsageError where nothing can be made of one."""

    def follow(self, instance: str, lines: int) -> AsyncIterator[str]:
        """The last lines of an instance's log, then each new one until it ends. Raises NotFoundError, EngineError."""

    async def close(self) -> None:
        """Let go of connections; instances and gateway go on."""
