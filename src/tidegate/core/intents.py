"""What people ask for, applied to the state: accepted with one sentence, or refused with the reason."""

from dataclasses import replace

from tidegate.core import healing
from tidegate.core.view import effective_phase
from tidegate.model.decision import Facts
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import (
    Abort,
    Answer,
    Decommission,
    Deploy,
    Intent,
    Pause,
    Promote,
    Restart,
    Resume,
    Retry,
    Scale,
    Undo,
)
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Hold, PauseKind, Phase, Rollout
from tidegate.model.spec import Canary

MOST_REPLICAS = 1000
ALL_STEPS = 1_000_000


class _RefusedError(Exception):
    """The intent cannot be carried out; the message says why and what can be done instead."""


def apply(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Answer, ...], tuple[Event, ...]]:
    """Apply every open intent in order. Each gets an answer; none is lost and none is applied twice."""
    answers, events = [], []
    for intent in facts.intents:
        try:
            state, because = _apply(state, intent, facts)
            kind, accepted = EventKind.INTENT, True
        except _RefusedError as refusal:
            because, kind, accepted = str(refusal), EventKind.REFUSED, False
        number = state.rollout.candidate.number if state.rollout else None
        answers.append(Answer(intent.id, accepted, because, number))
        data = {"by": intent.by, "action": type(intent.action).__name__.lower(), "reason": intent.reason}
        events.append(Event(facts.now, state.key, kind, because, number, data))
    return state, tuple(answers), tuple(events)


def _apply(state: AgentState, intent: Intent, facts: Facts) -> tuple[AgentState, str]:
    match intent.action:
        case Deploy():
            return _deploy(state, intent, intent.action, facts.now)
        case Undo(to_revision):
            return _undo(state, intent, to_revision, facts.now)
        case Retry():
            return _retry(state, intent, facts.now)
        case Promote(full):
            return _promote(state, intent, full, facts.now)
        case Pause():
            return _pause(state, intent, facts.now)
        case Resume():
            return _resume(state, intent, facts.now)
        case Abort():
            return _abort(state, intent, facts.now)
        case Scale(replicas):
            return _scale(state, intent, replicas)
        case Restart():
            return _restart(state, intent, facts)
        case Decommission():
            return _decommission(state, intent)


def _deploy(state: AgentState, intent: Intent, action: Deploy, now: float) -> tuple[AgentState, str]:
    under_way = state.active.candidate if state.active else None
    if under_way and under_way.release.id == action.release.id and under_way.workload == action.workload:
        return state, f"revision {under_way.title} is under way already; carrying on"
    _nothing_under_way(state, "abort it or wait for its end first")
    stable = state.stable
    if stable and stable.release.id == action.release.id and stable.workload == action.workload:
        return state, f"revision {stable.title} already runs exactly this; nothing to do"
    revision = Revision(
        state.next_revision,
        state.key.environment,
        action.release,
        action.workload,
        created_at=now,
        by=intent.by,
        reason=intent.reason,
    )
    rollout = Rollout(
        rollout_id(state, revision), revision, action.strategy, action.analysis, action.rollback, started_at=now
    )
    replicas = state.replicas if stable else action.workload.replicas
    if stable and action.workload.replicas != stable.workload.replicas:
        rollout = replace(rollout, replicas=max(action.workload.replicas, 1), replicas_before=replicas)
        replicas = max(replicas, action.workload.replicas)
    return _begin(replace(state, replicas=max(replicas, 1)), rollout, now), f"revision {revision.title} begins"


def rollout_id(state: AgentState, revision: Revision) -> str:
    """Name of a rollout: one a revision."""
    return f"{state.key}.r{revision.number}"


def _begin(state: AgentState, rollout: Rollout, now: float) -> AgentState:
    rollout = replace(rollout, phase_since=now, cursor_since=now, because="the rollout begins")
    return replace(state, rollout=rollout, next_revision=rollout.candidate.number + 1, decommissioned=False)


def _undo(state: AgentState, intent: Intent, to_revision: int | None, now: float) -> tuple[AgentState, str]:
    if state.active is not None:
        if to_revision is None:
            return _abort(state, intent, now)
        _nothing_under_way(state, "undo without a revision takes it back; then undo --to-revision")
    earlier = [revision for revision in state.history if revision is not state.history[-1]]
    if to_revision is not None:
        earlier = [revision for revision in state.history if revision.number == to_revision]
    if not earlier:
        kept = ", ".join(str(revision.number) for revision in state.history[:-1]) or "none"
        raise _RefusedError(f"there is no such earlier revision to go back to; kept: {kept}")
    goal = earlier[-1]
    if state.stable and goal.number == state.stable.number:
        raise _RefusedError(f"revision {goal.title} is what runs now")
    origin = goal.undo_of if goal.undo_of is not None else goal.number
    revision = replace(
        goal, number=state.next_revision, undo_of=origin, created_at=now, by=intent.by, reason=intent.reason
    )
    last = state.rollout
    assert last is not None
    strategy = Canary(steps=(), bake_s=min(last.strategy.bake_s, 10.0), drain_s=last.strategy.drain_s)
    rollout = Rollout(
        rollout_id(state, revision),
        revision,
        strategy,
        last.analysis,
        last.rollback,
        started_at=now,
        approved_by=intent.by,
    )
    return _begin(state, rollout, now), f"revision {revision.title} begins"


def _retry(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    last = state.rollout
    if last is None or last.phase not in (Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED):
        raise _RefusedError("there is no rollout that went back and could be tried again")
    revision = replace(last.candidate, number=state.next_revision, created_at=now, by=intent.by, reason=intent.reason)
    rollout = Rollout(
        rollout_id(state, revision), revision, last.strategy, last.analysis, last.rollback, started_at=now
    )
    return _begin(state, rollout, now), f"revision {revision.title} begins: {last.candidate.number} once more"


def _promote(state: AgentState, intent: Intent, full: bool, now: float) -> tuple[AgentState, str]:
    rollout = _under_way(state)
    if rollout.phase in (Phase.PREPARING, Phase.STARTING, Phase.REVERTING):
        raise _RefusedError(f"the rollout is {rollout.phase}: there is nothing to skip yet")
    phase = effective_phase(rollout)
    forgiven = rollout.verdict is not None and any(m.outcome == "fail" for m in rollout.verdict.metrics)
    rollout = replace(rollout, hold=None, guard_failed=rollout.guard_failed or forgiven, phase_since=now)
    if phase in (Phase.PROMOTING, Phase.BAKING):
        return replace(state, rollout=replace(rollout, phase=phase, approved_by=intent.by)), "promoted by a person"
    cursor = ALL_STEPS if full else rollout.cursor + 1
    rollout = replace(rollout, phase=Phase.PROGRESSING, cursor=cursor, cursor_since=now)
    if full:
        return replace(state, rollout=replace(rollout, approved_by=intent.by)), "every step that is left is skipped"
    return replace(state, rollout=rollout), f"step {cursor} is skipped"


def _pause(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    rollout = _under_way(state)
    if rollout.phase is Phase.REVERTING:
        raise _RefusedError("the way back is not paused; it ends by itself")
    phase = effective_phase(rollout)
    because = f"paused by {intent.by}" + (f": {intent.reason}" if intent.reason else "")
    hold = Hold(PauseKind.PERSON, phase, because)
    return replace(state, rollout=replace(rollout, phase=Phase.PAUSED, phase_since=now, hold=hold)), because


def _resume(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    rollout = _under_way(state)
    if rollout.phase is not Phase.PAUSED or rollout.hold is None:
        raise _RefusedError(f"the rollout is {rollout.phase}, not paused")
    hold = rollout.hold
    cursor = rollout.cursor + 1 if hold.kind is PauseKind.STEP else rollout.cursor
    rollout = replace(rollout, phase=hold.resume_to, phase_since=now, cursor=cursor, cursor_since=now, hold=None)
    return replace(state, rollout=rollout), f"resumed by {intent.by}: {hold.resume_to}"


def _abort(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    rollout = _under_way(state)
    if rollout.phase is Phase.REVERTING:
        return state, "the way back is under way already"
    because = f"aborted by {intent.by}" + (f": {intent.reason}" if intent.reason else "")
    rollout = replace(
        rollout,
        phase=Phase.REVERTING,
        phase_since=now,
        hold=None,
        fault=intent.reason or "a person's word",
        aborted_by=intent.by,
        because=because,
        decided_at=now,
    )
    return replace(state, rollout=rollout), because


def _scale(state: AgentState, intent: Intent, replicas: int) -> tuple[AgentState, str]:
    if not 1 <= replicas <= MOST_REPLICAS:
        raise _RefusedError(
            f"{replicas} instances: a number from 1 to {MOST_REPLICAS} is needed (decommission ends an agent)"
        )
    if state.stable is None and state.rollout is None:
        raise _RefusedError("nothing was deployed here yet")
    rollout = replace(state.rollout, replicas=None, replicas_before=None) if state.rollout else None
    return replace(
        state, replicas=replicas, rollout=rollout
    ), f"{state.replicas} -> {replicas} instances, by {intent.by}"


def _restart(state: AgentState, intent: Intent, facts: Facts) -> tuple[AgentState, str]:
    if state.stable is None:
        raise _RefusedError("nothing serves here yet")
    instances = facts.observation.of_revision(state.stable.runs_as)
    wanted = healing.ask_for_all(instances)
    return replace(state, restart_of=wanted), f"{len(wanted)} instances are restarted one after the other"


def _decommission(state: AgentState, intent: Intent) -> tuple[AgentState, str]:
    _nothing_under_way(state, "abort it first")
    return replace(state, decommissioned=True, stable=None, history=(), retiring=()), f"decommissioned by {intent.by}"


def _under_way(state: AgentState) -> Rollout:
    if state.active is None:
        raise _RefusedError("no rollout is under way")
    return state.active


def _nothing_under_way(state: AgentState, mend: str) -> None:
    if state.active is not None:
        raise _RefusedError(
            f"the rollout of revision {state.active.candidate.title} is under way ({state.active.phase}); {mend}"
        )
