"""A person's word to a fleet's rollout under way: promote, pause, resume, abort."""

from collections.abc import Iterator
from dataclasses import replace

from tidegate.core.fleet import hosts as one_host
from tidegate.core.fleet.phases import begun, named
from tidegate.core.refusal import RefusedError
from tidegate.model.fleet import FleetFacts, FleetRollout, FleetState, HostState
from tidegate.model.intent import Intent
from tidegate.model.rollout import Hold, PauseKind, Phase

Applied = tuple[FleetState, str, tuple[Intent, ...]]
"""The state after a word, the sentence about it, and what goes on to hosts."""

PERSON = PauseKind.PERSON


def open_intent(rollout: FleetRollout, host: HostState) -> str:
    """Id of the intent that a host got last. It follows from the state, so a crash never gives it twice."""
    return f"{rollout.id}:{host.name}:{host.asks}"


def promote(state: FleetState, intent: Intent, full: bool, facts: FleetFacts) -> Applied:
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


def pause(state: FleetState, intent: Intent, now: float) -> Applied:
    rollout = _under_way(state)
    if rollout.phase is Phase.REVERTING:
        raise RefusedError("the way back is not paused; it ends by itself")
    because = f"paused by {intent.by}" + (f": {intent.reason}" if intent.reason else "")
    resume_to = rollout.hold.resume_to if rollout.hold else rollout.phase
    held = replace(rollout, phase=Phase.PAUSED, phase_since=now, hold=Hold(PERSON, resume_to, because), because=because)
    return replace(state, rollout=held), because, ()


def resume(state: FleetState, intent: Intent, now: float) -> Applied:
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


def abort(state: FleetState, intent: Intent, now: float) -> Applied:
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


def nothing_under_way(state: FleetState, mend: str) -> None:
    if state.active is not None:
        raise RefusedError(
            f"the rollout of revision {state.active.candidate.title} is under way ({state.active.phase}); {mend}"
        )
