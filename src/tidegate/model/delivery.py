"""A delivery: the journey of one commit through every stage, and what its decisions look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tidegate.model.event import Event
from tidegate.model.evidence import Evidence
from tidegate.model.intent import Intent
from tidegate.model.release import AgentKey, Image, Release
from tidegate.model.source import Commit
from tidegate.model.spec import Spec
from tidegate.model.stages import Bounds, StageName


class StageState(StrEnum):
    """Where one stage stands. INCONCLUSIVE is neither a pass nor a failure: nobody knows."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing happens to it any more."""
        return self not in (StageState.WAITING, StageState.RUNNING)


class DeliveryPhase(StrEnum):
    """Where the whole delivery stands; it ends as its worst stage did."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self is not DeliveryPhase.RUNNING


@dataclass(frozen=True)
class DeliveryKey:
    """Which delivery: numbered 1, 2, 3 ... for one agent in one environment."""

    agent: AgentKey
    number: int

    def __str__(self) -> str:
        return f"{self.agent}.d{self.number}"


@dataclass(frozen=True)
class StageRecord:
    """One stage within a delivery. Times are unix seconds.

    `key` is the fingerprint of all its inputs, once they are known: evidence under the same key is reused. `attempt`
    counts; what is `repeatable` is tried again when its outcome is unknown, not before `not_before`.
    """

    name: StageName
    bounds: Bounds = field(default_factory=Bounds)
    repeatable: bool = True
    state: StageState = StageState.WAITING
    attempt: int = 1
    key: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    not_before: float = 0.0
    because: str = ""
    hint: str = ""
    log: tuple[str, ...] = ()
    reused: bool = False


@dataclass(frozen=True)
class Delivery:
    """Everything about one delivery that must survive the controller.

    `reference` is what was asked for: a commit, tag or branch. `stages` are those that this delivery goes through; with
    no rollout among them it ends with its evidence (`tidegate stage NAME`). `release` is what the rollout is about,
    `breaking` what its notes call breaking.
    """

    key: DeliveryKey
    spec: Spec
    reference: str
    by: str
    at: float
    stages: tuple[StageRecord, ...]
    reason: str = ""
    automatic: bool = False
    phase: DeliveryPhase = DeliveryPhase.RUNNING
    commit: Commit | None = None
    image: Image | None = None
    release: Release | None = None
    breaking: str = ""
    because: str = ""
    ended_at: float = 0.0

    def stage(self, name: StageName) -> StageRecord | None:
        """The record of a stage, None when the delivery does not go through it."""
        return next((one for one in self.stages if one.name is name), None)

    def numbered(self, number: int) -> "Delivery":
        """The same under a number, which the store gives."""
        return replace(self, key=replace(self.key, number=number))


@dataclass(frozen=True)
class Inputs:
    """What is known of a stage that could begin: the key of its inputs, and evidence under it that still holds."""

    key: str
    known: Evidence | None = None


@dataclass(frozen=True)
class RolloutSeen:
    """What became of the delivery's rollout so far."""

    state: StageState = StageState.RUNNING
    because: str = ""


@dataclass(frozen=True)
class Budget:
    """What stages may take together. A stage that is greater than all of it runs alone."""

    cpus: float = 2.0
    memory_bytes: int = 4 << 30


@dataclass(frozen=True)
class DeliveryFacts:
    """All that a delivery's decision may look at beside its state.

    `inputs` of the stages that could begin; `done` holds the evidence of work that ended; `cancelled_by` is who wants
    it to end.
    """

    now: float
    inputs: Mapping[StageName, Inputs] = field(default_factory=dict)
    done: Mapping[StageName, Evidence] = field(default_factory=dict)
    rollout: RolloutSeen = RolloutSeen()
    cancelled_by: str = ""
    budget: Budget = Budget()


@dataclass(frozen=True)
class DeliveryDecision:
    """What follows, saved in one transaction before anything is begun.

    `evidence` is kept by stage and key; `release` is kept when the rollout begins; `intents` go to the environment's
    own loop.
    """

    state: Delivery
    evidence: Mapping[StageName, Evidence] = field(default_factory=dict)
    release: Release | None = None
    intents: tuple[Intent, ...] = ()
    events: tuple[Event, ...] = ()
    wake_at: float | None = None
