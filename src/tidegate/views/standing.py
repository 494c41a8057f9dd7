"""What stands around an agent: the monitor table of a rollback, lock, hold, what waits, quarantine, receivers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.model.fleet import FleetState
from tidegate.model.intent import Deploy, DeployFleet
from tidegate.model.monitor import Grade, Row
from tidegate.model.rollout import AgentState
from tidegate.model.standing import OwnImage, Quarantined
from tidegate.views.lines import Line, Node, Span, date, first_line, line, table

GRADE_TONES = {
    Grade.WAITING: "dim",
    Grade.RUNNING: "yellow",
    Grade.PASS: "green",
    Grade.FAIL: "red",
    Grade.UNKNOWN: "yellow",
}


@dataclass(frozen=True)
class MonitorRow:
    """One row of the monitor table."""

    check: str
    item: str
    timeout_s: float
    grade: str
    because: str


def monitor_rows(rows: Iterable[Row]) -> tuple[MonitorRow, ...]:
    """As plain data."""
    return tuple(
        MonitorRow(row.check.stage.value, row.check.item.value, row.check.timeout_s, row.grade.value, row.because)
        for row in rows
    )


def monitor_node(rows: Sequence[MonitorRow]) -> Node:
    """The table as a part of the tree."""
    return Node(
        line("way back  ", Span("check / item / time-out", "dim")),
        tuple(
            Node(
                line(
                    f"{row.check:<9}{row.item:<20}{row.timeout_s:>5g} s  ",
                    Span(f"{row.grade:<8}", GRADE_TONES[Grade(row.grade)]),
                    first_line(row.because),
                )
            )
            for row in rows
        ),
    )


def standing_of(state: AgentState | FleetState, now: float) -> tuple[str, ...]:
    """Sentences about what holds a deployment back."""
    found = []
    if state.lock is not None and state.lock.holds(now):
        lock = state.lock
        found.append(f"lock {lock.epoch}: only {lock.owner} deploys until {date(lock.until)}: {lock.reason}")
    if state.held is not None:
        found.append(f"automatic deliveries are held: {state.held.because}; tidegate acknowledge lets them go")
    if state.queued is not None:
        action = state.queued.action
        waits = action.deploy if isinstance(action, DeployFleet) else action
        version = waits.release.version if isinstance(waits, Deploy) else "a release"
        found.append(f"{version} waits, asked by {state.queued.by}")
    return tuple(found)


def quarantine_data(entries: Sequence[Quarantined]) -> list[dict[str, Any]]:
    """As plain data."""
    return [
        {
            "id": one.id,
            "version": one.version,
            "image": one.image.reference,
            "digest": one.image.config_digest or one.image.manifest_digest,
            "configuration": one.configuration,
            "at": one.at,
            "because": one.because,
        }
        for one in entries
    ]


def quarantine_lines(entries: Sequence[Quarantined]) -> tuple[Line, ...]:
    """One row a rejected release."""
    rows = [(one.id, one.version, date(one.at), first_line(one.because)) for one in entries]
    return table(rows, ("", "version", "since", "why")) if rows else (line("nothing is in quarantine"),)


def cleanup_lines(surplus: Sequence[OwnImage], kept: Sequence[OwnImage]) -> tuple[Line, ...]:
    """What would go, and what stays."""
    rows = [(Span("goes", "yellow"), own.image.reference, f"{own.origin}, no kept revision runs it") for own in surplus]
    rows += [(Span("stays", "green"), own.image.reference, f"{own.origin}, needed") for own in kept]
    return table(rows) if rows else (line("no image was brought by Tidegate"),)
