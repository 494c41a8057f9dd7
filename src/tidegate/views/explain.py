"""explain: why it ended (or stands) as it does: verdict, metric, numbers, log lines, and the timeline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.core.explain import Reason, Side, reasons
from tidegate.core.transitions import TONES
from tidegate.model.event import Event, EventKind
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.verdict import MetricState
from tidegate.views.events import event_data, told
from tidegate.views.lines import Line, Span, clock, first_line, line, span_of
from tidegate.views.status import waits_for_person

TOLD = frozenset(
    {
        EventKind.INTENT,
        EventKind.PHASE,
        EventKind.WEIGHT,
        EventKind.VERDICT,
        EventKind.RESTART,
        EventKind.UNREACHABLE,
        EventKind.OPERATION_FAILED,
        EventKind.NOTICE,
        EventKind.ALERT,
    }
)
LAST_OPERATIONS = 5
MARKS = {Side.FOR: "+", Side.AGAINST: "-", Side.OPEN: "?", Side.NEUTRAL: "."}
TONES_OF = {Side.FOR: "green", Side.AGAINST: "red", Side.OPEN: "yellow", Side.NEUTRAL: "dim"}


@dataclass(frozen=True)
class Explanation:
    """The story of the last rollout. Times are unix seconds; `seconds_to_decide` from begin to the turning back."""

    agent: str
    environment: str
    headline: str
    tone: str
    reasons: tuple[str, ...]
    metrics: tuple[tuple[str, str, str], ...]
    tree: Reason | None
    log: tuple[str, ...]
    timeline: tuple[Event, ...]
    seconds_to_decide: float | None
    seconds_to_recover: float | None
    next: str


def explain(state: AgentState, events: Sequence[Event]) -> Explanation:
    """Tell it from the state and the events of the agent, oldest first."""
    rollout = state.rollout
    if rollout is None:
        return _without_rollout(state)
    mine = [event for event in events if event.at >= rollout.started_at - 1.0]
    mine = [event for event in mine if event.revision in (None, rollout.candidate.number)]
    decided = rollout.decided_at - rollout.started_at if rollout.decided_at is not None else None
    back = rollout.ended_at - rollout.decided_at if rollout.ended_at and rollout.decided_at else None
    return Explanation(
        agent=state.key.agent,
        environment=state.key.environment,
        headline=_headline(state, rollout),
        tone=TONES[rollout.phase].value,
        reasons=tuple(_reasons(state, rollout)),
        metrics=tuple(_metrics(rollout)),
        tree=reasons(state),
        log=tuple(text.strip() for text in (rollout.fault or rollout.because).split("\n")[1:]),
        timeline=tuple(_timeline(mine)),
        seconds_to_decide=decided,
        seconds_to_recover=back,
        next=_next(state, rollout),
    )


def _without_rollout(state: AgentState) -> Explanation:
    headline = "decommissioned" if state.decommissioned else "nothing was deployed yet"
    return Explanation(
        state.key.agent,
        state.key.environment,
        headline,
        "dim",
        (),
        (),
        None,
        (),
        (),
        None,
        None,
        "tidegate deploy RELEASE",
    )


def _headline(state: AgentState, rollout: Rollout) -> str:
    title, took = rollout.candidate.title, ""
    if rollout.ended_at is not None:
        took = f" after {span_of(rollout.ended_at - rollout.started_at)}"
    serving = f"revision {state.stable.title} serves" if state.stable else "nothing serves"
    match rollout.phase:
        case Phase.PROMOTED if state.decommissioned:
            return "decommissioned"
        case Phase.PROMOTED:
            return f"healthy: {serving}, promoted{took}"
        case Phase.ROLLED_BACK | Phase.FAILED:
            return f"revision {title} was taken back{took}; {serving}"
        case Phase.ABORTED:
            return f"revision {title} was aborted by {rollout.aborted_by}{took}; {serving}"
        case Phase.PAUSED:
            return f"revision {title} is paused with {rollout.weight} % of the traffic; {serving}"
        case phase:
            return f"revision {title} is {phase} with {rollout.weight} % of the traffic; {serving}"


def _reasons(state: AgentState, rollout: Rollout) -> Iterable[str]:
    if rollout.fault:
        yield first_line(rollout.fault)
    if rollout.because and first_line(rollout.because) not in first_line(rollout.fault):
        because = first_line(rollout.because)
        if not rollout.fault or first_line(rollout.fault) not in because:
            yield because
    if rollout.approved_by:
        yield f"{rollout.approved_by} gave the word in place of evidence"
    if state.unreachable_since is not None:
        yield "the engine cannot be reached: nothing is decided, and no deadline runs"


def _metrics(rollout: Rollout) -> Iterable[tuple[str, str, str]]:
    states: dict[str, MetricState] = {state.metric: state for state in rollout.metrics}
    for one in rollout.verdict.metrics if rollout.verdict else ():
        state = states.get(one.metric)
        because = first_line(one.because)
        if state and state.taken and "measurements failed" not in because:
            because += f" ({state.failed} of {state.taken} measurements failed)"
        yield one.metric, one.outcome.value, because


def _timeline(events: Sequence[Event]) -> Iterable[Event]:
    """What was decided, and the last operations."""
    operations = [event for event in events if event.kind is EventKind.OPERATION]
    kept = set(map(id, operations[-LAST_OPERATIONS:]))
    return (event for event in events if event.kind in TOLD or id(event) in kept)


def _next(state: AgentState, rollout: Rollout) -> str:
    if waits_for_person(rollout):
        return "tidegate resume, promote or abort"
    match rollout.phase:
        case Phase.PROMOTED if state.decommissioned:
            return "tidegate deploy RELEASE"
        case Phase.PROMOTED:
            return "tidegate undo goes back to the revision before" if len(state.history) > 1 else ""
        case Phase.ROLLED_BACK | Phase.ABORTED | Phase.FAILED:
            return "mend it and deliver again; tidegate retry tries the same once more"
        case _:
            return "tidegate status -w watches; tidegate abort takes it back"


def explanation_lines(story: Explanation) -> tuple[Line, ...]:
    """The story for a person."""
    lines = [line(Span(f"{story.agent}.{story.environment}", "bold"), "  ", Span(story.headline, story.tone))]
    lines += [line("  ", reason) for reason in story.reasons]
    if story.tree is not None and story.tree.below:
        lines += [(), line("why"), *_tree_lines(story.tree.below, 1)]
    if story.log:
        lines += [(), line("last log lines"), *(line("  ", Span(text, "dim")) for text in story.log)]
    if story.timeline:
        lines += [(), line("timeline"), *_timeline_lines(story.timeline)]
    took = []
    if story.seconds_to_decide is not None:
        took.append(f"decided {span_of(story.seconds_to_decide)} after the rollout began")
    if story.seconds_to_recover is not None:
        took.append(f"back to stable {story.seconds_to_recover:.1f} s after the decision")
    if took:
        lines += [(), line(", ".join(took))]
    if story.next:
        lines += [(), line(Span("next: ", "dim"), story.next)]
    return tuple(lines)


def _tree_lines(reasons: Iterable[Reason], depth: int) -> Iterable[Line]:
    for reason in reasons:
        text = f"what would have changed it: {reason.text}" if reason.changed else reason.text
        yield line("  " * depth, Span(f"{MARKS[reason.side]} ", TONES_OF[reason.side]), text)
        yield from _tree_lines(reason.below, depth + 1)


def tree_data(reason: Reason) -> dict[str, Any]:
    """The reason tree as plain data."""
    found: dict[str, Any] = {"text": reason.text, "side": reason.side.value}
    if reason.changed:
        found["changed"] = True
    if reason.below:
        found["below"] = [tree_data(one) for one in reason.below]
    return found


def _timeline_lines(events: Sequence[Event]) -> Iterable[Line]:
    begin = events[0].at
    for event in events:
        turned = event.kind is EventKind.PHASE and event.data.get("to") == Phase.REVERTING
        tone = "red" if turned else ("dim" if event.kind is EventKind.OPERATION else "")
        at = Span(f"  {clock(event.at)}  {event.at - begin:+7.1f} s  ", "dim")
        yield line(at, Span(f"{event.kind.value:<10} {told(event)}", tone))


def explanation_data(story: Explanation) -> dict[str, Any]:
    """The story as plain data."""
    return {
        "agent": story.agent,
        "environment": story.environment,
        "headline": story.headline,
        "reasons": list(story.reasons),
        "metrics": [dict(zip(("metric", "outcome", "because"), one, strict=True)) for one in story.metrics],
        "tree": tree_data(story.tree) if story.tree is not None else None,
        "log": list(story.log),
        "timeline": [event_data(None, event) for event in story.timeline],
        "seconds_to_decide": story.seconds_to_decide,
        "seconds_to_recover": story.seconds_to_recover,
        "next": story.next,
    }
