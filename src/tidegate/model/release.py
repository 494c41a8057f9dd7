"""Releases and revisions: what was made, and its number in one environment."""

from dataclasses import dataclass

from tidegate.model.workload import Workload


@dataclass(frozen=True)
class AgentKey:
    """One agent in one environment: the unit that the loop decides about. `host` names one host of a fleet."""

    agent: str
    environment: str
    host: str = ""

    def __str__(self) -> str:
        place = f"{self.agent}.{self.environment}"
        return f"{place}@{self.host}" if self.host else place

    @property
    def fleet(self) -> "AgentKey":
        """The key without its host: that of the fleet, and the one that the host itself knows."""
        return AgentKey(self.agent, self.environment)

    def on(self, host: str) -> "AgentKey":
        """The key of one host."""
        return AgentKey(self.agent, self.environment, host)


@dataclass(frozen=True)
class Image:
    """An image. `config_digest` is the engine's image id; `manifest_digest` exists once it was pushed or pulled."""

    reference: str
    config_digest: str = ""
    manifest_digest: str = ""


@dataclass(frozen=True)
class Provenance:
    """Where a release comes from. `created_at` is unix seconds; `breaking` is what its notes say that it breaks."""

    commit: str = ""
    source: str = ""
    branch: str = ""
    created_at: float = 0.0
    by: str = ""
    breaking: str = ""


@dataclass(frozen=True)
class Release:
    """Immutable: an image with its base configuration and provenance. The id is derived from the content."""

    id: str
    agent: str
    version: str
    image: Image
    workload: Workload
    provenance: Provenance = Provenance()


@dataclass(frozen=True)
class Revision:
    """A release in one environment, numbered 1, 2, 3 ..., with the environment's overlay applied to its workload.

    `warm` is set when an undo takes over instances that still run from the earlier revision of that number.
    """

    number: int
    environment: str
    release: Release
    workload: Workload
    undo_of: int | None = None
    warm: int | None = None
    created_at: float = 0.0
    by: str = ""
    reason: str = ""

    @property
    def runs_as(self) -> int:
        """The number that its instances carry: its own, or that of the earlier revision that is still warm."""
        return self.number if self.warm is None else self.warm

    @property
    def title(self) -> str:
        """As a person says it: "7 (1.4.0)" or "7 = undo to 5 (1.3.0)"."""
        undo = f" = undo to {self.undo_of}" if self.undo_of is not None else ""
        return f"{self.number}{undo} ({self.release.version})"
