"""plan: the operations with their causes, and what the configuration changes to what runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.cli.views.lines import Line, Span, line
from tidegate.cli.views.status import step_text
from tidegate.model import codec
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
from tidegate.model.secrecy import looks_secret
from tidegate.model.spec import Strategy

HIDDEN = "(hidden: looks like a secret)"


@dataclass(frozen=True)
class Change:
    """One key of the configuration that differs. None: absent on that side."""

    key: str
    before: Any
    after: Any


def changes(before: Revision | None, after: Revision | None) -> tuple[Change, ...]:
    """The configuration's difference, key by key; values that look like secrets are not shown."""
    old = _flat(codec.dump(before.workload)) | _release(before) if before else {}
    new = _flat(codec.dump(after.workload)) | _release(after) if after else {}
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return tuple(Change(key, _shown(key, old.get(key)), _shown(key, new.get(key))) for key in keys)


def _release(revision: Revision) -> dict[str, Any]:
    return {"version": revision.release.version, "image": revision.release.image.reference}


def _shown(key: str, value: Any) -> Any:
    secret = value is not None and looks_secret(key.rpartition(".")[2], str(value))
    return HIDDEN if secret else value


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by dotted path; empty ones are left out."""
    if isinstance(value, Mapping):
        pairs = [(f"{path}.{name}" if path else str(name), child) for name, child in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        pairs = [(f"{path}[{index}]", child) for index, child in enumerate(value)]
    else:
        return {} if value in ("", None, False) else {path: value}
    return {key: leaf for name, child in pairs for key, leaf in _flat(child, name).items()}


def plan_lines(
    operations: Sequence[Operation], changed: Sequence[Change], answer: str, strategy: Strategy | None
) -> tuple[Line, ...]:
    """The plan for a person."""
    lines = [line(Span(answer, "bold"))] if answer else []
    lines.append(line("operations now:" if operations else "operations now: none, everything is as it should be"))
    lines += [line("  ", Span(_mark(one), _tone(one)), " ", describe(one)) for one in operations]
    if strategy is not None:
        steps = " -> ".join(step_text(step) for step in strategy.steps)
        lines.append(line(f"then: {steps + ' -> ' if steps else ''}promote -> bake {strategy.bake_s:g} s"))
    if changed:
        lines.append(line("configuration, compared with the running revision:"))
        lines += list(_changes(changed))
    return tuple(lines)


def _changes(changed: Iterable[Change]) -> Iterable[Line]:
    for change in changed:
        match change:
            case Change(key, None, after):
                yield line(Span(f"  + {key}: {after}", "green"))
            case Change(key, before, None):
                yield line(Span(f"  - {key}: {before}", "red"))
            case Change(key, before, after):
                yield line(Span(f"  ~ {key}: {before} -> {after}", "yellow"))


def _mark(operation: Operation) -> str:
    match operation:
        case CreateInstance() | PullImage() | StartGateway():
            return "+"
        case RemoveInstance() | RemoveTask() | StopInstance():
            return "-"
        case _:
            return "~"


def _tone(operation: Operation) -> str:
    return {"+": "green", "-": "red", "~": "yellow"}[_mark(operation)]


def operation_data(operation: Operation) -> dict[str, str]:
    """An operation as plain data: its kind, its text, its cause."""
    text = describe(operation)
    because = operation.because
    return {"operation": type(operation).__name__, "text": text, "because": because}
