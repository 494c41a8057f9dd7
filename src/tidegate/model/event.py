"""Events: the append-only log of what was decided and done, each with its `because`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.model.release import AgentKey

Datum = str | int | float | bool | None
"""What an event's data may hold."""


class EventKind(StrEnum):
    """What an event tells."""

    STAGE = "stage"
    INTENT = "intent"
    REFUSED = "refused"
    PHASE = "phase"
    HOST = "host"
    WEIGHT = "weight"
    VERDICT = "verdict"
    RESTART = "restart"
    REPAIR = "repair"
    SCALE = "scale"
    TASK = "task"
    DOWNTIME = "downtime"
    HEARTBEAT = "heartbeat"
    UNREACHABLE = "unreachable"
    OPERATION = "operation"
    OPERATION_FAILED = "operation_failed"
    MONITOR = "monitor"
    GATE = "gate"
    ALERT = "alert"
    NOTICE = "notice"


@dataclass(frozen=True)
class Event:
    """One line of the log. `at` is unix seconds; `data` holds plain numbers and texts, never secrets."""

    at: float
    key: AgentKey
    kind: EventKind
    because: str
    revision: int | None = None
    data: Mapping[str, Datum] = field(default_factory=dict)
