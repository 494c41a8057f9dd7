"""What each phase does. One function a phase: it looks at a View and answers with a Move or a Note."""

from collections.abc import Callable
from dataclasses import replace

from tidegate.core import analysis, faults, gates, hooks, strategies, swap, unwatched
from tidegate.core.alarm import turn_back
from tidegate.core.moves import Move, Note, note, shift, weight_event
from tidegate.core.strategies import Advance, Done, Progress, Stay, Wait
from tidegate.core.view import View
from tidegate.model.observation import ImageState
from tidegate.model.rollout import Hold, PauseKind, Phase, Wish
from tidegate.model.spec import InPlace, Mode, Undecidable
from tidegate.model.verdict import Outcome

MOST_RAISED = 50
"""Percent that a canary gets at most because the traffic does not suffice for a proof."""


def _preparing(view: View) -> Move | Note:
    if view.rollout.candidate.warm is not None and view.candidates:
        return Move(Phase.STARTING, "its instances still run")
    image, detail = view.image_state
    reference = view.rollout.candidate.release.image.reference
    if image is ImageState.FAILED:
        return Move(Phase.REVERTING, f"image {reference}: {detail}", fault=f"image {reference}: {detail}")
    if image is ImageState.PRESENT:
        if (before := hooks.run(view, view.rollout.hooks.pre)) is not None:
            return before
        if isinstance(view.rollout.strategy, InPlace):
            return swap.prepared(view.rollout.strategy, view)
        return Move(Phase.STARTING, f"image {reference} is on the host")
    if view.waited > view.rollout.strategy.progress_deadline_s:
        fault = f"image {reference} was not on the host within {view.rollout.strategy.progress_deadline_s:g} s"
        return Move(Phase.REVERTING, fault, fault=fault)
    return note(view, f"waiting for image {reference}" + (f": {detail}" if detail else ""))


def _starting(view: View) -> Move | Note:
    rollout = view.rollout
    needed = strategies.needed_to_begin(view)
    if view.ready_candidates >= needed:
        if isinstance(rollout.strategy, InPlace):
            return swap.up(view)
        ready = f"{needed} instance{'s' if needed > 1 else ''} of revision {rollout.candidate.title} ready"
        return Move(Phase.PROGRESSING, f"{ready} after {view.waited:.1f} s")
    return late(view, rollout.rollback.ready_deadline_s) or note(
        view, f"{view.ready_candidates} of {needed} instances ready"
    )


def late(view: View, deadline_s: float) -> Move | None:
    """The deadline for readiness: only once every instance that runs has been asked."""
    asked = all(instance.ready is not None for instance in view.candidates)
    if view.waited <= deadline_s or not asked:
        return None
    unready = next((i for i in view.candidates if not i.ready), None)
    if unready is None:
        fault = f"instances were not created within {deadline_s:g} s"
    else:
        fault = faults.with_log(
            f"{unready.name} was not ready within {deadline_s:g} s ({unready.probe_detail or unready.state})", unready
        )
    return turn_back(view, fault)


def _progressing(view: View) -> Move | Note:
    rollout = view.rollout
    if by_hand := _by_hand(view):
        return by_hand
    if unapplied := _unapplied(view):
        return unapplied
    answer = strategies.progress(view)
    if blind := _blind(view, answer):
        return blind
    match answer:
        case Stay(_, until) if until is None and view.on_step > rollout.strategy.progress_deadline_s:
            return stuck(view)
        case Stay(because):
            return note(view, because)
        case Wait(hold):
            return Move(Phase.PAUSED, hold.because, hold=hold)
        case Done(because, needs_proof):
            return _prove(view, because) if needs_proof else Move(Phase.PROMOTING, because)
        case Advance(because, weight) if weight != rollout.weight:
            return shift(view, weight, because)
        case Advance(because) if not strategies.watched(view):
            after = replace(rollout, cursor=rollout.cursor + 1, cursor_since=view.now, because=because)
            begins = strategies.watched(replace(view, rollout=after))
            return Note(analysis.restarted(after, view.now) if begins else after)
        case Advance(because):
            return Note(replace(rollout, cursor=rollout.cursor + 1, cursor_since=view.now, because=because))


def _unapplied(view: View) -> Move | None:
    """The gateway refuses what it is told again and again (a port that somebody else holds, say): a person's matter."""
    deadline_s, refused = view.rollout.rollback.switch_deadline_s, view.facts.failures.get("gateway", "")
    if not refused or view.on_step <= deadline_s:
        return None
    because = f"the gateway did not apply {view.rollout.weight} % within {deadline_s:g} s: {refused}"
    return Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, Phase.PROGRESSING, because))


def _blind(view: View, answer: Progress) -> Move | None:
    """Hold while a metric source is down, wherever more traffic or the end of a watch would follow; then go on."""
    match answer:
        case Advance(_, weight):
            waits = weight > view.rollout.weight > 0
        case Done():
            waits = not view.first
        case Wait(hold):
            waits = hold.kind is PauseKind.ANALYSIS
        case _:
            waits = False
    down = analysis.down(view.rollout) if waits and not view.rollout.approved_by else ""
    return Move(Phase.PAUSED, f"held: {down}", hold=Hold(PauseKind.SOURCE, Phase.PROGRESSING, down)) if down else None


def _prove(view: View, because: str) -> Move | Note:
    """Before 100 %: proof that the candidate is good enough, or a person's word; waited for as long as was allowed."""
    rollout, rules = view.rollout, view.rollout.analysis.rules
    sure, why = analysis.proven(rollout)
    if sure or rollout.approved_by or rollout.analysis.mode is Mode.OBSERVE:
        return Move(Phase.PROMOTING, f"{because}; {why}" if why else because)
    decidable, outlook = analysis.outlook(rollout, rules.within_s, rollout.weight)
    if view.on_step < rules.within_s:
        if rules.undecidable is Undecidable.RAISE and not decidable and 0 < rollout.weight < MOST_RAISED:
            weight = analysis.enough(rollout, rules.within_s, MOST_RAISED)
            return Note(replace(rollout, wish=Wish(weight, "undecidable: raise", outlook), because=outlook))
        return note(view, why if decidable else f"{why}; {outlook}")
    undecided = f"undecided after {rules.within_s:g} s: {why}" + (f"; {outlook}" if outlook else "")
    if rules.undecidable is Undecidable.PROCEED:
        return Move(Phase.PROMOTING, undecided)
    return Move(Phase.PAUSED, undecided, hold=Hold(PauseKind.ANALYSIS, Phase.PROGRESSING, undecided))


def _by_hand(view: View) -> Note | None:
    """Set the weight that a person asked for, as soon as the instances for it are ready; never up on bad evidence."""
    rollout, wish = view.rollout, view.rollout.wish
    if wish is None:
        return None
    rises = wish.weight > rollout.weight
    if rises and rollout.failing and rollout.verdict is not None:
        return Note(replace(rollout, wish=None, because=f"not raised to {wish.weight} %: {rollout.verdict.because}"))
    barred = gates.barrier(rollout, view.facts, wish.weight) if rises else ""
    if barred:
        return Note(replace(rollout, wish=None, because=f"not raised to {wish.weight} %: {barred}"))
    if rises and view.ready_candidates < strategies.needed_by_hand(view, wish.weight):
        return None
    because = f"{wish.weight} % set by {wish.by}" + (f": {wish.reason}" if wish.reason else "")
    after = replace(rollout, weight=wish.weight, wish=None, because=because)
    event = weight_event(view, after, because)
    return Note(after, replace(event, data={**event.data, "by": wish.by, "reason": wish.reason}))


def stuck(view: View) -> Move:
    """No progress in time: back to stable; what only the gateway holds up is no fault of the candidate: a person's."""
    because = f"no progress within {view.rollout.strategy.progress_deadline_s:g} s: {view.rollout.because}"
    short = view.ready_candidates < strategies.shape(view, Phase.PROGRESSING).candidate
    move = turn_back(view, because) if short else None
    return move or Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, Phase.PROGRESSING, because))


def _paused(view: View) -> Move | Note:
    hold = view.rollout.hold
    assert hold is not None
    if by_hand := _by_hand(view):
        return by_hand
    late = gates.expired(view)
    if late is not None:
        return late
    over = gates.over(view)
    return Move(hold.resume_to, over) if over else note(view, hold.because)


def _promoting(view: View) -> Move | Note:
    rollout = view.rollout
    if view.ready_candidates < view.state.replicas:
        waiting = f"{view.ready_candidates} of {view.state.replicas} instances ready for 100 %"
        return late(view, rollout.rollback.switch_deadline_s) or note(view, waiting)
    if rollout.weight != 100:
        because = f"all {view.state.replicas} instances ready: 100 % to revision {rollout.candidate.title}"
        return shift(view, 100, because)
    if view.share_applied(100):
        return Move(Phase.BAKING, f"100 % is applied; baking for {rollout.bake_s:g} s")
    if view.waited > rollout.rollback.switch_deadline_s:
        because = f"the gateway did not apply 100 % within {rollout.rollback.switch_deadline_s:g} s{_refusal(view)}"
        return Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, Phase.PROMOTING, because))
    return note(view, f"the gateway has not applied 100 % yet{_refusal(view)}")


def _refusal(view: View) -> str:
    """What the gateway has to say about it: a port that somebody else holds, say."""
    reason = view.facts.failures.get("gateway") or view.facts.observation.gateway.detail
    return f": {reason}" if reason else ""


def _baking(view: View) -> Move | Note:
    rollout = view.rollout
    if view.now < unwatched.until(rollout, rollout.phase_since, rollout.bake_s):
        return note(view, f"baking for {rollout.bake_s:g} s")
    verdict = rollout.verdict
    sure = verdict is None or view.passed or view.first or rollout.approved_by
    if sure:
        if (after := hooks.run(view, rollout.hooks.post)) is not None:
            return after
        proof = verdict.because if verdict and verdict.outcome is Outcome.PASS else _other_proof(view)
        return Move(Phase.PROMOTED, f"revision {rollout.candidate.title} is promoted: {proof}")
    assert verdict is not None
    if down := analysis.down(rollout):
        return Move(Phase.PAUSED, f"held: {down}", hold=Hold(PauseKind.SOURCE, Phase.BAKING, down))
    because = f"inconclusive after baking for {rollout.bake_s:g} s: {verdict.because}"
    return Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, Phase.BAKING, because))


def _other_proof(view: View) -> str:
    rollout = view.rollout
    if rollout.approved_by:
        return f"{rollout.approved_by} said so"
    if rollout.fast:
        return f"{view.ready_candidates} ready; it has proven itself before"
    ready = f"{view.ready_candidates} ready for {view.waited:.0f} s without a restart"
    return f"{ready}; the first revision has nothing to be compared with" if view.first else ready


def _reverting(view: View) -> Move | Note:
    """Traffic first, then the count of stable; the candidate stays until both are true."""
    state, rollout = view.state, view.rollout
    if view.first:
        if view.candidates:
            return note(view, "removing the first revision: there is nothing to go back to")
        return Move(Phase.ABORTED if rollout.aborted_by else Phase.FAILED, rollout.fault or rollout.because)
    if isinstance(rollout.strategy, InPlace):
        return swap.reverting(view)
    weight = strategies.retreat(view)
    if weight != rollout.weight:
        return shift(view, weight, "stable takes its traffic back")
    if weight:
        return note(view, "stable is not ready: the traffic stays where it is until it is")
    if view.takes_traffic and not view.share_applied(0) and view.candidates:
        return note(view, "waiting for the gateway to take the traffic back")
    assert state.stable is not None
    ready = sum(1 for i in view.facts.observation.of_revision(state.stable.runs_as) if i.ready)
    if ready < state.replicas:
        return note(view, f"traffic is back; {ready} of {state.replicas} instances of stable ready")
    if rollout.aborted_by:
        return Move(Phase.ABORTED, f"aborted by {rollout.aborted_by}: {rollout.fault}")
    return Move(Phase.ROLLED_BACK, f"rolled back to revision {state.stable.title}: {rollout.fault}")


PHASES: dict[Phase, Callable[[View], Move | Note]] = {
    Phase.PREPARING: _preparing,
    Phase.STOPPING: swap.stopping,
    Phase.BACKING_UP: swap.backing_up,
    Phase.STARTING: _starting,
    Phase.VERIFYING: swap.verifying,
    Phase.PROGRESSING: _progressing,
    Phase.PAUSED: _paused,
    Phase.PROMOTING: _promoting,
    Phase.BAKING: _baking,
    Phase.REVERTING: _reverting,
}
