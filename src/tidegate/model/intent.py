"""Intents: what a person or a trigger asks for. Any CLI writes them; only the holder of the lease acts on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.model.policy import Policy
from tidegate.model.release import AgentKey, Release
from tidegate.model.spec import NO_HOOKS, Analysis, Hooks, Rollback, Strategy
from tidegate.model.waves import Host, Waves
from tidegate.model.workload import Workload


@dataclass(frozen=True)
class Deploy:
    """Move the environment to a release. `workload` has the environment's overlay applied.

    `automatic`: a trigger asks, not a person. `lock_epoch`: refused unless the lock of that number still holds.
    The overrides need a reason: a quarantined release, a freeze window.
    `accept_breaking` is the person's word that a breaking release may replace the running one in place.
    `delivery` is the number of the one that made the release; 0: there was none.
    """

    release: Release
    workload: Workload
    strategy: Strategy
    analysis: Analysis
    rollback: Rollback
    policy: Policy = field(default_factory=Policy)
    automatic: bool = False
    override_quarantine: bool = False
    override_freeze: bool = False
    lock_epoch: int | None = None
    hooks: Hooks = NO_HOOKS
    accept_breaking: bool = False
    delivery: int = 0


@dataclass(frozen=True)
class DeployFleet:
    """Move every host of a fleet to a release, wave by wave; `deploy` is what each host is asked for."""

    deploy: Deploy
    waves: Waves
    hosts: tuple[Host, ...]


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
    """Go on where the rollout was paused. With a reason it goes on inside a freeze window; a gate it asks anew."""


@dataclass(frozen=True)
class Abort:
    """Traffic back to stable, then the rollout stops."""


@dataclass(frozen=True)
class Retry:
    """Start the last rollout again from its first step. A quarantined release needs the override, and a reason."""

    override_quarantine: bool = False


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
class Adopt:
    """Take a container that a person started by hand as stable; the platform has given it its name already."""

    release: Release
    workload: Workload


@dataclass(frozen=True)
class Recover:
    """Take what runs here over as it is, with a state that knows nothing of it."""


@dataclass(frozen=True)
class RestoreBackup:
    """Put a backup's volumes (none named: all of it) in the place of what is there; what was written since is lost."""

    backup: str
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decommission:
    """Take the agent away from this environment: routes first, then instances."""


@dataclass(frozen=True)
class Approve:
    """A named person's yes to the gate that the rollout waits at; the comment is the intent's reason."""


@dataclass(frozen=True)
class Reject:
    """A named person's no: the rollout is aborted."""


@dataclass(frozen=True)
class TakeLock:
    """Let nobody else deploy for this long."""

    seconds: float = 7200.0


@dataclass(frozen=True)
class Unlock:
    """Give the lock back; `force` takes another's away and needs a reason."""

    force: bool = False


@dataclass(frozen=True)
class LiftQuarantine:
    """The rejected release of this revision may be deployed again."""

    revision: int


@dataclass(frozen=True)
class Acknowledge:
    """What went back was looked at: automatic deliveries may go on."""


@dataclass(frozen=True)
class CleanUp:
    """Remove images of ours that nothing needs, though the policy does not do it by itself."""


@dataclass(frozen=True)
class TellAlert:
    """An alert that was evaluated elsewhere fires, or is over. `starts_at` is unix seconds by the teller's clock.

    `subject` is the instance that it is about (empty: all of the agent), `revision` the one that it names, if any.
    """

    rule: str
    fingerprint: str
    firing: bool
    starts_at: float
    summary: str = ""
    severity: str = ""
    subject: str = ""
    revision: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


Action = (
    Deploy
    | DeployFleet
    | Undo
    | Promote
    | Pause
    | Resume
    | Abort
    | Retry
    | Scale
    | Restart
    | Adopt
    | Recover
    | Decommission
    | Approve
    | Reject
    | TakeLock
    | Unlock
    | LiftQuarantine
    | Acknowledge
    | CleanUp
    | SetWeight
    | RestoreBackup
    | TellAlert
)


@dataclass(frozen=True)
class Intent:
    """An action with who asked, when (unix seconds) and why; `via` is the id of the API's token, if it came by one."""

    id: str
    key: AgentKey
    action: Action
    by: str
    at: float
    reason: str = ""
    via: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of an intent: accepted or refused, with one sentence."""

    intent: str
    accepted: bool
    because: str
    revision: int | None = None
