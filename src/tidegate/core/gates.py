"""What keeps a rollout from beginning and its weight from rising: the switch, freeze windows, the gate before it.

Rollbacks, aborts and undos always may: nothing here ever looks at a way back.
"""

from collections.abc import Sequence
from dataclasses import replace

from tidegate.core import analysis, approval, strategies
from tidegate.core.calendar import frozen, local, next_change
from tidegate.core.moves import Move, Note
from tidegate.core.view import View
from tidegate.model.decision import Facts
from tidegate.model.event import Event, EventKind
from tidegate.model.policy import FreezeWindow, OnExpired
from tidegate.model.rollout import Hold, PauseKind, Phase, Rollout
from tidegate.model.spec import SetWeight

RISING = frozenset({Phase.PREPARING, Phase.STARTING, Phase.PROGRESSING, Phase.PROMOTING})


def guard(view: View) -> Move | None:
    """Pause a rollout that may not go on now; looked at before the phase's own move."""
    rollout = view.rollout
    if rollout.phase not in RISING or rollout.weight == 100 or rollout.returning:
        return None
    if not strategies.may_wait(view):
        return None
    if view.facts.paused is not None:
        because = view.facts.paused.because
        return Move(Phase.PAUSED, because, hold=Hold(PauseKind.ALL, rollout.phase, because))
    return _freeze(view) or (_gate_before(view) if rollout.phase is Phase.PREPARING else None)


def _freeze(view: View) -> Move | None:
    rollout = view.rollout
    if rollout.freeze_overridden_by:
        return None
    windows = rollout.policy.freeze
    held = frozen(windows, view.now)
    if held is None:
        return None
    because = f"freeze window {held.name} until {local(held.until, _zone(windows, held.name))}"
    return Move(Phase.PAUSED, because, hold=Hold(PauseKind.FREEZE, rollout.phase, because, held.until))


def _zone(windows: Sequence[FreezeWindow], name: str) -> str:
    return next((window.zone for window in windows if window.name == name), "UTC")


def _gate_before(view: View) -> Move | None:
    gate = view.rollout.policy.gate
    if gate is None or approval.is_open(view.rollout, gate, approval.BEFORE):
        return None
    hold = approval.ask(view.now, gate, Phase.PREPARING)
    return Move(Phase.PAUSED, hold.because, hold=hold)


def barrier(rollout: Rollout, facts: Facts, weight: int) -> str:
    """Why a weight set by hand must not rise now; empty when it may."""
    if facts.paused is not None:
        return facts.paused.because
    held = None if rollout.freeze_overridden_by else frozen(rollout.policy.freeze, facts.now)
    if held is not None:
        return f"freeze window {held.name}"
    if rollout.hold is not None and rollout.hold.kind is PauseKind.GATE:
        return rollout.hold.because
    gate = approval.next_gate(rollout)
    if gate is None:
        return ""
    before = [step.weight for step in approval.steps_of(rollout)[:gate] if isinstance(step, SetWeight)]
    return f"the gate in step {gate + 1} stands before {weight} %" if weight > max(before, default=0) else ""


def expired(view: View) -> Move | Note | None:
    """What becomes of a rollout whose gate nobody opened in time."""
    rollout, at = view.rollout, approval.here(view.rollout)
    hold = rollout.hold
    if at is None or hold is None or hold.until is None or view.now < hold.until:
        return None
    gate, _ = at
    because = f"gate {gate.name} expired at {local(hold.until)}: nobody approved"
    if gate.on_expired is OnExpired.ABORT:
        weight = strategies.retreat(view)
        return Move(Phase.REVERTING, because, fault=because, weight=weight, aborted_by=f"gate {gate.name}")
    because = f"{because}; the rollout stays paused: resume asks anew, abort ends it"
    if hold.because == because:
        return None
    event = Event(view.now, view.state.key, EventKind.GATE, because, rollout.candidate.number, {"gate": gate.name})
    return Note(replace(rollout, because=because, hold=replace(hold, because=because)), event)


def over(view: View) -> str:
    """Why a pause is over; empty while it holds."""
    hold = view.rollout.hold
    if hold is None or hold.kind is PauseKind.GATE:
        return ""
    if hold.kind is PauseKind.ALL:
        return "" if view.facts.paused else "the switch for everything is off again"
    if hold.kind is PauseKind.SOURCE:
        return "" if analysis.down(view.rollout) else f"every metric source answers again (it was: {hold.because})"
    return f"the pause is over: {hold.because}" if hold.until is not None and view.now >= hold.until else ""


def wake_at(rollout: Rollout, now: float) -> float | None:
    """When a freeze window begins: time alone then pauses the rollout."""
    return next_change(rollout.policy.freeze, now) if rollout.phase in RISING else None
