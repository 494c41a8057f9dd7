"""What people ask of a fleet: accepted with one sentence, or refused with the reason. Some words go to every host."""

from dataclasses import dataclass, replace

from tidegate.core import admission
from tidegate.core.fleet import deploying, steering
from tidegate.core.fleet.steering import Applied
from tidegate.core.intents import keeping
from tidegate.core.refusal import RefusedError
from tidegate.model.event import Event, EventKind
from tidegate.model.fleet import FleetFacts, FleetState
from tidegate.model.intent import (
    Abort,
    Acknowledge,
    Answer,
    Approve,
    CleanUp,
    Decommission,
    DeployFleet,
    Intent,
    LiftQuarantine,
    Pause,
    Promote,
    Reject,
    Restart,
    Resume,
    Retry,
    Scale,
    TakeLock,
    Undo,
    Unlock,
)


@dataclass(frozen=True)
class Heard:
    """The state after the words, the answers, what was told, and the intents that go on to hosts."""

    state: FleetState
    answers: tuple[Answer, ...] = ()
    events: tuple[Event, ...] = ()
    intents: tuple[Intent, ...] = ()


def hear(state: FleetState, facts: FleetFacts) -> Heard:
    """Apply every open intent in order. Each gets an answer."""
    heard = Heard(state)
    for intent in facts.intents:
        try:
            after, because, passed_on = _apply(heard.state, intent, facts)
            kind, accepted = EventKind.INTENT, True
        except RefusedError as refusal:
            after, because, passed_on = heard.state, str(refusal), ()
            kind, accepted = EventKind.REFUSED, False
        number = after.rollout.candidate.number if after.rollout else None
        data = {"by": intent.by, "action": type(intent.action).__name__.lower(), "reason": intent.reason}
        heard = Heard(
            after,
            (*heard.answers, Answer(intent.id, accepted, because, number)),
            (*heard.events, Event(facts.now, state.key, kind, because, number, data)),
            (*heard.intents, *passed_on),
        )
    state, begun = deploying.next_in_line(heard.state, facts)
    return replace(heard, state=state, events=(*heard.events, *begun))


def _apply(state: FleetState, intent: Intent, facts: FleetFacts) -> Applied:
    match intent.action:
        case DeployFleet():
            return deploying.deploy(state, intent, intent.action, facts)
        case Undo(to_revision):
            return deploying.undo(state, intent, to_revision, facts.now)
        case Retry(override_quarantine):
            return deploying.retry(state, intent, override_quarantine, facts)
        case Promote(full):
            return steering.promote(state, intent, full, facts)
        case Pause():
            return steering.pause(state, intent, facts.now)
        case Resume():
            return steering.resume(state, intent, facts.now)
        case Abort():
            return steering.abort(state, intent, facts.now)
        case TakeLock(seconds):
            return *admission.take_lock(state, intent, seconds, facts.now), ()
        case Unlock(force):
            return *admission.unlock(state, intent, force, facts.now), ()
        case LiftQuarantine(revision):
            return *keeping.lift(state, intent, revision), ()
        case Acknowledge():
            return *keeping.acknowledge(state, intent), _to_all(state, intent)
        case Scale() | Restart() | Approve() | Reject() | CleanUp():
            return state, f"passed on to {len(state.hosts)} hosts", _to_all(state, intent)
        case Decommission():
            steering.nothing_under_way(state, "abort it first")
            admission.unlocked(state, intent.by, facts.now)
            after = replace(state, stable=None, history=(), rollout=None, decommissioned=True)
            after = replace(after, queued=None, lock=None, held=None)
            return after, f"decommissioned on {len(state.hosts)} hosts by {intent.by}", _to_all(state, intent)
        case _:
            raise RefusedError(
                "this environment has hosts, and this is a word for one of them: name the host, AGENT.ENVIRONMENT@HOST"
            )


def _to_all(state: FleetState, intent: Intent) -> tuple[Intent, ...]:
    return tuple(
        replace(intent, id=f"{intent.id}@{host.name}", key=state.key.on(host.name), reason=intent.reason)
        for host in state.hosts
    )
