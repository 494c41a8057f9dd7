"""status: what runs, where the rollout stands and what the analysis says; as data and as a tree."""

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.core.transitions import TONES
from tidegate.core.view import effective_phase
from tidegate.model.observation import InstanceState, Observation, ObservedInstance
from tidegate.model.policy import Gate
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, PauseKind, Phase, Rollout
from tidegate.model.spec import Analyse, Canary, Pause, SetMirror, SetRoute, SetScale, SetWeight, Step, Strategy
from tidegate.model.verdict import MetricState, Outcome
from tidegate.views.lines import Line, Node, Span, first_line, line, span_of, tree
from tidegate.views.standing import MonitorRow, monitor_node, monitor_rows, standing_of

OUTCOME_TONES = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.INCONCLUSIVE: "yellow"}


@dataclass(frozen=True)
class InstanceRow:
    """One instance. `ready` None: not asked yet, or nobody asks."""

    name: str
    state: str
    ready: bool | None
    address: str
    restarts: int
    detail: str


@dataclass(frozen=True)
class TrackRow:
    """One track: stable, canary, or a revision that is leaving. `weight` is percent; None without routes."""

    name: str
    revision: int
    title: str
    weight: int | None
    instances: tuple[InstanceRow, ...]


@dataclass(frozen=True)
class MetricRow:
    """One metric of the analysis with its last measurement."""

    metric: str
    outcome: str
    because: str
    on_fail: str
    value: float | None
    taken: int
    failed: int


@dataclass(frozen=True)
class RolloutRow:
    """The rollout under way, or the last one. Times are unix seconds."""

    revision: int
    title: str
    phase: str
    step: str
    weight: int
    because: str
    fault: str
    waits_for_person: bool
    started_at: float
    ended_at: float | None
    by: str


@dataclass(frozen=True)
class Status:
    """Everything that `status` shows about one agent in one environment."""

    agent: str
    environment: str
    reachable: bool
    detail: str
    replicas: int
    rollout: RolloutRow | None
    tracks: tuple[TrackRow, ...]
    analysis: str
    analysis_because: str
    metrics: tuple[MetricRow, ...]
    decommissioned: bool
    at: float
    monitor: tuple[MonitorRow, ...] = ()
    standing: tuple[str, ...] = ()


def status_of(state: AgentState, observed: Observation | None, now: float) -> Status:
    """Put state and observation together. Without an observation the instances are unknown."""
    rollout = state.rollout
    verdict = rollout.verdict if rollout else None
    return Status(
        agent=state.key.agent,
        environment=state.key.environment,
        reachable=observed is not None and observed.reachable,
        detail=observed.detail if observed is not None else "not looked at yet",
        replicas=state.replicas,
        rollout=_rollout(rollout) if rollout else None,
        tracks=tuple(_tracks(state, observed)),
        analysis=verdict.outcome.value if verdict else "",
        analysis_because=verdict.because if verdict else "",
        metrics=tuple(_metrics(rollout)) if rollout else (),
        decommissioned=state.decommissioned,
        at=now,
        monitor=monitor_rows(rollout.monitor) if rollout else (),
        standing=standing_of(state, now),
    )


def _rollout(rollout: Rollout) -> RolloutRow:
    return RolloutRow(
        revision=rollout.candidate.number,
        title=rollout.candidate.title,
        phase=rollout.phase.value,
        step=_step(rollout),
        weight=rollout.weight,
        because=first_line(rollout.because),
        fault=rollout.fault,
        waits_for_person=waits_for_person(rollout),
        started_at=rollout.started_at,
        ended_at=rollout.ended_at,
        by=rollout.candidate.by,
    )


def waits_for_person(rollout: Rollout | None) -> bool:
    """Whether the rollout goes on only when somebody says so."""
    if rollout is None or rollout.phase is not Phase.PAUSED:
        return False
    # A gate expires and a freeze window ends, but nobody should sit and wait for either.
    hold = rollout.hold
    return hold is None or hold.until is None or hold.kind in (PauseKind.GATE, PauseKind.FREEZE)


def _step(rollout: Rollout) -> str:
    steps = steps_of(rollout.strategy)
    if rollout.phase.ended or effective_phase(rollout) is not Phase.PROGRESSING or rollout.cursor >= len(steps):
        return ""
    return f"step {rollout.cursor + 1} of {len(steps)} ({step_text(steps[rollout.cursor])})"


def steps_of(strategy: Strategy) -> tuple[Step, ...]:
    """The strategy's steps; none where it has none."""
    return strategy.steps if isinstance(strategy, Canary) else ()


def step_text(step: Step) -> str:
    """A step as a person says it."""
    match step:
        case SetWeight(weight):
            return f"set_weight {weight} %"
        case Pause(None):
            return "pause for a person"
        case Pause(duration_s):
            return f"pause {duration_s:g} s"
        case Analyse(None):
            return "analyse in the background"
        case Analyse(duration_s):
            return f"analyse {duration_s:g} s"
        case SetRoute(matches, header):
            return f"set_route {f'by version in {header}' if header else ', '.join(m.value for m in matches) or 'none'}"
        case SetMirror(percent):
            return f"mirror {percent} %"
        case SetScale(count):
            return f"set_scale {count or 'as the weight needs'}"
        case Gate(name):
            return f"gate {name}"


def _tracks(state: AgentState, observed: Observation | None) -> Iterable[TrackRow]:
    rollout = state.active
    numbers = set()
    if state.stable is not None:
        numbers.add(state.stable.runs_as)
        weight = 100 - (rollout.weight if rollout else 0)
        routed = state.stable.workload.takes_traffic
        yield _track("stable", state.stable, weight if routed else None, observed)
    if rollout is not None:
        candidate = rollout.candidate
        numbers.add(candidate.runs_as)
        weight_or_none = rollout.weight if candidate.workload.takes_traffic else None
        name = "canary" if state.stable is not None else "first"
        yield _track(name, candidate, weight_or_none, observed)
    for leaving in state.retiring:
        numbers.add(leaving.revision.runs_as)
        warm = leaving.is_warm(observed.at if observed else leaving.until)
        yield _track("warm" if warm else "leaving", leaving.revision, 0, observed)
    for number in sorted({i.revision for i in (observed.instances if observed else ())} - numbers):
        instances = observed.of_revision(number) if observed else ()
        yield TrackRow("leaving", number, str(number), 0, tuple(_instance(instance) for instance in instances))


def _track(name: str, revision: Revision, weight: int | None, observed: Observation | None) -> TrackRow:
    """A revision's row. Its instances carry the number of the revision that they were started for."""
    instances = observed.of_revision(revision.runs_as) if observed is not None else ()
    rows = tuple(_instance(instance) for instance in instances)
    return TrackRow(name, revision.number, revision.title, weight, rows)


def _instance(instance: ObservedInstance) -> InstanceRow:
    detail = instance.probe_detail if instance.ready is False else ""
    if instance.oom_killed:
        detail = "killed for want of memory"
    elif instance.state in (InstanceState.EXITED, InstanceState.DEAD) and instance.exit_code is not None:
        detail = f"exit code {instance.exit_code}"
    return InstanceRow(
        instance.name, instance.state.value, instance.ready, instance.address, instance.restart_count, detail
    )


def _metrics(rollout: Rollout) -> Iterable[MetricRow]:
    states: dict[str, MetricState] = {state.metric: state for state in rollout.metrics}
    for one in rollout.verdict.metrics if rollout.verdict else ():
        state = states.get(one.metric)
        last = state.last if state else None
        taken, failed = (state.taken, state.failed) if state else (0, 0)
        value = last.value if last else None
        yield MetricRow(one.metric, one.outcome.value, one.because, one.on_fail.value, value, taken, failed)


def status_lines(status: Status) -> tuple[Line, ...]:
    """The tree for a person."""
    return tree(Node(_headline(status), tuple(_children(status))))


def _headline(status: Status) -> Line:
    name = Span(f"{status.agent}.{status.environment}", "bold")
    if status.decommissioned:
        return line(name, "  decommissioned")
    return line(name, f"  {status.replicas} instance{'s' if status.replicas != 1 else ''} wanted")


def _children(status: Status) -> Iterable[Node]:
    if not status.reachable:
        yield Node(line(Span(f"the engine does not answer: {status.detail}", "red")))
    if status.rollout is not None:
        yield _rollout_node(status.rollout, status.at)
    if status.monitor:
        yield monitor_node(status.monitor)
    yield from (Node(line(Span(text, "yellow"))) for text in status.standing)
    for track in status.tracks:
        yield Node(_track_line(track), tuple(Node(_instance_line(one)) for one in track.instances))
    if status.analysis and status.rollout is not None and status.rollout.ended_at is None:
        tone = OUTCOME_TONES[Outcome(status.analysis)]
        head = line("analysis  ", Span(status.analysis, tone))
        yield Node(head, tuple(Node(_metric_line(metric)) for metric in status.metrics))


def _rollout_node(rollout: RolloutRow, now: float) -> Node:
    phase = Phase(rollout.phase)
    took = span_of((rollout.ended_at or now) - rollout.started_at)
    head = line("rollout of revision ", Span(rollout.title, "bold"), "  ", Span(rollout.phase, TONES[phase].value))
    parts = [part for part in (rollout.step, f"{'took' if rollout.ended_at else 'for'} {took}") if part]
    parts += [f"asked by {rollout.by}"] if rollout.by else []
    children = [Node(line(rollout.because))] if rollout.because else []
    if rollout.waits_for_person:
        children.append(Node(line(Span("waits for a person: tidegate resume, promote or abort", "yellow"))))
    return Node((*head, Span("  " + ", ".join(parts), "dim")), tuple(children))


def _track_line(track: TrackRow) -> Line:
    tone = {"stable": "green", "canary": "blue", "first": "blue"}.get(track.name, "dim")
    weight = f"  {track.weight} %" if track.weight is not None else ""
    return line(Span(f"{track.name:<7}", tone), f" revision {track.title}", Span(weight, "bold"))


def _instance_line(row: InstanceRow) -> Line:
    ready = {True: Span("ready", "green"), False: Span("not ready", "red"), None: Span("not asked", "dim")}[row.ready]
    if row.state != InstanceState.RUNNING:
        ready = Span("", "dim")
    state = Span(f"{row.state:<8}", "" if row.state == InstanceState.RUNNING else "yellow")
    more = [row.address] if row.address else []
    more += [f"{row.restarts} restart{'s' if row.restarts != 1 else ''}"] if row.restarts else []
    more += [first_line(row.detail)] if row.detail else []
    return line(f"{row.name}  ", state, " ", ready, Span("  " + ", ".join(more) if more else "", "dim"))


def _metric_line(metric: MetricRow) -> Line:
    tone = OUTCOME_TONES[Outcome(metric.outcome)]
    told = "measurements failed" in metric.because or not metric.taken
    count = "" if told else f"  {metric.failed} of {metric.taken} measurements failed"
    return line(Span(f"{metric.outcome:<12}", tone), " ", first_line(metric.because), Span(count, "dim"))
