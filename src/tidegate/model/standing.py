"""What stands around an agent between rollouts: locks, quarantine, holds, what waits, and the switch for everything.

Times are unix seconds.
"""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.release import Image


@dataclass(frozen=True)
class Lock:
    """Only its owner deploys while it lasts. `epoch` grows with every lock: whoever comes with an older one is late."""

    owner: str
    since: float
    until: float
    epoch: int
    reason: str = ""

    def holds(self, now: float) -> bool:
        """Whether it has not expired."""
        return now < self.until


@dataclass(frozen=True)
class Quarantined:
    """A release that was rejected: its image (by digest) with this configuration, and why."""

    image: Image
    configuration: str
    version: str
    revision: int
    because: str
    at: float

    @property
    def id(self) -> str:
        """As a person names it: r7."""
        return f"r{self.revision}"


@dataclass(frozen=True)
class HeldBack:
    """Automatic deliveries wait until somebody acknowledged what happened."""

    because: str
    since: float
    revision: int


@dataclass(frozen=True)
class PausedAll:
    """Everything is paused, in every environment of this state: by whom, since when, why."""

    by: str
    at: float
    reason: str = ""

    @property
    def because(self) -> str:
        """One sentence."""
        return f"everything is paused by {self.by}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Approval:
    """Somebody's yes to a gate. `step` is the step's index, or -1 for the gate before the rollout."""

    gate: str
    by: str
    at: float
    comment: str = ""
    step: int = -1


class Origin(StrEnum):
    """How an image came onto the host: only what we brought is ours to remove."""

    BUILT = "built"
    PULLED = "pulled"


@dataclass(frozen=True)
class OwnImage:
    """An image that we brought onto the host for this agent."""

    image: Image
    origin: Origin
