"""One host on its way to what it is to run: where it stands, and what to ask of it next.

The way is found from what is there and not from what was asked before: whatever a host runs, and whenever it comes
back, it is led to what is current then. A host has at most one intent open, but for a stop, which waits for nobody.
"""

from dataclasses import dataclass, replace

from tidegate.model.fleet import Child, FleetRollout, HostStage, HostState, Verb
from tidegate.model.intent import Abort, Action, Deploy, Pause, Promote, Resume, Undo
from tidegate.model.policy import Policy
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, PauseKind, Phase, Rollout
from tidegate.model.spec import NO_HOOKS, Analysis, Canary, Hooks


@dataclass(frozen=True)
class Aim:
    """What a host is to run. `back`: this is the way back. `straight`: no steps, no analysis to wait for.

    `hooks` are those that run on this host.
    """

    revision: Revision
    rollout: FleetRollout
    deadline_s: float
    back: bool = False
    straight: bool = False
    hooks: Hooks = NO_HOOKS


@dataclass(frozen=True)
class Step:
    """A host after a look at it, and what to ask of it, if anything."""

    host: HostState
    action: Action | None = None


def step(host: HostState, child: Child, aim: Aim, now: float, may_begin: bool) -> Step:
    """Look at one host, and find what brings it nearer to its aim. Nothing new begins unless `may_begin`."""
    host = _learned(_aimed(host, aim), child, now)
    state = child.state
    active = state.active if state is not None else None
    if host.asked and host.verb is Verb.STALE:
        # It may be applied at any moment; what comes after it is applied after it.
        return ask(_moving(host, aim, now, "takes back what it was asked"), Verb.STOP, Abort())
    stopping = host.asked and host.verb is Verb.STOP
    if state is not None and active is None and not stopping and runs(state, aim.revision):
        return Step(_apart(_there(host, state, aim)))
    if active is not None and not same(active.candidate, aim.revision):
        if host.tried is not None and active.candidate.number > host.tried:
            return Step(_by_hand(host, active.candidate))
        return _stop(_moving(host, aim, now, f"revision {active.candidate.title} has to end first"), active)
    if _late(host, aim, now):
        return _overdue(host, active, aim)
    if active is not None:
        tried = host.tried if active.phase is Phase.REVERTING else active.candidate.number
        return Step(_apart(_moving(replace(host, tried=tried), aim, now, f"its own rollout is {active.phase}")))
    if host.stage is FAILED:
        return Step(host)
    if host.tried is not None and state is not None:
        return Step(_tried(host, state))
    if host.asked:
        return Step(_apart(_moving(host, aim, now, "was asked")))
    if not may_begin or (state is not None and state.unreachable_since is not None):
        return Step(_apart(replace(host, stage=HostStage.PENDING)))
    return ask(_moving(host, aim, now, "begins"), Verb.GO, _go(state, aim))


def stop_only(host: HostState, child: Child, unwanted: Revision, now: float) -> Step:
    """The way back where there is nothing to go back to: what is under way ends, what is done stays."""
    host = _learned(host, child, now)
    if host.asked and host.verb is Verb.GO:
        return ask(replace(host, stage=HostStage.RETURNING), Verb.STOP, Abort())
    active = child.state.active if child.state is not None else None
    if active is not None and same(active.candidate, unwanted):
        return _stop(replace(host, stage=HostStage.RETURNING), active)
    if host.stage in (HostStage.ROLLING, HostStage.RETURNING, HostStage.UNREACHABLE) and not host.asked:
        host = replace(host, stage=HostStage.RETURNED, because="stopped; there is no earlier revision")
    return Step(host)


def ask(host: HostState, verb: Verb, action: Action) -> Step:
    """Ask something; the host's state says that it was asked."""
    return Step(_apart(replace(host, asks=host.asks + 1, asked=True, verb=verb)), action)


def hold(host: HostState, child: Child) -> Step:
    """The fleet is paused: the rollout under way on the host pauses too."""
    active = child.state.active if child.state is not None else None
    if active is None or host.held or host.asked or active.phase in (Phase.PAUSED, Phase.REVERTING):
        return Step(host)
    return ask(replace(host, held=True), Verb.HOLD, Pause())


def let_go(host: HostState, child: Child) -> Step:
    """The fleet goes on: the rollout that was paused for it goes on too; one that paused by itself does not."""
    if not host.held or host.asked:
        return Step(host)
    host = replace(host, held=False)
    active = child.state.active if child.state is not None else None
    if active is None or active.hold is None or active.hold.kind is not PauseKind.PERSON:
        return Step(host)
    return ask(host, Verb.RELEASE, Resume())


def skip(host: HostState, child: Child, full: bool) -> Step:
    """A person's word for the steps of the rollout under way on the host."""
    active = child.state.active if child.state is not None else None
    if active is None or active.phase in (Phase.PREPARING, Phase.STARTING, Phase.REVERTING):
        return Step(host)
    return ask(host, Verb.SKIP, Promote(full))


FAILED = HostStage.FAILED
UNVERIFIED = "unverified"
WAITING = frozenset(
    {PauseKind.ALL, PauseKind.GATE, PauseKind.FREEZE, PauseKind.STEP, PauseKind.TASK, PauseKind.BREAKING}
)
"""Pauses of a host that wait for a person or for the calendar."""


def same(one: Revision, other: Revision) -> bool:
    """Whether two revisions, of a host or of its fleet, are the same release with the same configuration."""
    return one.release.id == other.release.id and one.workload == other.workload


def runs(state: AgentState, revision: Revision) -> bool:
    """Whether the host serves exactly this."""
    return state.stable is not None and same(state.stable, revision)


def _aimed(host: HostState, aim: Aim) -> HostState:
    """A new aim: what was tried before, and how long it took, is over."""
    if host.aim == aim.revision.number:
        return host
    stage = HostStage.PENDING if host.stage is FAILED else host.stage
    verb = Verb.STALE if host.asked and host.verb is Verb.GO else host.verb
    begun = replace(host, aim=aim.revision.number, stage=stage, verb=verb)
    return replace(begun, tried=None, since=0.0, lost_s=0.0, late=False, held=False)


def _learned(host: HostState, child: Child, now: float) -> HostState:
    """What the host answered, and whether it can be reached."""
    answer, state = child.answer, child.state
    if host.asked and answer is not None:
        if host.verb is Verb.GO and answer.accepted:
            host = replace(host, tried=answer.revision)
        elif host.verb is Verb.GO:
            host = replace(host, stage=FAILED, because=answer.because)
        host = replace(host, asked=False)
    waits = state is not None and _waits(state.active)
    if waits and host.waits_since is None:
        host = replace(host, waits_since=now)
    elif not waits and host.waits_since is not None:
        host = replace(host, waits_since=None, lost_s=host.lost_s + now - host.waits_since)
    away = state.unreachable_since if state is not None else None
    if away is not None and host.away_since is None:
        return replace(host, away_since=now)
    if away is None and host.away_since is not None:
        return replace(host, away_since=None, lost_s=host.lost_s + now - host.away_since)
    return host


def _waits(active: Rollout | None) -> bool:
    """Whether its own rollout waits for somebody: that is no time in which it could have been done."""
    hold = active.hold if active is not None and active.phase is Phase.PAUSED else None
    return hold is not None and hold.kind in WAITING


def _apart(host: HostState) -> HostState:
    """What cannot be reached is counted apart, whatever it was doing; a failure stays one."""
    if host.away_since is None or host.stage is FAILED:
        return host
    return replace(host, stage=HostStage.UNREACHABLE, because="the engine cannot be reached; it catches up")


def _there(host: HostState, state: AgentState, aim: Aim) -> HostState:
    sick = _sickness(state, aim.rollout)
    if sick and not aim.back:
        return replace(host, stage=FAILED, because=sick)
    if aim.back and not host.asks:
        return replace(host, stage=HostStage.PENDING)  # it never left
    stage = HostStage.RETURNED if aim.back else HostStage.DONE
    tried = state.rollout.candidate.number if state.rollout is not None else None
    return replace(host, stage=stage, tried=tried, because=f"runs {aim.revision.release.version}")


def _sickness(state: AgentState, rollout: FleetRollout) -> str:
    """What goes wrong after a host's own promotion: the fleet bakes longer than the host did."""
    often = [name for name, entry in state.restarts.items() if entry.count > rollout.rollback.max_restarts]
    if often:
        return f"{often[0]} had to be restarted more than {rollout.rollback.max_restarts} times"
    return f"{min(state.quiet)} sends no heartbeats any more" if state.quiet else ""


def _stop(host: HostState, active: Rollout) -> Step:
    if active.phase is Phase.REVERTING or (host.asked and host.verb is Verb.STOP):
        return Step(_apart(host))
    return ask(host, Verb.STOP, Abort())


def _late(host: HostState, aim: Aim, now: float) -> bool:
    if host.late or not host.since:
        return host.late
    lost = host.lost_s + sum(now - since for since in (host.away_since, host.waits_since) if since is not None)
    return now - host.since - lost > aim.deadline_s


def _overdue(host: HostState, active: Rollout | None, aim: Aim) -> Step:
    """A failure; what is under way stops, but a way back is left to itself."""
    host = replace(host, stage=FAILED, late=True, because=f"not done within {aim.deadline_s:g} s")
    return Step(host) if active is None or aim.back else _stop(host, active)


def _moving(host: HostState, aim: Aim, now: float, because: str) -> HostState:
    stage = HostStage.RETURNING if aim.back else HostStage.ROLLING
    return replace(host, stage=stage, since=host.since or now, because=because)


def _tried(host: HostState, state: AgentState) -> HostState:
    """Its rollout ended, and it runs something else."""
    last = state.rollout
    if last is None or host.tried is None or last.candidate.number < host.tried:
        return host
    if last.candidate.number > host.tried:
        return _by_hand(host, last.candidate)
    return replace(host, stage=FAILED, because=(last.fault or last.because).partition("\n")[0])


def _by_hand(host: HostState, revision: Revision) -> HostState:
    """A person gave this host a word of its own after the fleet did: that stands, and is told."""
    return replace(host, stage=FAILED, because=f"somebody moved it to revision {revision.title}")


def _go(state: AgentState | None, aim: Aim) -> Action:
    revision, rollout = aim.revision, aim.rollout
    if not aim.straight:
        return Deploy(
            revision.release,
            revision.workload,
            rollout.strategy,
            rollout.analysis,
            rollout.rollback,
            _for_hosts(rollout.policy),
            override_quarantine=True,  # the fleet's own quarantine has let it pass
            override_freeze=rollout.override_freeze,
            hooks=aim.hooks,
            accept_breaking=rollout.accept_breaking,
        )
    last = state.rollout if state is not None else None
    if state is not None and last is not None and last.rollback.window:
        proven = [one.number for one in state.history[:-1][-last.rollback.window :] if same(one, revision)]
        if proven:
            return Undo(proven[-1])
    strategy = rollout.strategy
    if isinstance(strategy, Canary):
        strategy = replace(strategy, steps=(), bake_s=min(strategy.bake_s, 10.0))
    # It has proven itself on the fleet: only hard facts are watched, for nobody could say more without steps.
    # No freeze window, gate or quarantine stands in its way either.
    return Deploy(
        revision.release,
        revision.workload,
        strategy,
        Analysis(()),
        rollout.rollback,
        override_quarantine=True,
        override_freeze=True,
        accept_breaking=True,
    )


def _for_hosts(policy: Policy) -> Policy:
    """Ends are told once, by the fleet; a host tells what only it knows: a way back that could not be verified."""
    told = (replace(one, on=(UNVERIFIED,)) for one in policy.notify if not one.on or UNVERIFIED in one.on)
    return replace(policy, notify=tuple(told))
