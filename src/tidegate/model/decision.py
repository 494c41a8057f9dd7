"""A decision: the new state, the whole desired state, and what to tell. Saved before anything is touched."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.model.alerting import Signal
from tidegate.model.desired import Desired
from tidegate.model.event import Event
from tidegate.model.intent import Answer, Intent
from tidegate.model.monitor import LogCount
from tidegate.model.observation import Block, Observation
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState
from tidegate.model.standing import PausedAll


@dataclass(frozen=True)
class Facts:
    """All that a decision may look at beside the state. `now` is unix seconds; `blocks` are new since the last one.

    `failures` names instances that the engine refused again and again to create or start, with the engine's reason.
    `past` are blocks from before the rollout; they are handed in until the rollout has begun to analyse,
    and to its end where nothing runs beside it.
    `paused` is the switch for everything. `logs` counts what stable's instances wrote since the last look, while a way
    back is verified. `needed_images` are references that other agents need; None when nobody has looked.
    `found` are the revisions that what runs here was made from, told to a state that knows nothing; None when they
    could not be asked for. `resumed` says that a controller takes this state up, from another or from before its end.
    `signals` are what alert rules look at, by rule and subject; a subject without data has none.
    """

    now: float
    observation: Observation
    blocks: tuple[Block, ...] = ()
    intents: tuple[Intent, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    past: tuple[Block, ...] = ()
    paused: PausedAll | None = None
    logs: LogCount | None = None
    needed_images: frozenset[str] | None = None
    found: tuple[Revision, ...] | None = ()
    resumed: bool = False
    signals: Mapping[str, Mapping[str, Signal]] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What follows from state and facts. `wake_at` is when time alone could change it (unix seconds)."""

    state: AgentState
    desired: Desired
    events: tuple[Event, ...] = ()
    answers: tuple[Answer, ...] = ()
    wake_at: float | None = None
