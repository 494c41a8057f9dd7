"""What people ask for, applied to the state: accepted with one sentence, or refused with the reason.

One module a noun; nothing here touches anything.
"""

from dataclasses import replace

from tidegate.core import admission, approval, recovery
from tidegate.core.alerts.stepping import told
from tidegate.core.alerts.told import tell
from tidegate.core.intents import deploying, keeping, steering
from tidegate.core.refusal import RefusedError
from tidegate.model.decision import Facts
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import (
    Abort,
    Acknowledge,
    Adopt,
    Answer,
    Approve,
    CleanUp,
    Decommission,
    Deploy,
    DeployFleet,
    Intent,
    LiftQuarantine,
    Pause,
    Promote,
    Recover,
    Reject,
    Restart,
    RestoreBackup,
    Resume,
    Retry,
    Scale,
    SetWeight,
    TakeLock,
    TellAlert,
    Undo,
    Unlock,
)
from tidegate.model.rollout import AgentState


def apply(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Answer, ...], tuple[Event, ...]]:
    """Apply every open intent in order. Each gets an answer; none is lost and none is applied twice."""
    answers, events = [], []
    for intent in facts.intents:
        alerts = state.alerts
        try:
            state, because = _apply(state, intent, facts)
            kind, accepted = EventKind.INTENT, True
        except RefusedError as refusal:
            because, kind, accepted = str(refusal), EventKind.REFUSED, False
        number = state.rollout.candidate.number if state.rollout else None
        answers.append(Answer(intent.id, accepted, because, number))
        data = {"by": intent.by, "action": type(intent.action).__name__.lower(), "reason": intent.reason}
        events.append(Event(facts.now, state.key, kind, because, number, data))
        events += told(state, alerts, facts.now)
    state, begun = deploying.next_in_line(state, facts.now)
    return state, tuple(answers), (*events, *begun)


def _apply(state: AgentState, intent: Intent, facts: Facts) -> tuple[AgentState, str]:
    match intent.action:
        case Deploy():
            recovery.refuse_unknown(state, facts)
            return deploying.deploy(state, intent, intent.action, facts.now)
        case DeployFleet():
            raise RefusedError("this is one host; waves are for an environment with hosts")
        case Undo(to_revision):
            return deploying.undo(state, intent, to_revision, facts.now)
        case Retry(override_quarantine):
            return deploying.retry(state, intent, override_quarantine, facts.now)
        case Promote(full):
            return steering.promote(state, intent, full, facts)
        case Pause():
            return steering.pause(state, intent, facts.now)
        case Resume():
            return steering.resume(state, intent, facts)
        case Abort():
            return steering.abort(state, intent, facts.now)
        case SetWeight(weight):
            return steering.set_weight(state, intent, weight, facts)
        case Scale(replicas):
            return keeping.scale(state, intent, replicas)
        case Adopt():
            return keeping.adopt(state, intent, intent.action, facts.now)
        case Recover():
            return state, recovery.recovered(state)
        case RestoreBackup():
            return deploying.restore_backup(state, intent, intent.action, facts.now)
        case Restart():
            return keeping.restart(state, intent, facts)
        case Decommission():
            return keeping.decommission(state, intent, facts.now)
        case Approve():
            return approval.approve(state, intent, facts.now)
        case Reject():
            return steering.reject(state, intent, facts.now)
        case TakeLock(seconds):
            return admission.take_lock(state, intent, seconds, facts.now)
        case Unlock(force):
            return admission.unlock(state, intent, force, facts.now)
        case LiftQuarantine(revision):
            return keeping.lift(state, intent, revision)
        case Acknowledge():
            return keeping.acknowledge(state, intent)
        case TellAlert():
            return tell(state, intent.action, facts.now)
        case CleanUp():
            return replace(state, cleaning=True), "images of ours that nothing needs are removed"
