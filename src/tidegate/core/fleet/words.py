"""What people ask of a fleet: accepted with one sentence, or refused with the reason. Some words go to every host."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tidegate.core.fleet import hosts as one_host
from tidegate.core.fleet.layout import layout
from tidegate.core.fleet.phases import begun, named
from tidegate.core.refusal import RefusedError
from tidegate.model.event import Event, EventKind
from tidegate.model.fleet import FleetFacts, FleetRollout, FleetState, HostState, Wave
from tidegate.model.intent import (
    Abort,
    Acknowledge,
    Answer,
    Approve,
    CleanUp,
    Decommission,
    DeployFleet,
    Intent,
    Pause,
    Promote,
    Reject,
    Restart,
    Resume,
    Retry,
    Scale,
    Undo,
)
from tidegate.model.release import Revision
from tidegate.model.rollout import Hold, PauseKind, Phase
from tidegate.model.waves import Limits

PERSON = PauseKind.PERSON


@dataclass(frozen=True)
class Heard:
    """The state after the words, the answers, what was told, and the intents that go on to hosts."""

    state: FleetState
    answers: tuple[Answer, ...] = ()
    events: tuple[Event, ...] = ()
    intents: tuple[Intent, ...] = ()


def open_intent(rollout: FleetRollout, host: HostState) -> str:
    """Id of the intent that a host got last. It follows from the state, so a crash never gives it twice."""
    return f"{rollout.id}:{host.name}:{host.asks}"


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
    return heard


_Applied = tuple[FleetState, str, tuple[Intent, ...]]


def _apply(state: FleetState, intent: Intent, facts: FleetFacts) -> _Applied:
    match intent.action:
        case DeployFleet():
            return _deploy(state, intent, intent.action, facts)
        case Undo(to_revision):
            return _undo(state, intent, to_revision, facts.now)
        case Retry(override_quarantine):
            return _retry(state, intent, override_quarantine, facts)
        case Promote(full):
            return _promote(state, intent, full, facts)
        case Pause():
            return _pause(state, intent, facts.now)
        case Resume():
            return _resume(state, intent, facts.now)
        case Abort():
            return _abort(state, intent, facts.now)
        case Scale() | Restart() | Approve() | Reject() | Acknowledge() | CleanUp():
            return state, f"passed on to {len(state.hosts)} hosts", _to_all(state, intent)
        case Decommission():
            _nothing_under_way(state, "abort it first")
            after = replace(state, stable=None, history=(), rollout=None, decommissioned=True)
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


def _deploy(state: FleetState, intent: Intent, action: DeployFleet, facts: FleetFacts) -> _Applied:
    _nothing_under_way(state, "abort it or wait for its end first")
    if facts.single:
        raise RefusedError("this environment was one host until now: decommission it there, then deploy to the fleet")
    if not action.hosts:
        raise RefusedError("the environment names no hosts")
    deploy, now = action.deploy, facts.now
    revision = Revision(
        state.next_revision,
        state.key.environment,
        deploy.release,
        deploy.workload,
        created_at=now,
        by=intent.by,
        reason=intent.reason,
    )
    away = {name for name, child in facts.children.items() if child.state and child.state.unreachable_since}
    waves = layout(action.waves, action.hosts, away)
    rollout = FleetRollout(
        _id(state, revision),
        revision,
        deploy.strategy,
        deploy.analysis,
        deploy.rollback,
        waves,
        _fresh(waves),
        now,
        policy=deploy.policy,
        override_quarantine=deploy.override_quarantine,
        override_freeze=deploy.override_freeze,
        delivery=deploy.delivery,
    )
    return _begin(replace(state, hosts=action.hosts), rollout, now)


def _id(state: FleetState, revision: Revision) -> str:
    return f"{state.key}.r{revision.number}"


def _fresh(waves: tuple[Wave, ...]) -> dict[str, HostState]:
    return {name: HostState(name, index) for index, wave in enumerate(waves) for name in wave.hosts}


def _begin(state: FleetState, rollout: FleetRollout, now: float) -> _Applied:
    sizes = " + ".join(str(len(wave.hosts)) for wave in rollout.waves)
    because = f"revision {rollout.candidate.title} begins: {len(rollout.hosts)} hosts in waves of {sizes}"
    rollout = replace(rollout, phase_since=now, because=because)
    number = rollout.candidate.number + 1
    return replace(state, rollout=rollout, next_revision=number, decommissioned=False), because, ()


def _undo(state: FleetState, intent: Intent, to_revision: int | None, now: float) -> _Applied:
    if state.active is not None:
        if to_revision is None:
            return _abort(state, intent, now)
        _nothing_under_way(state, "undo without a revision takes it back; then undo --to-revision")
    earlier = [revision for revision in state.history[:-1] if to_revision in (None, revision.number)]
    last = state.rollout
    if not earlier or last is None:
        kept = ", ".join(str(revision.number) for revision in state.history[:-1]) or "none"
        raise RefusedError(f"there is no such earlier revision to go back to; kept: {kept}")
    goal = earlier[-1]
    origin = goal.undo_of if goal.undo_of is not None else goal.number
    revision = replace(
        goal, number=state.next_revision, undo_of=origin, created_at=now, by=intent.by, reason=intent.reason
    )
    deadline_s = max(wave.limits.host_deadline_s for wave in last.waves)
    names = tuple(host.name for host in state.hosts)
    waves = (Wave(names, Limits(concurrency="100%", bake_s=0.0, host_deadline_s=deadline_s)),)
    rollout = FleetRollout(
        _id(state, revision),
        revision,
        last.strategy,
        last.analysis,
        last.rollback,
        waves,
        _fresh(waves),
        now,
        straight=True,
    )
    return _begin(state, rollout, now)


def _retry(state: FleetState, intent: Intent, override_quarantine: bool, facts: FleetFacts) -> _Applied:
    last = state.rollout
    if last is None or last.phase not in (Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED):
        raise RefusedError("there is no rollout that went back and could be tried again")
    revision = replace(
        last.candidate, number=state.next_revision, created_at=facts.now, by=intent.by, reason=intent.reason
    )
    again = FleetRollout(
        _id(state, revision),
        revision,
        last.strategy,
        last.analysis,
        last.rollback,
        last.waves,
        _fresh(last.waves),
        facts.now,
        policy=last.policy,
        override_quarantine=override_quarantine,
        override_freeze=last.override_freeze,
    )
    return _begin(state, again, facts.now)


def _promote(state: FleetState, intent: Intent, full: bool, facts: FleetFacts) -> _Applied:
    rollout, now = _under_way(state), facts.now
    if rollout.phase is Phase.REVERTING:
        raise RefusedError("the fleet is on its way back: there is nothing to skip")
    if rollout.phase is Phase.PAUSED:
        rollout = _resumed(rollout, now)
    because = f"{intent.by} skips what {named(rollout, rollout.wave)} waits for"
    if full:
        because = f"{intent.by} skips every bake that is left"
        rollout = replace(rollout, hurried=True)
    if rollout.phase is Phase.BAKING:
        limits = rollout.waves[rollout.wave].limits
        return replace(state, rollout=replace(rollout, phase_since=now - limits.bake_s)), because, ()
    asked = [one_host.skip(host, facts.children[host.name], full) for host in begun(rollout) if not host.stage.settled]
    hosts = {**rollout.hosts, **{step.host.name: step.host for step in asked}}
    rollout = replace(rollout, hosts=hosts)
    return replace(state, rollout=rollout), because, tuple(to_hosts(state, rollout, asked, now))


def to_hosts(state: FleetState, rollout: FleetRollout, steps: list[one_host.Step], now: float) -> Iterator[Intent]:
    """The intents that steps ask for."""
    revision = rollout.candidate
    by = rollout.aborted_by or revision.by
    for step in steps:
        if step.action is not None:
            reason = f"revision {revision.title} of the fleet, {named(rollout, step.host.wave)}"
            reason = f"{reason}: {rollout.fault}" if rollout.fault else reason
            key = state.key.on(step.host.name)
            yield Intent(open_intent(rollout, step.host), key, step.action, by, now, reason)


def _pause(state: FleetState, intent: Intent, now: float) -> _Applied:
    rollout = _under_way(state)
    if rollout.phase is Phase.REVERTING:
        raise RefusedError("the way back is not paused; it ends by itself")
    because = f"paused by {intent.by}" + (f": {intent.reason}" if intent.reason else "")
    resume_to = rollout.hold.resume_to if rollout.hold else rollout.phase
    held = replace(rollout, phase=Phase.PAUSED, phase_since=now, hold=Hold(PERSON, resume_to, because), because=because)
    return replace(state, rollout=held), because, ()


def _resume(state: FleetState, intent: Intent, now: float) -> _Applied:
    rollout = _under_way(state)
    if rollout.phase is not Phase.PAUSED:
        raise RefusedError(f"the fleet's rollout is {rollout.phase}, not paused")
    rollout = _resumed(rollout, now)
    return replace(state, rollout=rollout), f"resumed by {intent.by}: {rollout.phase}", ()


def _resumed(rollout: FleetRollout, now: float) -> FleetRollout:
    """Go on; the time of the pause counts for no host's deadline."""
    gone = now - rollout.phase_since
    hosts = {
        name: host if host.stage.settled else replace(host, lost_s=host.lost_s + gone)
        for name, host in rollout.hosts.items()
    }
    to = rollout.hold.resume_to if rollout.hold else Phase.PROGRESSING
    return replace(rollout, phase=to, phase_since=now, hold=None, hosts=hosts)


def _abort(state: FleetState, intent: Intent, now: float) -> _Applied:
    rollout = _under_way(state)
    if rollout.phase is Phase.REVERTING:
        return state, "the way back is under way already", ()
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
    return replace(state, rollout=rollout), because, ()


def _under_way(state: FleetState) -> FleetRollout:
    if state.active is None:
        raise RefusedError("no rollout is under way")
    return state.active


def _nothing_under_way(state: FleetState, mend: str) -> None:
    if state.active is not None:
        raise RefusedError(
            f"the rollout of revision {state.active.candidate.title} is under way ({state.active.phase}); {mend}"
        )
