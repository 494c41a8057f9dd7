"""The monitor table of a rollback: what is checked, within which time, and what came of it."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """When a check is made: before traffic moves, while it moves, after it has moved."""

    PRECHECK = "precheck"
    EXECUTE = "execute"
    VERIFY = "verify"


class Item(StrEnum):
    """What is looked at.

    PROBE_READY: every instance of stable answers its readiness probe. INSTANCES_SWITCHED: the gateway sends the
    candidate nothing, and stable has all its instances. LOG_ERROR_RATE: the share of lines at error level or above
    in the logs of stable's instances since the switch; a log that says nothing is judged by stable's failed requests.
    """

    PROBE_READY = "probe ready"
    INSTANCES_SWITCHED = "instances switched"
    LOG_ERROR_RATE = "log error rate"


@dataclass(frozen=True)
class Check:
    """One row: `timeout_s` seconds from the beginning of its stage. `limit` is a share of 1, for rates."""

    stage: Stage
    item: Item
    timeout_s: float
    limit: float = 0.05


MONITOR = (
    Check(Stage.PRECHECK, Item.PROBE_READY, 30.0),
    Check(Stage.EXECUTE, Item.INSTANCES_SWITCHED, 60.0),
    Check(Stage.VERIFY, Item.LOG_ERROR_RATE, 45.0),
)


class Grade(StrEnum):
    """What came of a check. FAIL: not within its time; the way back goes on all the same. UNKNOWN: no data."""

    WAITING = "waiting"
    RUNNING = "running"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNKNOWN = "unknown"

    @property
    def open(self) -> bool:
        """Whether it can still change."""
        return self in (Grade.WAITING, Grade.RUNNING)


@dataclass(frozen=True)
class Row:
    """A check under way or done, with its evidence. Times are unix seconds; counts are since the check began."""

    check: Check
    grade: Grade = Grade.WAITING
    since: float | None = None
    until: float | None = None
    because: str = ""
    lines: int = 0
    errors: int = 0
    requests: int = 0
    failed: int = 0


@dataclass(frozen=True)
class LogCount:
    """Lines that one revision's instances wrote since the last look, and how many of them are errors."""

    lines: int = 0
    errors: int = 0
