"""What the command line needs of the outside world; wiring makes it. Everything opens late, when a command asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import Event
    from pathlib import Path

    from tidegate.control.tokens import Tokens
    from tidegate.controller.loop import Ports
    from tidegate.controller.site import Books, Site
    from tidegate.model.door import Door
    from tidegate.model.machine import MachineFacts
    from tidegate.model.spec import Environment, Spec
    from tidegate.ports import LeaseStore


@dataclass(frozen=True)
class Serving:
    """What `tidegate serve` has open: the state, the host, the environment and its spec, and whether it decides."""

    books: "Books"
    site: "Site"
    place: "Environment"
    spec: "Spec | None"
    deciding: Callable[[], bool]


class Runs(Protocol):
    """Something that runs beside the controller."""

    async def run(self, stop: "Event") -> None:
        """Until told to stop."""


class Rehearsal(Protocol):
    """A host in memory with a clock that moves only when told, and a state that is thrown away."""

    ports: "Ports"
    leases: "LeaseStore"

    def behave(self, version: str, image: str) -> None:
        """From now on, this version and its image behave as the scenario says."""

    async def close(self) -> None:
        """Throw it away."""


class Toolbox(Protocol):
    """The factory of everything above."""

    def location(self) -> str:
        """Where the state is, for a person."""

    def agent_tokens(self) -> "Tokens":
        """What agents authenticate with. Raises TokenKeyError."""

    async def books(self) -> "Books":
        """Open the state. Raises StoreError."""

    async def site(self, books: "Books", environment: "Environment", folder: "Path") -> "Site":
        """Open an environment; paths of secrets are relative to `folder`. Raises TidegateError."""

    def backup_state(self, folder: "Path") -> "Path":
        """Copy the state into a new folder; the copy's file. Raises StoreError, UsageError."""

    def restore_state(self, folder: "Path") -> "Path | None":
        """Put a backup in the state's place; where the former state lies. Raises ConflictError, StoreError."""

    def fence_state(self) -> int:
        """Raise the lease's epoch above everything that was before; the epoch."""

    def api(self, serving: "Serving", door: "Door") -> "Runs":
        """The HTTP API over what a process serves; it runs until told to stop. Raises UsageError when it begins."""

    def scenarios(self) -> Mapping[str, str]:
        """Scenario -> one sentence, for simulate."""

    async def rehearsal(self, scenario: str) -> Rehearsal:
        """Open a host in memory that plays a scenario."""

    async def examine(self, environment: "Environment | None") -> "MachineFacts":
        """Look at this machine. Never raises for what is missing: that is what it tells."""
