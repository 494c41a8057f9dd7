"""What turns a rollout back or pauses it, in every phase: hard facts first, then alerts, then failing verdicts."""

from tidegate.core import faults, strategies
from tidegate.core.alerts.accusing import accused, why
from tidegate.core.moves import Move
from tidegate.core.view import View, effective_phase
from tidegate.model.alerting import OnAlert
from tidegate.model.desired import instance_name
from tidegate.model.observation import ObservedInstance
from tidegate.model.rollout import Hold, PauseKind, Phase
from tidegate.model.spec import Mode, OnFail
from tidegate.model.verdict import Outcome

UNPROVEN = frozenset({Phase.PREPARING, Phase.STOPPING, Phase.BACKING_UP, Phase.STARTING})
"""Phases in which the candidate was never ready yet, so that it cannot have become unready."""


def alarm(view: View) -> Move | None:
    """Hard facts and failing verdicts, looked at first in every phase but the way back."""
    rollout = view.rollout
    if rollout.phase is Phase.REVERTING:
        return None
    wanted = _wanted(view)
    started = effective_phase(rollout) not in UNPROVEN
    fault = faults.refused(rollout, view.facts.failures, view.state)
    fault = fault or faults.hard_fault(view.state, rollout, wanted)
    fault = fault or faults.fatal_line(rollout, wanted)
    fault = fault or (faults.unready_fault(wanted) if started else "")
    if fault:
        return turn_back(view, fault)
    told = next(iter(accused(view.state, rollout)), None) if started else None
    if told is not None and told.on_alert is OnAlert.ROLLBACK:
        return turn_back(view, why(told))
    if told is not None and rollout.phase is not Phase.PAUSED:
        return pause(view, why(told))
    verdict = rollout.verdict
    if verdict is None or verdict.outcome is not Outcome.FAIL or rollout.guard_failed:
        return None
    if rollout.analysis.mode is Mode.OBSERVE:
        return None
    failed = [m for m in verdict.metrics if m.outcome is Outcome.FAIL and not m.observed]
    worst = [m for m in failed if m.on_fail is not OnFail.NOTIFY]
    if any(m.on_fail is OnFail.ABORT for m in worst):
        return turn_back(view, verdict.because)
    return pause(view, verdict.because)


def _wanted(view: View) -> tuple[ObservedInstance, ...]:
    """The candidate's instances that should be there: one that is taken away, as the canary shrinks, is no fault."""
    rollout = view.rollout
    count = strategies.shape(view, effective_phase(rollout)).candidate
    names = {instance_name(view.state.key, rollout.candidate.runs_as, index) for index in range(1, count + 1)}
    return tuple(instance for instance in view.candidates if instance.name in names)


def turn_back(view: View, fault: str) -> Move | None:
    """Back to stable; where there is no way back (first release, an undo that already serves), a person decides."""
    rollout = view.rollout
    serving = rollout.weight > 0
    if serving and view.first:
        return pause(view, faults.remarked(fault, "there is no earlier revision to go back to"))
    if serving and rollout.candidate.undo_of is not None:
        return pause(view, faults.remarked(fault, "a rollback is not rolled back"))
    return Move(Phase.REVERTING, fault, fault=fault, weight=strategies.retreat(view))


def pause(view: View, because: str) -> Move | None:
    if view.rollout.phase is Phase.PAUSED:
        return None
    return Move(Phase.PAUSED, because, hold=Hold(PauseKind.ANALYSIS, view.rollout.phase, because))
