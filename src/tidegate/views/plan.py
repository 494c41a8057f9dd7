"""plan: the operations with their causes, and what the configuration changes to what runs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tidegate.model.operation import (
    CreateInstance,
    Operation,
    PullImage,
    RemoveInstance,
    RemoveTask,
    StartGateway,
    StopInstance,
    describe,
)
from tidegate.model.release import Revision
from tidegate.model.spec import Strategy
from tidegate.model.workload import Workload
from tidegate.spec import Change, diff_workloads
from tidegate.views.lines import Line, Span, line
from tidegate.views.status import step_text, steps_of

CHANGE_TONES = {"+": "green", "-": "red", "~": "yellow"}


def changes(before: Revision | None, after: Revision | None) -> tuple[Change, ...]:
    """The configuration's difference; without a revision before, everything is new; without one after, nothing is."""
    if after is None:
        return ()
    version = Change("version", before.release.version if before else None, after.release.version)
    compared = diff_workloads(before.workload if before else Workload(), after.workload)
    return (version, *compared) if version.before != version.after else compared


def plan_lines(
    operations: Sequence[Operation], changed: Sequence[Change], answer: str, strategy: Strategy | None
) -> tuple[Line, ...]:
    """The plan for a person."""
    lines = [line(Span(answer, "bold"))] if answer else []
    lines.append(line("operations now:" if operations else "operations now: none, everything is as it should be"))
    lines += [line("  ", Span(_mark(one), _tone(one)), " ", describe(one)) for one in operations]
    if strategy is not None:
        steps = " -> ".join(step_text(step) for step in steps_of(strategy))
        lines.append(line(f"then: {steps + ' -> ' if steps else ''}promote -> bake {strategy.bake_s:g} s"))
    if changed:
        lines.append(line("configuration, compared with the running revision:"))
        lines += [line(Span(f"  {change}", CHANGE_TONES[str(change)[0]])) for change in changed]
    return tuple(lines)


def _mark(operation: Operation) -> str:
    match operation:
        case CreateInstance() | PullImage() | StartGateway():
            return "+"
        case RemoveInstance() | RemoveTask() | StopInstance():
            return "-"
        case _:
            return "~"


def _tone(operation: Operation) -> str:
    return CHANGE_TONES[_mark(operation)]


def operation_data(operation: Operation) -> dict[str, str]:
    """An operation as plain data: its kind, its text, its cause."""
    return {"operation": type(operation).__name__, "text": describe(operation), "because": operation.because}


def change_data(change: Change) -> dict[str, Any]:
    """A change as plain data."""
    return asdict(change)
