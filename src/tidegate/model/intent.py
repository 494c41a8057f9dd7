"""Intents: what a person or a trigger asks for. Any CLI writes them; only the holder of the lease acts on them."""

from dataclasses import dataclass

from tidegate.model.release import AgentKey, Release
from tidegate.model.spec import Analysis, Rollback, Strategy
from tidegate.model.workload import Workload


@dataclass(frozen=True)
class Deploy:
    """Move the environment to a release. `workload` has the environment's overlay applied."""

    release: Release
    workload: Workload
    strategy: Strategy
    analysis: Analysis
    rollback: Rollback


@dataclass(frozen=True)
class Undo:
    """Deploy an earlier revision again (None: the one before), image and configuration both."""

    to_revision: int | None = None


@dataclass(frozen=True)
class Promote:
    """Skip the pause or step under way by a person's word; `full` skips everything that is left."""

    full: bool = False


@dataclass(frozen=True)
class Pause:
    """Hold the rollout as it is."""


@dataclass(frozen=True)
class Resume:
    """Go on where the rollout was paused."""


@dataclass(frozen=True)
class Abort:
    """Traffic back to stable, then the rollout stops."""


@dataclass(frozen=True)
class Retry:
    """Start the last rollout again from its first step."""


@dataclass(frozen=True)
class SetWeight:
    """Send this percentage to the candidate now, by hand; the rollout's next set_weight goes on from there."""

    weight: int


@dataclass(frozen=True)
class Scale:
    """Run this number of instances of stable."""

    replicas: int


@dataclass(frozen=True)
class Restart:
    """Restart every instance of stable, one after the other."""


@dataclass(frozen=True)
class Decommission:
    """Take the agent away from this environment: routes first, then instances."""


Action = Deploy | Undo | Promote | Pause | Resume | Abort | Retry | Scale | Restart | Decommission | SetWeight


@dataclass(frozen=True)
class Intent:
    """An action with who asked, when (unix seconds) and why."""

    id: str
    key: AgentKey
    action: Action
    by: str
    at: float
    reason: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of an intent: accepted or refused, with one sentence."""

    intent: str
    accepted: bool
    because: str
    revision: int | None = None
