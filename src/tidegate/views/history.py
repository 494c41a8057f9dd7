"""history: every revision with its release, who, when, why and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.core.transitions import TONES
from tidegate.model.event import Event, EventKind
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase
from tidegate.views.lines import Line, Span, date, first_line, span_of, table


@dataclass(frozen=True)
class HistoryRow:
    """One revision. Times are unix seconds; `end` is empty while its rollout is under way."""

    revision: int
    title: str
    release: str
    version: str
    image: str
    commit: str
    undo_of: int | None
    created_at: float
    by: str
    reason: str
    end: str
    ended_at: float | None
    because: str
    serves: bool


def history_of(
    revisions: Sequence[Revision], events: Sequence[Event], state: AgentState | None
) -> tuple[HistoryRow, ...]:
    """Oldest first. How each one ended is read from the events."""
    ends: Mapping[int | None, Event] = {
        event.revision: event for event in events if event.kind is EventKind.PHASE and _end(event) is not None
    }
    serving = state.stable.number if state and state.stable else None
    return tuple(_row(revision, ends.get(revision.number), serving) for revision in revisions)


def _end(event: Event) -> Phase | None:
    to = event.data.get("to")
    phase = Phase(to) if isinstance(to, str) else None
    return phase if phase is not None and phase.ended else None


def _row(revision: Revision, end: Event | None, serving: int | None) -> HistoryRow:
    phase = _end(end) if end else None
    return HistoryRow(
        revision.number,
        revision.title,
        revision.release.id,
        revision.release.version,
        revision.release.image.reference,
        revision.release.provenance.commit,
        revision.undo_of,
        revision.created_at,
        revision.by,
        revision.reason,
        phase.value if phase else "",
        end.at if end else None,
        end.because if end else "",
        revision.number == serving,
    )


def history_lines(rows: Sequence[HistoryRow]) -> tuple[Line, ...]:
    """A table, newest first; what serves now is marked."""
    head = ("", "revision", "release", "begun", "took", "by", "end", "why")
    return table([_cells(row) for row in reversed(rows)], head)


def _cells(row: HistoryRow) -> tuple[Span, ...]:
    tone = TONES[Phase(row.end)].value if row.end else "blue"
    took = span_of(row.ended_at - row.created_at) if row.ended_at else ""
    why = first_line(row.because) if row.end and row.end != Phase.PROMOTED else row.reason
    return (
        Span("*" if row.serves else " ", "green"),
        Span(row.title),
        Span(row.release),
        Span(date(row.created_at)),
        Span(took),
        Span(row.by),
        Span(row.end or "under way", tone),
        Span(why),
    )
