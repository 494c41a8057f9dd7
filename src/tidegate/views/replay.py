"""replay: what was decided, and what another policy would have said."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.core.replay import Replayed, Span
from tidegate.views.lines import Line, first_line, line, span_of
from tidegate.views.lines import Span as Text

TONES = {"rolled back": "red", "paused": "yellow", "promoted": "green", "undecided": "yellow"}


@dataclass(frozen=True)
class Row:
    """One rollout (or one series): its title, what happened then, and what the policy says."""

    title: str
    happened: str
    replayed: Replayed


def happened(span: Span) -> str:
    """How the rollout ended in truth."""
    if span.decided is not None:
        return f"turned back after {span_of(span.decided - span.began)}: {first_line(span.because)}"
    if span.until is None:
        return "is still under way"
    return f"{span.end} after {span_of(span.until - span.began)}"


def replay_lines(rows: Sequence[Row]) -> Iterable[Line]:
    """For a person."""
    for row in rows:
        said = row.replayed
        yield line(Text(row.title, "bold"), f"  {row.happened}" if row.happened else "")
        tone = TONES[said.decision]
        yield line(
            "  this policy: ",
            Text(f"{said.decision} after {span_of(said.after_s)}", tone),
            f": {first_line(said.because)}",
        )
        if said.caution:
            yield line("  ", Text(first_line(said.caution), "yellow"))
        for notice in said.notices:
            yield line("    told at ", first_line(notice))
        for one in said.verdict.metrics:
            mark = " (only observed)" if one.observed else ""
            yield line("    ", Text(f"{one.outcome.value:<12}", "dim"), f" {first_line(one.because)}{mark}")


def replay_data(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """As plain data."""
    return [
        {
            "title": row.title,
            "happened": row.happened,
            "decision": row.replayed.decision,
            "after_s": round(row.replayed.after_s, 3),
            "because": row.replayed.because,
            "notices": list(row.replayed.notices),
            "caution": row.replayed.caution,
            "metrics": [
                {"metric": m.metric, "outcome": m.outcome.value, "on_fail": m.on_fail.value, "because": m.because}
                for m in row.replayed.verdict.metrics
            ],
        }
        for row in rows
    ]
