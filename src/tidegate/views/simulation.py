"""simulate: the rehearsal's timeline and its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.core.transitions import TONES
from tidegate.model.event import Event, EventKind
from tidegate.model.rollout import AgentState
from tidegate.views.events import event_data, told
from tidegate.views.lines import Line, Span, first_line, line, table

LEFT_OUT = frozenset({EventKind.OPERATION})


def scenario_lines(known: Mapping[str, str]) -> tuple[Line, ...]:
    """Every scenario with what happens in it."""
    return table([(Span(name, "bold"), Span(about)) for name, about in known.items()])


def simulation_lines(
    scenario: str, about: str, state: AgentState, events: Sequence[Event], begun: float
) -> tuple[Line, ...]:
    """The timeline in seconds since the deployment, and the end."""
    lines = [line(Span(f"scenario {scenario}", "bold"), f": {about}")]
    for event in events:
        if event.kind not in LEFT_OUT:
            at = Span(f"{event.at - begun:9.1f} s  ", "dim")
            lines.append(line(at, Span(f"{event.kind.value:<10} {told(event)}", _tone(event))))
    rollout = state.rollout
    if rollout is not None and not rollout.phase.ended:
        lines.append(
            line(
                f"{state.key}: ",
                Span(rollout.phase.value, TONES[rollout.phase].value),
                ". ",
                first_line(rollout.fault or rollout.because),
            )
        )
    return tuple(lines)


def _tone(event: Event) -> str:
    return {EventKind.WEIGHT: "blue", EventKind.OPERATION_FAILED: "red", EventKind.NOTICE: "bold"}.get(event.kind, "")


def simulation_data(
    scenario: str, about: str, state: AgentState, events: Sequence[Event], begun: float
) -> dict[str, Any]:
    """The same as plain data; times are seconds since the deployment."""
    rollout = state.rollout
    decided = rollout.decided_at - begun if rollout and rollout.decided_at else None
    ended = rollout.ended_at - begun if rollout and rollout.ended_at else None
    return {
        "scenario": scenario,
        "about": about,
        "phase": rollout.phase.value if rollout else None,
        "because": rollout.because if rollout else "",
        "fault": rollout.fault if rollout else "",
        "decided_s": decided,
        "ended_s": ended,
        "events": [{**event_data(None, event), "at_s": round(event.at - begun, 3)} for event in events],
    }
