"""A fleet's releases begin: deploy, undo, retry, and whatever waits in line. What is admitted is as with one host."""

from dataclasses import replace

from tidegate.core import admission
from tidegate.core.admission import Way
from tidegate.core.fleet import steering
from tidegate.core.fleet.layout import layout
from tidegate.core.fleet.steering import Applied, nothing_under_way
from tidegate.core.refusal import RefusedError
from tidegate.model.event import Event, EventKind
from tidegate.model.fleet import FleetFacts, FleetRollout, FleetState, HostState, Wave
from tidegate.model.intent import DeployFleet, Intent
from tidegate.model.release import Revision
from tidegate.model.rollout import Phase
from tidegate.model.waves import Limits


def deploy(state: FleetState, intent: Intent, action: DeployFleet, facts: FleetFacts) -> Applied:
    """Begin, wait, or take the place of what is under way. Raises RefusedError."""
    if facts.single:
        raise RefusedError("this environment was one host until now: decommission it there, then deploy to the fleet")
    if not action.hosts:
        raise RefusedError("the environment names no hosts")
    under_way = state.active.candidate if state.active else None
    if under_way and under_way.release.id == action.deploy.release.id and under_way.workload == action.deploy.workload:
        return state, f"revision {under_way.title} is under way already; carrying on", ()
    match admission.admit(state, intent, action.deploy, facts.now):
        case Way.QUEUE:
            return _queued(state, intent, f"until {_until(state)}")
        case Way.SUPERSEDE:
            assert under_way is not None
            why = f"superseded by {action.deploy.release.version}"
            state, _, passed_on = steering.abort(state, replace(intent, reason=why), facts.now)
            state, because, _ = _queued(state, intent, f"until revision {under_way.title} is back to stable: {why}")
            return state, because, passed_on
        case Way.BEGIN:
            return _start(state, intent, action, facts)


def _until(state: FleetState) -> str:
    if state.active is not None:
        return f"the end of revision {state.active.candidate.title}"
    return f"somebody acknowledges: {state.held.because}" if state.held else "its turn"


def _queued(state: FleetState, intent: Intent, until: str) -> Applied:
    former = f"; {_version(state.queued)} no longer waits" if state.queued else ""
    return replace(state, queued=intent), f"{_version(intent)} waits {until}{former}", ()


def _version(intent: Intent) -> str:
    assert isinstance(intent.action, DeployFleet)
    return intent.action.deploy.release.version


def next_in_line(state: FleetState, facts: FleetFacts) -> tuple[FleetState, tuple[Event, ...]]:
    """Begin with what waits, once nothing is under way and nobody holds it back."""
    queued = state.queued
    if queued is None or state.active is not None or not isinstance(queued.action, DeployFleet):
        return state, ()
    if queued.action.deploy.automatic and state.held is not None:
        return state, ()
    emptied = replace(state, queued=None)
    try:
        admission.unlocked(state, queued.by, facts.now)
    except RefusedError:
        return state, ()
    try:
        after, because, _ = deploy(emptied, queued, queued.action, facts)
        kind = EventKind.INTENT
    except RefusedError as refusal:
        after, because, kind = emptied, f"{_version(queued)} no longer waits: {refusal}", EventKind.REFUSED
    number = after.rollout.candidate.number if after.rollout else None
    data = {"by": queued.by, "action": "deployfleet", "reason": queued.reason}
    return after, (Event(facts.now, state.key, kind, because, number, data),)


def _start(state: FleetState, intent: Intent, action: DeployFleet, facts: FleetFacts) -> Applied:
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
        override_freeze=deploy.override_freeze,
        accept_breaking=deploy.accept_breaking,
        hooks=deploy.hooks,
        delivery=deploy.delivery,
    )
    if deploy.policy.notify != state.endpoints:
        state = replace(state, endpoints=deploy.policy.notify, told_since=now)
    return _begin(replace(state, hosts=action.hosts), rollout, now)


def _id(state: FleetState, revision: Revision) -> str:
    return f"{state.key}.r{revision.number}"


def _fresh(waves: tuple[Wave, ...]) -> dict[str, HostState]:
    return {name: HostState(name, index) for index, wave in enumerate(waves) for name in wave.hosts}


def _begin(state: FleetState, rollout: FleetRollout, now: float) -> Applied:
    sizes = " + ".join(str(len(wave.hosts)) for wave in rollout.waves)
    because = f"revision {rollout.candidate.title} begins: {len(rollout.hosts)} hosts in waves of {sizes}"
    rollout = replace(rollout, phase_since=now, because=because)
    number = rollout.candidate.number + 1
    return replace(state, rollout=rollout, next_revision=number, decommissioned=False), because, ()


def undo(state: FleetState, intent: Intent, to_revision: int | None, now: float) -> Applied:
    if state.active is not None:
        if to_revision is None:
            return steering.abort(state, intent, now)
        nothing_under_way(state, "undo without a revision takes it back; then undo --to-revision")
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


def retry(state: FleetState, intent: Intent, override_quarantine: bool, facts: FleetFacts) -> Applied:
    last = state.rollout
    if last is None or last.phase not in (Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED):
        raise RefusedError("there is no rollout that went back and could be tried again")
    admission.unlocked(state, intent.by, facts.now)
    overridden = override_quarantine and bool(intent.reason)
    admission.not_rejected(state, last.candidate.release.image, last.candidate.workload, overridden)
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
        override_freeze=last.override_freeze,
        accept_breaking=last.accept_breaking,
        hooks=last.hooks,
    )
    return _begin(state, again, facts.now)
