"""agents, below its first table: one row an instance, with what it reported."""

from collections.abc import Mapping, Sequence

from tidegate.core.roster import RosterRow
from tidegate.model.heartbeat import AgentHealth, Listening
from tidegate.model.release import AgentKey
from tidegate.views.lines import Line, Span, first_line, span_of, table

TONES: Mapping[AgentHealth, str] = {
    AgentHealth.ALIVE: "green",
    AgentHealth.LATE: "yellow",
    AgentHealth.GONE: "red",
    AgentHealth.UNREACHABLE: "red",
    AgentHealth.STOPPED: "dim",
    AgentHealth.UNKNOWN: "dim",
}
HEAD = ("instance", "track", "revision", "version", "health", "last heard", "interval", "host", "config", "message")

STALE_S = 15.0
"""Whoever listens says so every two seconds; after this long nobody does."""


def as_of(listening: Listening, now: float) -> Listening:
    """What a reader of the state may believe: as of the last save, and nothing once nobody saves any more."""
    return listening if now - listening.at <= STALE_S else Listening(None, now)


def roster_lines(rosters: Sequence[tuple[AgentKey, Sequence[RosterRow]]], now: float) -> tuple[Line, ...]:
    """A table of every agent's instances."""
    return table([_cells(row, now) for _, rows in rosters for row in rows], HEAD)


def _cells(row: RosterRow, now: float) -> tuple[Span, ...]:
    never = row.last_at is None
    version = f"{row.version} (should be {row.desired})" if row.drifted else row.version
    said = row.message or (row.status if row.status not in ("ok", "stopping") else "")
    return (
        Span(row.instance, "bold"),
        Span(row.track or "-", "" if row.track else "dim"),
        Span(str(row.revision)),
        Span(version or row.desired or "-", "yellow" if row.drifted else ("dim" if never else "")),
        Span(row.health, TONES[row.health]),
        Span("never" if row.last_at is None else f"{span_of(max(0.0, now - row.last_at))} ago", "dim" if never else ""),
        Span(f"{row.interval_s:.3g} s" if row.interval_s is not None else "-", "dim" if never else ""),
        Span(row.host or "-", "" if row.host else "dim"),
        Span(row.config or "-", "yellow" if row.config_differs else ("" if row.config else "dim")),
        Span(first_line(said)),
    )


def listening_line(listening: Listening) -> str:
    """Why nobody's health is known, or nothing."""
    if listening.since is not None:
        return ""
    return "nobody listens for heartbeats now: health is known while tidegate serve (or a rollout) runs"
