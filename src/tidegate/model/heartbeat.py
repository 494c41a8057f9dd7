"""Heartbeats: what an agent says of itself, what is known of each instance from it, and the answer.

The wire contract is docs/reference/heartbeat.md. Times are unix seconds; all but `sent_at` are by the control centre's
clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tidegate.model.release import AgentKey

NORMAL_INTERVAL_S = 5.0


class AgentStatus(StrEnum):
    """What an agent says of itself. STOPPING means on purpose: silence afterwards is no fault."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"
    STOPPING = "stopping"


class AgentHealth(StrEnum):
    """What its heartbeats say about an instance.

    UNKNOWN: it never reported, or nobody listened long enough to say. GONE is silence; STOPPED is on purpose;
    UNREACHABLE is the silence of everything on its host.
    """

    ALIVE = "alive"
    LATE = "late"
    GONE = "gone"
    UNREACHABLE = "unreachable"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Completed:
    """The end of one of the agent's tasks."""

    task: str
    ok: bool
    detail: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One message. `sent_at` is the agent's clock, and says nothing but the skew. `attributes` None: as they were."""

    key: AgentKey
    instance: str
    revision: int
    version: str
    status: AgentStatus
    sequence: int
    sent_at: float
    interval_s: float
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    completed: tuple[Completed, ...] = ()
    attributes: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of one instance from all its heartbeats.

    `run_at` is when the process that reports now was first heard: a sequence that starts again is a new process.
    `gaps` counts messages that were sent and never arrived, `runs` the processes. `skew_s` is the agent's clock minus
    ours, the way of the message included.
    """

    key: AgentKey
    instance: str
    revision: int
    version: str
    status: AgentStatus
    sequence: int
    interval_s: float
    first_at: float
    run_at: float
    last_at: float
    sent_at: float = 0.0
    gaps: int = 0
    runs: int = 1
    skew_s: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class Listening:
    """Whether somebody hears: `since` when without a break (None: nobody does), as of `at`."""

    since: float | None
    at: float


class Ask(StrEnum):
    """What an agent may be asked to do next."""

    CONTINUE = "continue"
    REPORT_STATE = "report_state"
    CONFIGURE = "configure"
    RUN_TASK = "run_task"
    DRAIN = "drain"


@dataclass(frozen=True)
class Action:
    """One thing that an agent is asked to do, and what it needs for it (plain JSON)."""

    ask: Ask
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """The answer to a heartbeat. `interval_s` is the interval to keep from now on."""

    interval_s: float
    next: tuple[Action, ...]
    received_at: float
