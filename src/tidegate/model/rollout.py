"""The state that the loop keeps: one agent in one environment, and its rollout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tidegate.model.alerting import NO_ALERTS, Alert, Alerting
from tidegate.model.intent import Deploy
from tidegate.model.monitor import Row
from tidegate.model.observation import TaskState
from tidegate.model.policy import Endpoint, Policy
from tidegate.model.release import AgentKey, Revision
from tidegate.model.spec import NO_HOOKS, Analysis, Hooks, Mode, Rollback, Strategy
from tidegate.model.standing import Approval, HeldBack, Lock, OwnImage, Quarantined
from tidegate.model.verdict import JudgeState, MetricState, Outcome, Verdict


class Phase(StrEnum):
    """Where a rollout stands. core.transitions holds the table of what may follow what."""

    PREPARING = "preparing"
    STOPPING = "stopping"
    BACKING_UP = "backing_up"
    STARTING = "starting"
    VERIFYING = "verifying"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    PROMOTING = "promoting"
    BAKING = "baking"
    REVERTING = "reverting"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in ENDED


SWAPPING = frozenset({Phase.STOPPING, Phase.BACKING_UP})
"""Nothing serves and nothing is to be waited for: in_place stops stable, then copies its data."""

ENDED = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED})


class PauseKind(StrEnum):
    """Who asked for a pause: a step of the strategy, a person, the analysis, a source that is down, a gate, a freeze
    window, the switch, a release that breaks what runs, or a task."""

    STEP = "step"
    PERSON = "person"
    ANALYSIS = "analysis"
    SOURCE = "source"
    GATE = "gate"
    FREEZE = "freeze"
    ALL = "all"
    BREAKING = "breaking"
    TASK = "task"


@dataclass(frozen=True)
class Hold:
    """Why a rollout is paused, until when (None: until a person says so), and where it goes on."""

    kind: PauseKind
    resume_to: Phase
    because: str
    until: float | None = None


@dataclass(frozen=True)
class Wish:
    """A weight in percent that somebody asked for by hand; applied when the instances for it are ready."""

    weight: int
    by: str
    reason: str = ""


@dataclass(frozen=True)
class TaskRecord:
    """What became of a task. It is RUNNING from the moment it was decided to start it; times are unix seconds."""

    name: str
    release: str
    attempt: int
    state: TaskState
    started_at: float
    deadline_at: float
    ended_at: float | None = None
    detail: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restoring:
    """A person's wish: these volumes of this backup in the place of what is there. No volume named: all of them."""

    backup: str
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Swap:
    """What in_place remembers. `down_since` is when stable was told to stop (None: something serves).

    `downtime_s` adds up the times in which nothing served, `backup_s` is the backup's part of it. `started` says that
    the candidate was started, so that it may have written. `heartbeats` that stable sent some, `version_seen` that the
    candidate told the version expected.
    """

    down_since: float | None = None
    downtime_s: float = 0.0
    backup_s: float = 0.0
    started: bool = False
    heartbeats: bool = False
    version_seen: bool = False


@dataclass(frozen=True)
class Rollout:
    """Moving one environment to a release. Times are unix seconds; `weight` is the candidate's percentage.

    `cursor` is the index of the step under way. `fault` is set once, when the rollout turns back: why it did.
    `ready_since` says for each of the candidate's instances since when it is ready without a break. `evidence` is
    the sequential engine's memory of requests in its plain form, `streams` that of other metrics by name, `judged`
    that of judges. `baseline` is stable's release under a number of its own, started with the candidate. `fast`
    says that it goes back to what has proven itself here: no steps, no analysis, no bake. `approved_by` is the
    person whose word stands in for evidence, `aborted_by` the one who stopped it. `replicas` are the instances to
    have once it is promoted and `replicas_before` those to have when it goes back, where the release changes their
    number; until its end there are as many as the greater of both. `approvals` are the gates that were opened,
    `freeze_overridden_by` whoever let it go on inside a freeze window. `monitor` is the table of the way back;
    `turned_at` is the phase in which it turned. `watched_since` is when its analysis began.
    `delivery` is the number of the one that asked for it; 0: none did. `looked_at` is when it was last decided upon, to
    within some seconds: a controller that takes over, at `taken_up_at`, knows from it how long nobody watched.
    `returning`: a person goes back to what served before; no gate and no freeze window stands in the way.
    """

    id: str
    candidate: Revision
    strategy: Strategy
    analysis: Analysis
    rollback: Rollback
    started_at: float
    phase: Phase = Phase.PREPARING
    phase_since: float = 0.0
    cursor: int = 0
    cursor_since: float = 0.0
    weight: int = 0
    hold: Hold | None = None
    wish: Wish | None = None
    fault: str = ""
    approved_by: str = ""
    aborted_by: str = ""
    because: str = ""
    guard_failed: bool = False
    fast: bool = False
    replicas: int | None = None
    replicas_before: int | None = None
    ready_since: Mapping[str, float] = field(default_factory=dict)
    metrics: tuple[MetricState, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    streams: Mapping[str, Any] = field(default_factory=dict)
    judged: tuple[JudgeState, ...] = ()
    verdict: Verdict | None = None
    policy: Policy = field(default_factory=Policy)
    asked_by: str = ""
    approvals: tuple[Approval, ...] = ()
    freeze_overridden_by: str = ""
    monitor: tuple[Row, ...] = ()
    turned_at: Phase | None = None
    decided_at: float | None = None
    ended_at: float | None = None
    hooks: Hooks = NO_HOOKS
    swap: Swap = Swap()
    tasks: tuple[TaskRecord, ...] = ()
    restoring: Restoring | None = None
    breaking_accepted_by: str = ""
    delivery: int = 0
    baseline: Revision | None = None
    watched_since: float = 0.0
    looked_at: float = 0.0
    taken_up_at: float = 0.0
    returning: bool = False

    @property
    def failing(self) -> bool:
        """Whether the verdict speaks against more traffic. One that is only observed does not."""
        acting = self.analysis.mode is not Mode.OBSERVE
        return acting and self.verdict is not None and self.verdict.outcome is Outcome.FAIL

    @property
    def bake_s(self) -> float:
        """Seconds to watch after promotion."""
        return 0.0 if self.fast else self.strategy.bake_s


@dataclass(frozen=True)
class Retiring:
    """A revision that no route names any more: its instances stay until they have drained, or until `until`.

    Until `warm_until` they stay in any case, ready for whoever goes back to it.
    """

    revision: Revision
    instances: tuple[str, ...]
    until: float
    warm_until: float = 0.0

    def is_warm(self, now: float) -> bool:
        """Whether it is kept for the way back, rather than on its way out."""
        return now < self.warm_until


@dataclass(frozen=True)
class Restarts:
    """Restarts of one unhealthy instance by the controller; the next one not before `not_before` (back-off)."""

    count: int
    of: str
    not_before: float


@dataclass(frozen=True)
class Queued:
    """The newest release that waits for the end of the rollout under way."""

    action: Deploy
    by: str
    at: float
    reason: str = ""


@dataclass(frozen=True)
class AgentState:
    """Everything that must survive the controller, for one agent in one environment.

    `tasks` are hooks of rollouts that are over (oldest first): what succeeded does not run again for its release.
    `stable` serves; `rollout` is the one under way or the last one; `history` holds the latest revisions that served
    (newest last), which is what undo can go back to. `unreachable_since` stops the deadlines while the engine is away.
    `quiet` holds serving instances whose heartbeats stopped, with the time when each was heard last; `drifted` those
    whose code says that it is of another version than it should be, with that version.
    `images` are those that we brought onto the host; `endpoints` are told of every end since `told_since`.
    `alerts` are those that are pending, fire, or fired a while ago, by the rules of `alerting` or told from elsewhere.
    """

    key: AgentKey
    next_revision: int = 1
    stable: Revision | None = None
    replicas: int = 1
    rollout: Rollout | None = None
    history: tuple[Revision, ...] = ()
    retiring: tuple[Retiring, ...] = ()
    restarts: Mapping[str, Restarts] = field(default_factory=dict)
    restart_of: Mapping[str, str] = field(default_factory=dict)
    quiet: Mapping[str, float] = field(default_factory=dict)
    drifted: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[TaskRecord, ...] = ()
    unreachable_since: float | None = None
    decommissioned: bool = False
    lock: Lock | None = None
    lock_epoch: int = 0
    queued: Queued | None = None
    quarantine: tuple[Quarantined, ...] = ()
    held: HeldBack | None = None
    images: tuple[OwnImage, ...] = ()
    cleaning: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    told_since: float = 0.0
    alerting: Alerting = NO_ALERTS
    alerts: tuple[Alert, ...] = ()

    def draining(self, now: float) -> bool:
        """Whether a revision is on its way out; what is kept warm is not."""
        return any(not leaving.is_warm(now) for leaving in self.retiring)

    @property
    def active(self) -> Rollout | None:
        """The rollout under way, if any."""
        return self.rollout if self.rollout is not None and not self.rollout.phase.ended else None
