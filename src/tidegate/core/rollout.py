"""decide: state and facts go in, the new state and the whole desired state come out.

The order within one decision: what people asked for, what the world's hard facts and the metrics say, the phase's own
move (again and again until nothing moves), the restarts, what has drained. Invariants, held for every input:

- REVERTING leads only to an end: a rollback is never rolled back.
- Nothing that serves is given up before its successor has baked; the weight never rises once a guarding metric failed.
- No data never promotes: a verdict that is inconclusive pauses.
- While the engine cannot be reached nothing is decided and no deadline runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tidegate.core import analysis, faults, healing, intents, notices, shape, silence, strategies
from tidegate.core.strategies import Advance, Done, Stay, Wait
from tidegate.core.transitions import allowed
from tidegate.core.view import View
from tidegate.model.decision import Decision, Facts
from tidegate.model.desired import instance_name
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Answer
from tidegate.model.observation import ImageState
from tidegate.model.rollout import AgentState, Hold, PauseKind, Phase, Retiring, Rollout
from tidegate.model.spec import OnFail
from tidegate.model.verdict import MetricState, Outcome

MOST_MOVES = 64


@dataclass(frozen=True)
class Move:
    """A move to another phase, with the fields of the rollout that change with it."""

    to: Phase
    because: str
    fault: str = ""
    hold: Hold | None = None
    weight: int | None = None


@dataclass(frozen=True)
class Note:
    """No move: the phase stays, and this is what it waits for. `rollout` carries what changed within the phase."""

    rollout: Rollout
    event: Event | None = None


def decide(state: AgentState, facts: Facts) -> Decision:
    """The only decision function. Pure: the same state and facts always give the same decision."""
    state, answers, events = intents.apply(state, facts)
    if not facts.observation.reachable:
        return _hold(state, facts, answers, events)
    state, back = _reachable_again(state, facts)
    events += back
    state, moved = _advance(_listen(_watch_readiness(state, facts), facts), facts)
    state, healed = healing.heal(state, facts.observation, facts.now)
    state, heard = silence.listen(state, facts.observation, facts.now)
    state = _drained(state, facts)
    wanted = shape.desired(state, facts)
    return Decision(state, wanted, events + moved + healed + heard, answers, _wake_at(state, facts))


def _hold(state: AgentState, facts: Facts, answers: tuple[Answer, ...], events: tuple[Event, ...]) -> Decision:
    """The engine is away: that is no failure of the agent. Remember since when, want what was wanted."""
    if state.unreachable_since is None:
        why = f"the engine cannot be reached ({facts.observation.detail}): holding, nothing is decided"
        events += (Event(facts.now, state.key, EventKind.UNREACHABLE, why),)
        state = replace(state, unreachable_since=facts.now)
    return Decision(state, shape.desired(state, facts), events, answers)


def _reachable_again(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    """Let the deadlines go on where they stood."""
    if state.unreachable_since is None:
        return state, ()
    gap = facts.now - state.unreachable_since
    event = Event(facts.now, state.key, EventKind.UNREACHABLE, f"the engine is back after {gap:.1f} s; deadlines moved")
    state = replace(state, unreachable_since=None)
    return (replace(state, rollout=postponed(state.active, gap)) if state.active else state), (event,)


def postponed(rollout: Rollout, gap: float) -> Rollout:
    """The rollout with its clocks moved by a time in which nobody could look."""
    hold = rollout.hold
    if hold and hold.until is not None:
        hold = replace(hold, until=hold.until + gap)
    return replace(rollout, phase_since=rollout.phase_since + gap, cursor_since=rollout.cursor_since + gap, hold=hold)


def _watch_readiness(state: AgentState, facts: Facts) -> AgentState:
    """Remember since when each of the candidate's instances is ready."""
    rollout = state.active
    if rollout is None:
        return state
    known = rollout.ready_since
    seen = facts.observation.of_revision(rollout.candidate.runs_as)
    return replace(
        state, rollout=replace(rollout, ready_since={i.name: known.get(i.name, facts.now) for i in seen if i.ready})
    )


def _listen(state: AgentState, facts: Facts) -> AgentState:
    """Feed the new measurement blocks to the rollout's metrics."""
    rollout = state.active
    if rollout is None or rollout.phase in (Phase.PREPARING, Phase.STARTING, Phase.REVERTING):
        return state
    states = analysis.take(rollout.analysis, rollout.metrics, facts.blocks, rollout.candidate.runs_as)
    verdict = analysis.judge(rollout.analysis, states, rollout.cursor_since)
    return replace(state, rollout=replace(rollout, metrics=states, verdict=verdict))


def _advance(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    events: tuple[Event, ...] = ()
    for _ in range(MOST_MOVES):
        if state.active is None:
            break
        view = View(state, state.active, facts)
        result = _alarm(view) or PHASES[state.active.phase](view)
        match result:
            case Move():
                state, told = _apply(state, result, facts.now)
                events += told
            case Note(rollout, event):
                events += (event,) if event else ()
                if rollout == state.rollout:
                    break
                state = replace(state, rollout=rollout)
    return state, events


def _apply(state: AgentState, move: Move, now: float) -> tuple[AgentState, tuple[Event, ...]]:
    rollout = state.active
    assert rollout is not None
    assert allowed(rollout.phase, move.to), f"{rollout.phase} -> {move.to} is not in the table"
    after = replace(
        rollout,
        phase=move.to,
        phase_since=now,
        because=move.because,
        hold=move.hold,
        fault=rollout.fault or move.fault,
        decided_at=now if move.to is Phase.REVERTING else rollout.decided_at,
        weight=rollout.weight if move.weight is None else move.weight,
        ended_at=now if move.to.ended else None,
    )
    if rollout.phase is Phase.PAUSED and rollout.hold and rollout.hold.kind is PauseKind.STEP:
        after = replace(after, cursor=rollout.cursor + 1)
    if move.to in (Phase.PROGRESSING, Phase.BAKING):
        after = replace(after, cursor_since=now)
    if not after.metrics and move.to in (Phase.PROGRESSING, Phase.PROMOTING):
        after = replace(after, metrics=_metrics(after, now))
    number = rollout.candidate.number
    events = [Event(now, state.key, EventKind.PHASE, move.because, number, {"from": rollout.phase, "to": move.to})]
    if after.weight != rollout.weight:
        events.append(_weight_event(state, after, rollout.weight, move.because, now))
    state = replace(state, rollout=after)
    if move.to.ended:
        state = _end(state, after, now)
        events.append(notices.of(state, after, now))
    return state, tuple(events)


def _metrics(rollout: Rollout, now: float) -> tuple[MetricState, ...]:
    return analysis.begin(rollout.analysis, now, rollout.candidate.workload.takes_traffic)


def _weight_event(state: AgentState, after: Rollout, before: int, because: str, now: float) -> Event:
    number = after.candidate.number
    return Event(now, state.key, EventKind.WEIGHT, because, number, {"from": before, "to": after.weight})


def _end(state: AgentState, rollout: Rollout, now: float) -> AgentState:
    """Whoever serves no longer drains; whoever was promoted is stable."""
    leaving = state.stable if rollout.phase is Phase.PROMOTED else rollout.candidate
    retiring = state.retiring
    if leaving is not None and not (rollout.phase is Phase.FAILED and state.stable is None):
        count = max(state.replicas, 1)
        names = tuple(instance_name(state.key, leaving.runs_as, index) for index in range(1, count + 1))
        patience = rollout.strategy.drain_s if leaving.workload.takes_traffic else 0.0
        retiring += (Retiring(leaving, names, now + patience),)
    if rollout.phase is not Phase.PROMOTED:
        return replace(state, retiring=retiring)
    history = (*state.history, rollout.candidate)[-max(rollout.rollback.history, 2) :]
    return replace(state, stable=rollout.candidate, history=history, retiring=retiring)


def _alarm(view: View) -> Move | None:
    """Hard facts and failing verdicts, looked at first in every phase but the way back."""
    rollout = view.rollout
    if rollout.phase is Phase.REVERTING:
        return None
    started = rollout.phase not in (Phase.PREPARING, Phase.STARTING)
    fault = faults.refused(rollout, view.facts.failures, view.state)
    fault = fault or faults.hard_fault(view.state, rollout, view.candidates)
    fault = fault or (faults.unready_fault(view.candidates) if started else "")
    if fault:
        return _turn_back(view, fault)
    verdict = rollout.verdict
    if verdict is None or verdict.outcome is not Outcome.FAIL or rollout.guard_failed:
        return None
    worst = [m for m in verdict.metrics if m.outcome is Outcome.FAIL and m.on_fail is not OnFail.NOTIFY]
    if any(m.on_fail is OnFail.ABORT for m in worst):
        return _turn_back(view, verdict.because)
    return _pause(view, verdict.because)


def _turn_back(view: View, fault: str) -> Move | None:
    """Back to stable; where there is no way back (first release, an undo that already serves), a person decides."""
    rollout = view.rollout
    serving = rollout.weight > 0
    if serving and view.first:
        return _pause(view, f"{fault}; there is no earlier revision to go back to")
    if serving and rollout.candidate.undo_of is not None:
        return _pause(view, f"{fault}; a rollback is not rolled back")
    return Move(Phase.REVERTING, fault, fault=fault, weight=strategies.retreat(view))


def _pause(view: View, because: str) -> Move | None:
    if view.rollout.phase is Phase.PAUSED:
        return None
    return Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, view.rollout.phase, because))


def _note(view: View, because: str) -> Note:
    return Note(replace(view.rollout, because=because))


def _preparing(view: View) -> Move | Note:
    image, detail = view.image_state
    reference = view.rollout.candidate.release.image.reference
    if image is ImageState.FAILED:
        return Move(Phase.REVERTING, f"image {reference}: {detail}", fault=f"image {reference}: {detail}")
    if image is ImageState.PRESENT:
        return Move(Phase.STARTING, f"image {reference} is on the host")
    if view.waited > view.rollout.strategy.progress_deadline_s:
        fault = f"image {reference} was not on the host within {view.rollout.strategy.progress_deadline_s:g} s"
        return Move(Phase.REVERTING, fault, fault=fault)
    return _note(view, f"waiting for image {reference}" + (f": {detail}" if detail else ""))


def _starting(view: View) -> Move | Note:
    rollout = view.rollout
    needed = strategies.needed_to_begin(view)
    if view.ready_candidates >= needed:
        ready = f"{needed} instance{'s' if needed > 1 else ''} of revision {rollout.candidate.title} ready"
        return Move(Phase.PROGRESSING, f"{ready} after {view.waited:.1f} s")
    return _late(view, rollout.rollback.ready_deadline_s) or _note(
        view, f"{view.ready_candidates} of {needed} instances ready"
    )


def _late(view: View, deadline_s: float) -> Move | None:
    """The deadline for readiness: only once every instance that runs has been asked."""
    asked = all(instance.ready is not None for instance in view.candidates)
    if view.waited <= deadline_s or not asked:
        return None
    unready = next((i for i in view.candidates if not i.ready), None)
    if unready is None:
        fault = f"instances were not created within {deadline_s:g} s"
    else:
        fault = faults.with_log(
            f"{unready.name} was not ready within {deadline_s:g} s ({unready.probe_detail})", unready
        )
    return _turn_back(view, fault)


def _progressing(view: View) -> Move | Note:
    rollout = view.rollout
    if view.waited > rollout.strategy.progress_deadline_s:
        return _stuck(view, rollout.strategy.progress_deadline_s)
    match strategies.progress(view):
        case Stay(because):
            return _note(view, because)
        case Wait(hold):
            return Move(Phase.PAUSED, hold.because, hold=hold)
        case Done(because):
            return Move(Phase.PROMOTING, because)
        case Advance(because, weight) if weight != rollout.weight:
            after = replace(rollout, weight=weight, because=because)
            return Note(after, _weight_event(view.state, after, rollout.weight, because, view.now))
        case Advance(because):
            return Note(replace(rollout, cursor=rollout.cursor + 1, cursor_since=view.now, because=because))


def _stuck(view: View, deadline_s: float) -> Move:
    """No progress in time: the candidate's fault when it is not ready, a person's matter when it is something else."""
    because = f"no progress within {deadline_s:g} s: {view.rollout.because}"
    unready = [instance for instance in view.candidates if not instance.ready]
    move = _turn_back(view, because) if unready else None
    return move or Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, Phase.PROGRESSING, because))


def _paused(view: View) -> Move | Note:
    hold = view.rollout.hold
    assert hold is not None
    if hold.until is not None and view.now >= hold.until:
        return Move(hold.resume_to, f"the pause is over: {hold.because}")
    return _note(view, hold.because)


def _promoting(view: View) -> Move | Note:
    rollout = view.rollout
    if view.ready_candidates < view.state.replicas:
        waiting = f"{view.ready_candidates} of {view.state.replicas} instances ready for 100 %"
        return _late(view, rollout.rollback.switch_deadline_s) or _note(view, waiting)
    if rollout.weight != 100:
        because = f"all {view.state.replicas} instances ready: 100 % to revision {rollout.candidate.title}"
        after = replace(rollout, weight=100, because=because)
        return Note(after, _weight_event(view.state, after, rollout.weight, because, view.now))
    if view.share_applied(100):
        return Move(Phase.BAKING, f"100 % is applied; baking for {rollout.strategy.bake_s:g} s")
    if view.waited > rollout.rollback.switch_deadline_s:
        because = f"the gateway did not apply 100 % within {rollout.rollback.switch_deadline_s:g} s"
        return Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, Phase.PROMOTING, because))
    return _note(view, "the gateway has not applied 100 % yet")


def _baking(view: View) -> Move | Note:
    rollout = view.rollout
    left = rollout.strategy.bake_s - view.waited
    if left > 0:
        return _note(view, f"baking for {rollout.strategy.bake_s:g} s")
    verdict = rollout.verdict
    sure = verdict is None or verdict.outcome is Outcome.PASS or view.first or rollout.approved_by
    if sure:
        proof = verdict.because if verdict and verdict.outcome is Outcome.PASS else _other_proof(view)
        return Move(Phase.PROMOTED, f"revision {rollout.candidate.title} is promoted: {proof}")
    assert verdict is not None
    because = f"inconclusive after baking for {rollout.strategy.bake_s:g} s: {verdict.because}"
    return Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, Phase.BAKING, because))


def _other_proof(view: View) -> str:
    rollout = view.rollout
    if rollout.approved_by:
        return f"{rollout.approved_by} said so"
    ready = f"{view.ready_candidates} ready for {view.waited:.0f} s without a restart"
    return f"{ready}; the first revision has nothing to be compared with" if view.first else ready


def _reverting(view: View) -> Move | Note:
    """Traffic first, then the count of stable; the candidate stays until both are true."""
    state, rollout = view.state, view.rollout
    if view.first:
        if view.candidates:
            return _note(view, "removing the first revision: there is nothing to go back to")
        return Move(Phase.ABORTED if rollout.aborted_by else Phase.FAILED, rollout.fault or rollout.because)
    weight = strategies.retreat(view)
    if weight != rollout.weight:
        after = replace(rollout, weight=weight)
        return Note(after, _weight_event(state, after, rollout.weight, "stable takes its traffic back", view.now))
    if weight:
        return _note(view, "stable is not ready: the traffic stays where it is until it is")
    if view.takes_traffic and not view.share_applied(0) and view.candidates:
        return _note(view, "waiting for the gateway to take the traffic back")
    assert state.stable is not None
    ready = sum(1 for i in view.facts.observation.of_revision(state.stable.runs_as) if i.ready)
    if ready < state.replicas:
        return _note(view, f"traffic is back; {ready} of {state.replicas} instances of stable ready")
    if rollout.aborted_by:
        return Move(Phase.ABORTED, f"aborted by {rollout.aborted_by}: {rollout.fault}")
    return Move(Phase.ROLLED_BACK, f"rolled back to revision {state.stable.title}: {rollout.fault}")


PHASES: dict[Phase, Callable[[View], Move | Note]] = {
    Phase.PREPARING: _preparing,
    Phase.STARTING: _starting,
    Phase.PROGRESSING: _progressing,
    Phase.PAUSED: _paused,
    Phase.PROMOTING: _promoting,
    Phase.BAKING: _baking,
    Phase.REVERTING: _reverting,
}


def _drained(state: AgentState, facts: Facts) -> AgentState:
    """Forget retiring revisions that no request is in any more, or whose time is up; their instances then go."""
    gateway = facts.observation.gateway

    def still(leaving: Retiring) -> bool:
        number = leaving.revision.runs_as
        if facts.now >= leaving.until or not leaving.revision.workload.takes_traffic:
            return False
        return bool(gateway.endpoints(number)) or gateway.active.get(number, 0) > 0 or not gateway.running

    return replace(state, retiring=tuple(leaving for leaving in state.retiring if still(leaving)))


def _wake_at(state: AgentState, facts: Facts) -> float | None:
    """When time alone could change the decision."""
    silent = silence.next_deadline(state, facts.observation, facts.now)
    times = [] if silent is None else [silent]
    times += [leaving.until for leaving in state.retiring]
    times += [entry.not_before for entry in state.restarts.values()]
    rollout = state.active
    if rollout is not None:
        if rollout.hold and rollout.hold.until is not None:
            times.append(rollout.hold.until)
        if rollout.phase is Phase.BAKING:
            times.append(rollout.phase_since + rollout.strategy.bake_s)
    return min(times, default=None)
