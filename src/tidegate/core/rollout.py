"""decide: state and facts go in, the new state and the whole desired state come out.

The order within one decision: what people asked for, what the world's hard facts and the metrics say, the phase's own
move (again and again until nothing moves), the restarts, what has drained. Invariants, held for every input:

- REVERTING leads only to an end: a rollback is never rolled back.
- Nothing that serves is given up before its successor has baked; the weight never rises once a guarding metric failed.
- No data never promotes: a verdict that is inconclusive pauses.
- While the engine cannot be reached nothing is decided and no deadline runs; nor does one while no controller lives.
"""

from dataclasses import replace

from tidegate.core import (
    analysis,
    asked,
    baseline,
    cleanup,
    gates,
    healing,
    hooks,
    intents,
    monitor,
    notices,
    quarantine,
    recovery,
    setback,
    shape,
    silence,
    strategies,
    tasks,
    unwatched,
)
from tidegate.core.alarm import UNPROVEN, alarm
from tidegate.core.alerts import accusing, stepping, undoing
from tidegate.core.analysis import history
from tidegate.core.changes import changed
from tidegate.core.moves import Move, Note, weight_event
from tidegate.core.phases import PHASES
from tidegate.core.transitions import allowed
from tidegate.core.view import View, effective_phase
from tidegate.model.decision import Decision, Facts
from tidegate.model.event import Datum, Event, EventKind
from tidegate.model.intent import Answer
from tidegate.model.rollout import AgentState, PauseKind, Phase, Retiring, Rollout
from tidegate.model.spec import InPlace

MOST_MOVES = 64


def decide(state: AgentState, facts: Facts) -> Decision:
    """The only decision function. Pure: the same state and facts always give the same decision."""
    if facts.found is None and recovery.is_blank(state):
        return _hold(state, facts, (), ())  # what is asked waits: it may be about what runs here already
    state, recovered = recovery.take_over(setback.brought_to(state, facts.now), facts)
    state, late = unwatched.made_up(state, facts)
    state, answers, events = intents.apply(state, facts)
    events = (*recovered, *late, *events)
    if not facts.observation.reachable:
        return _hold(state, facts, answers, events)
    state, back = _reachable_again(state, facts)
    events += back
    state, ended = tasks.take(state, facts)
    state, told = stepping.watch(state, facts)
    state, undone = undoing.undo(state, facts)
    events += (*ended, *told, *undone)
    accused = state
    state, moved = _advance(_listen(_watch_readiness(state, facts), facts), facts)
    state = accusing.mark_acted(accused, state)
    state, watched = monitor.watch(state, facts)
    state, cleaned = cleanup.settle(cleanup.track(state, facts), facts)
    state, healed = healing.heal(state, facts.observation, shape.running(state, facts), facts.now)
    state, heard = silence.listen(state, facts.observation, facts.now)
    state = unwatched.watched(_drained(state, facts), facts.now)
    wanted = shape.desired(state, facts)
    return Decision(state, wanted, events + moved + watched + cleaned + healed + heard, answers, _wake_at(state, facts))


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
    return (replace(state, rollout=setback.postponed(state.active, gap)) if state.active else state), (event,)


def _watch_readiness(state: AgentState, facts: Facts) -> AgentState:
    """Remember since when each of the candidate's instances is ready."""
    rollout = state.active
    if rollout is None:
        return state
    known = rollout.ready_since
    seen = facts.observation.of_revision(rollout.candidate.runs_as)
    since = {i.name: known.get(i.name, facts.now) for i in seen if i.ready}
    return changed(state, rollout=changed(rollout, ready_since=since))


def _listen(state: AgentState, facts: Facts) -> AgentState:
    """Feed the new measurement blocks to the rollout's metrics."""
    rollout = state.active
    if rollout is None or rollout.fast or rollout.phase in (*UNPROVEN, Phase.REVERTING):
        return state
    if not strategies.watched(View(state, rollout, facts)):
        return state
    blocks = facts.blocks
    if isinstance(rollout.strategy, InPlace) and state.stable is not None:
        blocks = history.beside(blocks, facts.past, state.stable.runs_as, rollout.watched_since)
    rollout = analysis.take(rollout, blocks, baseline.control(state, rollout)) if blocks else rollout
    instances = len(facts.observation.of_revision(rollout.candidate.runs_as))
    verdict = analysis.judge(rollout, instances, facts.now, bool(facts.blocks))
    return changed(state, rollout=changed(rollout, verdict=verdict))


def _advance(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    events: tuple[Event, ...] = ()
    for _ in range(MOST_MOVES):
        if state.active is None:
            break
        view = View(state, state.active, facts)
        result = alarm(view) or gates.guard(view) or PHASES[state.active.phase](view)
        match result:
            case Move():
                state, told = _apply(view, result)
                events += told
            case Note(rollout, event):
                events += (event,) if event else ()
                if rollout == state.rollout:
                    break
                state = replace(state, rollout=rollout)
    return state, events


def _apply(view: View, move: Move) -> tuple[AgentState, tuple[Event, ...]]:
    state, rollout, now = view.state, view.rollout, view.now
    assert allowed(rollout.phase, move.to), f"{rollout.phase} -> {move.to} is not in the table"
    after = replace(
        rollout,
        phase=move.to,
        phase_since=now,
        because=move.because,
        hold=move.hold,
        wish=None if move.to is Phase.REVERTING else rollout.wish,
        fault=rollout.fault or move.fault,
        aborted_by=rollout.aborted_by or move.aborted_by,
        decided_at=now if move.to is Phase.REVERTING else rollout.decided_at,
        turned_at=effective_phase(rollout) if move.to is Phase.REVERTING else rollout.turned_at,
        weight=rollout.weight if move.weight is None else move.weight,
        swap=move.swap or rollout.swap,
        ended_at=now if move.to.ended else None,
    )
    if move.to is Phase.REVERTING:
        after = monitor.begin(after, state)
    if rollout.phase is Phase.PAUSED and rollout.hold and rollout.hold.kind is PauseKind.STEP:
        after = replace(after, cursor=rollout.cursor + 1)
    if move.to in (Phase.PROGRESSING, Phase.BAKING):
        after = replace(after, cursor_since=now)
    data: dict[str, Datum] = {"from": rollout.phase, "to": move.to}
    begun = bool(after.metrics or after.evidence or after.streams or after.judged or after.fast)
    if not begun and move.to in (Phase.PROGRESSING, Phase.VERIFYING, Phase.PROMOTING):
        past = baseline.past(view.facts.past, state, after)
        after = replace(analysis.begin(after, now, past, baseline.control(state, after)), watched_since=now)
        data["asked"] = asked.kept(after.analysis)
    number = rollout.candidate.number
    events = [Event(now, state.key, EventKind.PHASE, move.because, number, data)]
    if after.weight != rollout.weight:
        events.append(weight_event(view, after, move.because))
    if after.swap.downtime_s != rollout.swap.downtime_s:
        data = {"downtime_s": round(after.swap.downtime_s, 3), "backup_s": round(after.swap.backup_s, 3)}
        events.append(Event(now, state.key, EventKind.DOWNTIME, move.because, number, data))
    state = replace(state, rollout=after)
    if move.to.ended:
        state = quarantine.after(_end(state, after, view.facts), after, now)
        events.append(notices.of(state, after, now))
    return state, tuple(events)


def _end(state: AgentState, rollout: Rollout, facts: Facts) -> AgentState:
    """Whoever serves no longer drains; whoever was promoted is stable."""
    state = hooks.remember(state, rollout)
    promoted = rollout.phase is Phase.PROMOTED
    state = replace(state, replicas=(rollout.replicas if promoted else rollout.replicas_before) or state.replicas)
    leaving = state.stable if promoted else rollout.candidate
    retiring = state.retiring
    if leaving is not None and not (rollout.phase is Phase.FAILED and state.stable is None):
        names = tuple(instance.name for instance in facts.observation.of_revision(leaving.runs_as))
        routed = leaving.workload.takes_traffic
        patience = rollout.strategy.drain_s if routed else 0.0
        keep = rollout.strategy.keep_s if routed and promoted else 0.0
        if promoted:  # one former side is enough
            retiring = tuple(
                replace(former, warm_until=0.0, until=min(former.until, facts.now + patience)) for former in retiring
            )
        retiring += (Retiring(leaving, names, facts.now + patience + keep, facts.now + keep if keep else 0.0),)
    if rollout.baseline is not None:
        fresh = facts.observation.of_revision(rollout.baseline.runs_as)
        names, until = tuple(one.name for one in fresh), facts.now + rollout.strategy.drain_s
        retiring += (Retiring(rollout.baseline, names, until),) if names else ()
    if not promoted:
        return replace(state, retiring=retiring)
    history = (*state.history, rollout.candidate)[-max(rollout.rollback.history, 2) :]
    return replace(state, stable=rollout.candidate, history=history, retiring=retiring)


def _drained(state: AgentState, facts: Facts) -> AgentState:
    """Forget retiring revisions that no request is in any more, or whose time is up; their instances then go.

    What is kept warm waits for the end of its warm time.
    """
    gateway = facts.observation.gateway

    def still(leaving: Retiring) -> bool:
        number = leaving.revision.runs_as
        if leaving.is_warm(facts.now):
            return True
        if facts.now >= leaving.until or not leaving.revision.workload.takes_traffic:
            return False
        return bool(gateway.endpoints(number)) or gateway.active.get(number, 0) > 0 or not gateway.running

    return changed(state, retiring=tuple(leaving for leaving in state.retiring if still(leaving)))


def _wake_at(state: AgentState, facts: Facts) -> float | None:
    """When time alone could change the decision."""
    silent = silence.next_deadline(state, facts.observation, facts.now)
    times = [] if silent is None else [silent]
    times += [at for leaving in state.retiring for at in (leaving.until, leaving.warm_until) if at > facts.now]
    times += [entry.not_before for entry in state.restarts.values() if entry.not_before > facts.now]
    looked = stepping.next_look(state)
    times += [] if looked is None else [max(looked, facts.now)]
    checked = monitor.wake_at(state)
    times += [] if checked is None else [checked]
    rollout = state.active
    if rollout is not None:
        if rollout.hold and rollout.hold.until is not None:
            times.append(rollout.hold.until)
        frozen_at = gates.wake_at(rollout, facts.now)
        if frozen_at is not None:
            times.append(frozen_at)
        if rollout.phase is Phase.BAKING:
            times.append(unwatched.until(rollout, rollout.phase_since, rollout.bake_s))
    return min(times, default=None)
