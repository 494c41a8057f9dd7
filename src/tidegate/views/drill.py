"""The result of a drill as a table."""

from collections.abc import Sequence

from tidegate.core.drill import DrillRow
from tidegate.views.lines import Line, Span, first_line, table


def drill_lines(rows: Sequence[DrillRow]) -> tuple[Line, ...]:
    """One row a measurement: what, how long, how long it may take, why."""
    cells = [
        (
            Span("ok" if row.good else "failed", "green" if row.good else "red"),
            row.what,
            "never" if row.measured_s is None else f"{row.measured_s:.1f} s",
            "" if row.limit_s is None else f"{row.limit_s:g} s",
            Span(first_line(row.because), "dim"),
        )
        for row in rows
    ]
    return table(cells, ("", "drill", "took", "allowed", ""))
