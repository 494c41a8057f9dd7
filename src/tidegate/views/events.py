"""Events as lines: the log for a person, one line each, and as plain data."""

from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.model.event import Event, EventKind
from tidegate.views.lines import Line, Span, clock, date, first_line, line

KIND_TONES = {
    EventKind.REFUSED: "red",
    EventKind.OPERATION_FAILED: "red",
    EventKind.UNREACHABLE: "yellow",
    EventKind.RESTART: "yellow",
    EventKind.REPAIR: "yellow",
    EventKind.WEIGHT: "blue",
    EventKind.PHASE: "blue",
    EventKind.OPERATION: "dim",
    EventKind.NOTICE: "bold",
    EventKind.ALERT: "bold",
}
NAMES = {EventKind.OPERATION_FAILED: "failed"}


def event_lines(events: Iterable[Event], whole: bool = False) -> tuple[Line, ...]:
    """One line an event; `whole` gives the date, the agent and every log line too."""
    return tuple(one for event in events for one in _lines(event, whole))


def _lines(event: Event, whole: bool) -> Iterable[Line]:
    at = Span(date(event.at) if whole else clock(event.at), "dim")
    name = NAMES.get(event.kind, event.kind.value)
    if event.kind is EventKind.STAGE:
        name = str(event.data.get("stage", name))
    key = f"  {event.key}" if whole else ""
    head, *more = event.because.split("\n")
    yield line(at, key, "  ", Span(f"{name:<11}", KIND_TONES.get(event.kind, "")), " ", told(event, head))
    yield from (line(Span(f"          {rest}", "dim")) for rest in (more if whole else ()))


def told(event: Event, because: str = "") -> str:
    """The sentence, with the numbers of a change in front."""
    because = because or first_line(event.because)
    match event.kind, event.data:
        case EventKind.WEIGHT, {"from": before, "to": after}:
            return f"{before} % -> {after} %: {because}"
        case EventKind.PHASE, {"to": after}:
            return f"{after}: {because}"
        case ((EventKind.INTENT | EventKind.REFUSED), {"by": by, "action": action}):
            verb = "asked for" if event.kind is EventKind.INTENT else "was refused"
            return f"{by} {verb} {action}: {because}"
        case _:
            return because


def event_data(sequence: int | None, event: Event) -> dict[str, Any]:
    """An event as plain data."""
    result: dict[str, Any] = {
        "at": event.at,
        "agent": event.key.agent,
        "environment": event.key.environment,
        "kind": event.kind.value,
        "because": event.because,
        "revision": event.revision,
        "data": _plain(event.data),
    }
    return result if sequence is None else {"seq": sequence, **result}


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in data.items()}
