"""Instances that go quiet and come back, or say that they are of another version: one event each.

A canary's silence is a hard fact instead (faults).
"""

from dataclasses import replace

from tidegate.core import liveness
from tidegate.model.event import Event, EventKind
from tidegate.model.observation import InstanceState, Observation, ObservedHeartbeat, ObservedInstance
from tidegate.model.rollout import AgentState

UP = (InstanceState.RUNNING, InstanceState.PAUSED)


def listen(state: AgentState, observed: Observation, now: float) -> tuple[AgentState, tuple[Event, ...]]:
    """Note who went quiet and who reports again. `quiet` holds when each was heard last, so each is told once."""
    quiet: dict[str, float] = {}
    events: list[Event] = []
    for instance in observed.instances:
        since = state.quiet.get(instance.name)
        heartbeat = instance.heartbeat
        if instance.state not in UP or _is_candidate(state, instance):
            continue
        if heartbeat is None or (since is not None and heartbeat.at <= since):
            if since is not None:
                quiet[instance.name] = since
        elif liveness.silent(heartbeat, _configured(state)):
            quiet[instance.name] = heartbeat.at
            events.append(_event(state, instance, now, _gone(instance, heartbeat)))
        elif since is not None:
            why = f"{instance.name} reports again, after {heartbeat.at - since:.0f} s"
            events.append(_event(state, instance, now, why))
    drifted, told = _drift(state, observed, now)
    if (quiet, drifted) == (state.quiet, state.drifted):
        return state, tuple(events)
    return replace(state, quiet=quiet, drifted=drifted), (*events, *told)


def _drift(state: AgentState, observed: Observation, now: float) -> tuple[dict[str, str], list[Event]]:
    """Who says that it is of another version than its revision. It is reported: what runs is what was deployed."""
    drifted: dict[str, str] = {}
    events: list[Event] = []
    for instance in observed.instances:
        desired, heartbeat = _version(state, instance.revision), instance.heartbeat
        known = state.drifted.get(instance.name)
        if heartbeat is None or not heartbeat.version or not desired:
            if known is not None:
                drifted[instance.name] = known
        elif heartbeat.version != desired:
            drifted[instance.name] = heartbeat.version
            if known != heartbeat.version:
                why = f"{instance.name} says that it is version {heartbeat.version}; it should be {desired}"
                events.append(_event(state, instance, now, why))
        elif known is not None:
            events.append(_event(state, instance, now, f"{instance.name} says that it is version {desired} now"))
    return drifted, events


def _version(state: AgentState, revision: int) -> str:
    """The version that instances of a revision should be of; empty where that is not known."""
    active = [state.active.candidate] if state.active is not None else []
    stable = [state.stable] if state.stable is not None else []
    known = [*active, *stable, *(leaving.revision for leaving in state.retiring)]
    return next((one.release.version for one in known if one.runs_as == revision), "")


def next_deadline(state: AgentState, observed: Observation, now: float) -> float | None:
    """When the next silence will be too long, unless something is heard before."""
    left = (
        liveness.deadline(heartbeat.interval_s, _configured(state)) - heartbeat.age_s
        for instance in observed.instances
        if (heartbeat := instance.heartbeat) is not None
    )
    return min((now + seconds for seconds in left if seconds >= 0), default=None)


def _configured(state: AgentState) -> float:
    return state.rollout.rollback.heartbeat_deadline_s if state.rollout is not None else 0.0


def _is_candidate(state: AgentState, instance: ObservedInstance) -> bool:
    return state.active is not None and instance.revision == state.active.candidate.runs_as


def _gone(instance: ObservedInstance, heartbeat: ObservedHeartbeat) -> str:
    return (
        f"no heartbeat of {instance.name} for {heartbeat.age_s:.0f} s; it reported every {heartbeat.interval_s:g} s"
        f" ({_where(instance)})"
    )


def _where(instance: ObservedInstance) -> str:
    """What the platform sees of a silent instance: a hanging process and a cut network look the same from afar."""
    if instance.state is InstanceState.RUNNING and not instance.address:
        return "its container is running, cut off from our network"
    hangs = ": its process hangs, or cannot reach us" if instance.state is InstanceState.RUNNING else ""
    return f"its container is {instance.state}{hangs}"


def _event(state: AgentState, instance: ObservedInstance, now: float, because: str) -> Event:
    return Event(now, state.key, EventKind.HEARTBEAT, because, instance.revision, {"instance": instance.name})
