"""decide_fleet: words, then a look at every host, the phase's move (until nothing moves), then who begins."""

from dataclasses import replace

from tidegate.core import notices, quarantine, unwatched
from tidegate.core.fleet import hosts as one_host
from tidegate.core.fleet.hosts import Aim, Step
from tidegate.core.fleet.layout import count
from tidegate.core.fleet.phases import FLEET_TRANSITIONS, FleetMove, begun, named, next_move, tally
from tidegate.core.fleet.steering import to_hosts
from tidegate.core.fleet.words import hear
from tidegate.core.view import effective_phase
from tidegate.model.event import Datum, Event, EventKind
from tidegate.model.fleet import Child, FleetDecision, FleetFacts, FleetRollout, FleetState, HostStage, HostState
from tidegate.model.intent import Intent
from tidegate.model.rollout import Phase

HOOKED = 50
"""Releases whose pre hooks are remembered to have run."""

BUSY = (HostStage.ROLLING, HostStage.RETURNING)


def decide_fleet(state: FleetState, facts: FleetFacts) -> FleetDecision:
    """The only decision function of a fleet. Pure: the same state and facts always give the same decision."""
    before = state
    heard = hear(_made_up(state, facts), facts)
    state, intents, events = heard.state, list(heard.intents), list(heard.events)
    if state.rollout is None:
        return FleetDecision(state, tuple(intents), tuple(events), heard.answers)
    for _ in range(2 * len(state.rollout.waves) + 4):
        state, asked = _look(state, facts)
        intents += asked
        assert state.rollout is not None
        if state.rollout.phase.ended:
            break
        move = next_move(state, state.rollout, facts.now)
        if isinstance(move, str):
            state = replace(state, rollout=replace(state.rollout, because=move))
            break
        state, told = _moved(state, move, facts)
        events += told
    state, asked = _begin(state, facts)
    intents += asked
    events += _stages(before, state, facts.now)
    rollout = state.rollout
    if rollout is not None and not rollout.phase.ended and unwatched.due(rollout.looked_at, facts.now):
        state = replace(state, rollout=replace(rollout, looked_at=facts.now))
    return FleetDecision(state, tuple(intents), tuple(events), heard.answers, _wake_at(state))


def _made_up(state: FleetState, facts: FleetFacts) -> FleetState:
    """A wave that bakes, and hosts under way, get the time back in which nobody watched (core.unwatched)."""
    rollout = state.rollout
    if not facts.resumed or rollout is None or rollout.phase.ended or rollout.phase is Phase.PAUSED:
        return state
    gap = facts.now - max(rollout.looked_at, rollout.phase_since)
    if gap <= 0:
        return state
    hosts = {
        name: replace(host, lost_s=host.lost_s + gap) if host.stage in BUSY and host.away_since is None else host
        for name, host in rollout.hosts.items()
    }
    return replace(state, rollout=replace(rollout, phase_since=rollout.phase_since + gap, hosts=hosts))


def _aim(state: FleetState, rollout: FleetRollout, host: HostState) -> Aim | None:
    """What a host is to run now; None: it is left as it is."""
    deadline_s = rollout.waves[host.wave].limits.host_deadline_s
    going = not rollout.phase.ended and rollout.phase is not Phase.REVERTING
    if going or rollout.phase is Phase.PROMOTED:
        run = replace(rollout.hooks, pre=rollout.hooks.pre if host.name == rollout.carrier else ())
        return Aim(rollout.candidate, rollout, deadline_s, straight=rollout.straight, hooks=run)
    if state.stable is None:
        return None
    return Aim(state.stable, rollout, deadline_s, back=True, straight=True)


def _concerned(rollout: FleetRollout) -> list[HostState]:
    """Hosts that have an aim now: all of them once the rollout has ended, else those of the waves begun."""
    return list(rollout.hosts.values()) if rollout.phase.ended else begun(rollout)


def _child(facts: FleetFacts, host: HostState) -> Child:
    return facts.children.get(host.name, Child())


def _hooked(state: FleetState, rollout: FleetRollout, facts: FleetFacts) -> FleetState:
    """Remember that this release's pre hooks are done: the rollout of the host that runs them has gone past them."""
    carrier, release = facts.children.get(rollout.carrier, Child()).state, rollout.candidate.release.id
    own = carrier.rollout if carrier is not None else None
    if own is None or own.candidate.release.id != release or release in state.hooked:
        return state
    reached = own.turned_at or effective_phase(own)
    return state if reached is Phase.PREPARING else replace(state, hooked=(*state.hooked, release)[-HOOKED:])


def _look(state: FleetState, facts: FleetFacts) -> tuple[FleetState, list[Intent]]:
    """See where every host stands. Nothing begins; what must stop, stops."""
    rollout = state.rollout
    assert rollout is not None
    state = _hooked(state, rollout, facts)
    return _take(state, rollout, [_looked(state, rollout, host, facts) for host in _concerned(rollout)], facts.now)


def _looked(state: FleetState, rollout: FleetRollout, host: HostState, facts: FleetFacts) -> Step:
    child, aim = _child(facts, host), _aim(state, rollout, host)
    if aim is None:
        return one_host.stop_only(host, child, rollout.candidate, facts.now)
    paused = rollout.phase is Phase.PAUSED
    if paused:
        aim = replace(aim, deadline_s=float("inf"))
    step = one_host.step(host, child, aim, facts.now, may_begin=False)
    if step.action is not None:
        return step
    return one_host.hold(step.host, child) if paused else one_host.let_go(step.host, child)


def _begin(state: FleetState, facts: FleetFacts) -> tuple[FleetState, list[Intent]]:
    """Let hosts begin: as many at once as the wave allows, and all of them on the way back."""
    rollout = state.rollout
    assert rollout is not None
    if rollout.phase is Phase.PAUSED:
        return state, []
    back = rollout.phase is not Phase.PROMOTED and (rollout.phase.ended or rollout.phase is Phase.REVERTING)
    wave = rollout.waves[rollout.wave]
    free = len(rollout.hosts) if back else count(wave.limits.concurrency, len(wave.hosts))
    free -= 0 if back else sum(1 for host in rollout.hosts.values() if host.stage in BUSY)
    steps: list[Step] = []
    waits = bool(rollout.hooks.pre) and not back and rollout.candidate.release.id not in state.hooked
    for host in _concerned(rollout):
        if waits and rollout.carrier not in ("", host.name):
            continue
        carrying = replace(rollout, carrier=host.name) if waits else rollout
        aim = _aim(state, carrying, host)
        if free <= 0 or aim is None or host.stage not in (HostStage.PENDING, HostStage.UNREACHABLE):
            continue
        step = one_host.step(host, _child(facts, host), aim, facts.now, may_begin=True)
        steps.append(step)
        free -= step.host.stage in BUSY
        if step.action is not None:
            rollout = carrying
    return _take(state, rollout, steps, facts.now)


def _take(state: FleetState, rollout: FleetRollout, steps: list[Step], now: float) -> tuple[FleetState, list[Intent]]:
    hosts = {**rollout.hosts, **{step.host.name: step.host for step in steps}}
    rollout = replace(rollout, hosts=hosts)
    return replace(state, rollout=rollout), list(to_hosts(state, rollout, steps, now))


def _moved(state: FleetState, move: FleetMove, facts: FleetFacts) -> tuple[FleetState, list[Event]]:
    rollout, now = state.rollout, facts.now
    assert rollout is not None
    assert move.to in FLEET_TRANSITIONS[rollout.phase], f"{rollout.phase} -> {move.to} is not in the fleet's table"
    after = replace(
        rollout,
        phase=move.to,
        phase_since=now,
        wave=move.wave,
        because=move.because,
        hold=move.hold,
        fault=rollout.fault or move.fault,
        decided_at=now if move.to is Phase.REVERTING else rollout.decided_at,
        ended_at=now if move.to.ended else None,
    )
    number = after.candidate.number
    data: dict[str, Datum] = {"from": rollout.phase, "to": move.to, "wave": move.wave + 1}
    events = [Event(now, state.key, EventKind.PHASE, move.because, number, data)]
    state = replace(state, rollout=after)
    if move.to is Phase.PROMOTED:
        history = (*state.history, after.candidate)[-max(after.rollback.history, 2) :]
        state = replace(state, stable=after.candidate, history=history)
    if move.to.ended:
        hosts = [child.state for child in facts.children.values() if child.state is not None]
        state = quarantine.after_fleet(state, after, hosts, now)
        events.append(_notice(state, after, now))
    return state, events


def _notice(state: FleetState, rollout: FleetRollout, now: float) -> Event:
    """The one sentence that a team gets at every end."""
    title, took = rollout.candidate.title, f"{now - rollout.started_at:.0f} s"
    counted = tally(list(rollout.hosts.values()))
    served = f"revision {state.stable.title}" if state.stable else "nothing"
    match rollout.phase:
        case Phase.PROMOTED:
            text = f"Update complete: {state.key} runs revision {title} after {took} ({counted})."
        case Phase.ABORTED:
            text = f"Update aborted by {rollout.aborted_by}: {state.key} runs {served} ({counted})."
        case _:
            text = f"Update taken back: {state.key} runs {served} after {took} ({counted}). Why: {rollout.fault}"
    return Event(now, state.key, EventKind.NOTICE, text, rollout.candidate.number, notices.data(state, rollout, now))


def _stages(before: FleetState, after: FleetState, now: float) -> list[Event]:
    """A line for every host whose stage changed."""
    rollout, former = after.rollout, before.rollout
    assert rollout is not None
    known = former.hosts if former is not None and former.id == rollout.id else {}
    events = []
    for name, host in rollout.hosts.items():
        was = known[name].stage if name in known else HostStage.PENDING
        if host.stage is not was:
            because = f"{name} ({named(rollout, host.wave)}) is {host.stage}: {host.because}"
            data: dict[str, Datum] = {"host": name, "wave": host.wave + 1, "from": was, "to": host.stage}
            events.append(Event(now, after.key, EventKind.HOST, because, rollout.candidate.number, data))
    return events


def _wake_at(state: FleetState) -> float | None:
    """When time alone could change the decision."""
    rollout = state.rollout
    if rollout is None or rollout.phase is Phase.PAUSED:
        return None
    times = [
        host.since + host.lost_s + rollout.waves[host.wave].limits.host_deadline_s
        for host in rollout.hosts.values()
        if host.stage in BUSY and host.since
    ]
    if rollout.phase is Phase.BAKING:
        times.append(rollout.phase_since + rollout.waves[rollout.wave].limits.bake_s)
    return min(times, default=None)
