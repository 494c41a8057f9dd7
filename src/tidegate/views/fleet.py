"""A fleet as data and as a tree: fleet, waves, hosts, and the rollout on each host."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidegate.core.transitions import TONES
from tidegate.model.fleet import FleetRollout, FleetState, HostStage, HostState
from tidegate.model.rollout import AgentState, Phase
from tidegate.views.lines import Line, Node, Span, first_line, line, span_of, tree
from tidegate.views.standing import standing_of

STAGE_TONES = {
    HostStage.PENDING: "dim",
    HostStage.ROLLING: "blue",
    HostStage.DONE: "green",
    HostStage.FAILED: "red",
    HostStage.UNREACHABLE: "yellow",
    HostStage.RETURNING: "red",
    HostStage.RETURNED: "yellow",
}


@dataclass(frozen=True)
class HostRow:
    """One host. `serves` and `rollout` are what its own state says: a revision's title, a phase."""

    host: str
    stage: str
    because: str
    serves: str
    rollout: str
    rollout_because: str


@dataclass(frozen=True)
class WaveRow:
    """One wave and its hosts."""

    wave: int
    under_way: bool
    hosts: tuple[HostRow, ...]


@dataclass(frozen=True)
class FleetStatus:
    """Everything that `status` shows about a fleet. Times are unix seconds."""

    agent: str
    environment: str
    serves: str
    hosts: int
    revision: int | None
    title: str
    phase: str
    because: str
    fault: str
    by: str
    waits_for_person: bool
    started_at: float | None
    ended_at: float | None
    waves: tuple[WaveRow, ...]
    at: float
    standing: tuple[str, ...] = ()


def fleet_status(state: FleetState, children: Mapping[str, AgentState], now: float) -> FleetStatus:
    """Put the fleet's state and its hosts' states together."""
    rollout = state.rollout
    return FleetStatus(
        agent=state.key.agent,
        environment=state.key.environment,
        serves=state.stable.title if state.stable else "",
        hosts=len(state.hosts),
        revision=rollout.candidate.number if rollout else None,
        title=rollout.candidate.title if rollout else "",
        phase=rollout.phase.value if rollout else "",
        because=rollout.because if rollout else "",
        fault=rollout.fault if rollout else "",
        by=rollout.candidate.by if rollout else "",
        waits_for_person=rollout is not None and rollout.phase is Phase.PAUSED,
        started_at=rollout.started_at if rollout else None,
        ended_at=rollout.ended_at if rollout else None,
        waves=tuple(_waves(rollout, children)) if rollout else (),
        at=now,
        standing=standing_of(state, now),
    )


def _waves(rollout: FleetRollout, children: Mapping[str, AgentState]) -> Iterable[WaveRow]:
    for index, wave in enumerate(rollout.waves):
        rows = tuple(_host(rollout.hosts[name], children.get(name)) for name in wave.hosts)
        yield WaveRow(index + 1, index == rollout.wave and not rollout.phase.ended, rows)


def _host(host: HostState, child: AgentState | None) -> HostRow:
    stable = child.stable if child else None
    last = child.rollout if child else None
    return HostRow(
        host.name,
        host.stage.value,
        host.because,
        stable.title if stable else "",
        last.phase.value if last else "",
        first_line(last.because) if last else "",
    )


def fleet_lines(status: FleetStatus) -> tuple[Line, ...]:
    """The tree for a person."""
    serves = f"  revision {status.serves}" if status.serves else "  nothing serves yet"
    name = Span(f"{status.agent}.{status.environment}", "bold")
    return tree(Node(line(name, f"  {status.hosts} hosts{serves}"), tuple(_children(status))))


def _children(status: FleetStatus) -> Iterable[Node]:
    yield from (Node(line(Span(text, "yellow"))) for text in status.standing)
    if not status.phase:
        return
    took = span_of((status.ended_at or status.at) - (status.started_at or status.at))
    head = line(
        "rollout of revision ",
        Span(status.title, "bold"),
        "  ",
        Span(status.phase, TONES[Phase(status.phase)].value),
        Span(f"  {'took' if status.ended_at else 'since'} {took}, asked by {status.by}", "dim"),
    )
    told = [Node(line(first_line(status.because)))]
    told += [Node(line(Span(f"why: {first_line(status.fault)}", "red")))] if status.fault else []
    if status.waits_for_person:
        told.append(Node(line(Span("waits for a person: tidegate resume, promote or abort", "yellow"))))
    yield Node(head, tuple(told))
    for wave in status.waves:
        mark = Span("  under way", "blue") if wave.under_way else Span("", "dim")
        yield Node(line(f"wave {wave.wave}", mark), tuple(_host_node(row) for row in wave.hosts))


def _host_node(row: HostRow) -> Node:
    tone = STAGE_TONES[HostStage(row.stage)]
    serves = f"  serves {row.serves}" if row.serves else ""
    head = line(f"{row.host}  ", Span(f"{row.stage:<11}", tone), Span(serves, ""), Span(f"  {row.because}", "dim"))
    if not row.rollout or Phase(row.rollout).ended:
        return Node(head)
    phase = Span(row.rollout, TONES[Phase(row.rollout)].value)
    return Node(head, (Node(line("rollout ", phase, f"  {row.rollout_because}")),))
