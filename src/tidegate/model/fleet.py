"""The state of a fleet: one agent on many hosts. Each host's own rollout is an AgentState under the host's key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.model.event import Event
from tidegate.model.intent import Answer, Intent
from tidegate.model.policy import Endpoint, Policy
from tidegate.model.release import AgentKey, Revision
from tidegate.model.rollout import AgentState, Hold, Phase
from tidegate.model.spec import NO_HOOKS, Analysis, Hooks, Rollback, Strategy
from tidegate.model.standing import HeldBack, Lock, Quarantined
from tidegate.model.waves import Host, Limits


class HostStage(StrEnum):
    """Where one host stands. An unreachable one is counted apart: that is no failure of the agent."""

    PENDING = "pending"
    ROLLING = "rolling"
    DONE = "done"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    RETURNING = "returning"
    RETURNED = "returned"

    @property
    def settled(self) -> bool:
        """Whether nothing is waited for there now."""
        return self not in (HostStage.PENDING, HostStage.ROLLING, HostStage.RETURNING)


class Verb(StrEnum):
    """What a host was asked last."""

    GO = "go"
    STOP = "stop"
    HOLD = "hold"
    RELEASE = "release"
    SKIP = "skip"
    STALE = "stale"
    """It was GO, for an aim that is over by now."""


@dataclass(frozen=True)
class HostState:
    """One host within a rollout of its fleet. Times are unix seconds.

    `aim` is the fleet's revision that the host is to run, `tried` the number of its own rollout towards it. `asks` is
    how many intents it got; the number makes their ids, so that none is given twice. `asked`: the last one is not
    answered. `since` is when it began towards the aim, `lost_s` how long of that it could not be reached
    or waited for somebody, as it does since `waits_since`.
    """

    name: str
    wave: int
    stage: HostStage = HostStage.PENDING
    aim: int | None = None
    tried: int | None = None
    asked: bool = False
    verb: Verb | None = None
    asks: int = 0
    since: float = 0.0
    lost_s: float = 0.0
    away_since: float | None = None
    waits_since: float | None = None
    held: bool = False
    late: bool = False
    because: str = ""


@dataclass(frozen=True)
class Wave:
    """Hosts updated together, and what is put up with."""

    hosts: tuple[str, ...]
    limits: Limits


@dataclass(frozen=True)
class FleetRollout:
    """Moving a fleet to a release, wave by wave. `wave` is the index of the one under way.

    `strategy`, `analysis` and `rollback` are those of each host's rollout. `straight`: no steps and no waves to wait
    for (undo). `policy` and the overrides go on to the hosts. `hurried`: a person said that no wave bakes any more.
    `carrier` is the host whose rollout runs the pre hooks, for all of them. `looked_at` is as with one host (Rollout).
    """

    id: str
    candidate: Revision
    strategy: Strategy
    analysis: Analysis
    rollback: Rollback
    waves: tuple[Wave, ...]
    hosts: Mapping[str, HostState]
    started_at: float
    phase: Phase = Phase.PROGRESSING
    phase_since: float = 0.0
    wave: int = 0
    hold: Hold | None = None
    straight: bool = False
    policy: Policy = field(default_factory=Policy)
    override_freeze: bool = False
    accept_breaking: bool = False
    hooks: Hooks = NO_HOOKS
    carrier: str = ""
    hurried: bool = False
    fault: str = ""
    aborted_by: str = ""
    because: str = ""
    decided_at: float | None = None
    ended_at: float | None = None
    delivery: int = 0
    looked_at: float = 0.0


@dataclass(frozen=True)
class FleetState:
    """Everything about a fleet that must survive the controller. `stable` is what its hosts are to run.

    What stands around it is as with one host (AgentState); `queued` is the deploy that waits. `hooked` are the releases
    (by id, oldest first) whose pre hooks have run.
    """

    key: AgentKey
    next_revision: int = 1
    hosts: tuple[Host, ...] = ()
    stable: Revision | None = None
    history: tuple[Revision, ...] = ()
    rollout: FleetRollout | None = None
    decommissioned: bool = False
    lock: Lock | None = None
    lock_epoch: int = 0
    queued: Intent | None = None
    quarantine: tuple[Quarantined, ...] = ()
    held: HeldBack | None = None
    hooked: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    told_since: float = 0.0

    @property
    def active(self) -> FleetRollout | None:
        """The rollout under way, if any."""
        return self.rollout if self.rollout is not None and not self.rollout.phase.ended else None


@dataclass(frozen=True)
class Child:
    """What is known of one host: its state, and its answer to what it was asked last."""

    state: AgentState | None = None
    answer: Answer | None = None


@dataclass(frozen=True)
class FleetFacts:
    """All that a fleet's decision may look at beside its state.

    `single`: the environment ran on one host before. `resumed`: a controller takes this state up from another.
    """

    now: float
    children: Mapping[str, Child] = field(default_factory=dict)
    intents: tuple[Intent, ...] = ()
    single: bool = False
    resumed: bool = False


@dataclass(frozen=True)
class FleetDecision:
    """What follows. `intents` go to the hosts' loops, in one transaction with the state that says they were given."""

    state: FleetState
    intents: tuple[Intent, ...] = ()
    events: tuple[Event, ...] = ()
    answers: tuple[Answer, ...] = ()
    wake_at: float | None = None
