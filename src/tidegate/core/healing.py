"""Restarts that the controller does itself: what is unhealthy or exited for good, and a person's rolling restart.

The engine restarts what exited as its policy says, never what is merely unhealthy. Back-off doubles from 1 s to 5
minutes and is forgotten after ten minutes of health, as the kubelet does it.
"""

from collections.abc import Sequence, Set

from tidegate.core.changes import changed
from tidegate.model.event import Event, EventKind
from tidegate.model.observation import InstanceState, Observation, ObservedInstance
from tidegate.model.rollout import AgentState, Restarts

FIRST_S = 1.0
LONGEST_S = 300.0
FORGET_S = 600.0


def heal(
    state: AgentState, observed: Observation, wanted: Set[str], now: float
) -> tuple[AgentState, tuple[Event, ...]]:
    """Order a new start of every instance that is not well, unless its back-off still runs.

    Not well is whom the liveness probe gave up on, and who should run (`wanted`) and exited for good: the engine's
    restart policy did not start it again.
    """
    present = {instance.name: instance for instance in observed.instances}
    restarts = {
        name: entry
        for name, entry in state.restarts.items()
        if name in present and not (_is_well(present[name], wanted) and now > entry.not_before + FORGET_S)
    }
    events = []
    for instance in observed.instances:
        entry = restarts.get(instance.name)
        if _is_well(instance, wanted) or (entry and (entry.of == instance.started_at or now < entry.not_before)):
            continue
        count = entry.count + 1 if entry else 1
        pause = min(FIRST_S * 2 ** (count - 1), LONGEST_S)
        restarts[instance.name] = Restarts(count, instance.started_at, now + pause)
        trouble = f"is not alive ({instance.probe_detail})" if _is_up(instance) else f"exited with {instance.exit_code}"
        why = f"{instance.name} {trouble}: restart {count}, the next not before {pause:g} s"
        events.append(Event(now, state.key, EventKind.RESTART, why, instance.revision))
    return changed(state, restarts=restarts, restart_of=_still_to_do(state, observed)), tuple(events)


def held_back(state: AgentState, observed: Observation, wanted: Set[str]) -> frozenset[str]:
    """Instances that exited and are not started yet, because their back-off still runs."""

    def waits(instance: ObservedInstance) -> bool:
        entry = state.restarts.get(instance.name)
        return entry is not None and entry.of != instance.started_at

    return frozenset(i.name for i in observed.instances if not _is_up(i) and not _is_well(i, wanted) and waits(i))


def _is_well(instance: ObservedInstance, wanted: Set[str]) -> bool:
    if instance.state is InstanceState.EXITED:
        return instance.name not in wanted or not instance.started_at
    return instance.live is not False


def _is_up(instance: ObservedInstance) -> bool:
    return instance.state is not InstanceState.EXITED


def ask_for_all(instances: Sequence[ObservedInstance]) -> dict[str, str]:
    """A person's restart: every incarnation that runs now should be over, one after the other."""
    return {instance.name: instance.started_at for instance in instances}


def restart_of(state: AgentState, observed: Observation) -> dict[str, str]:
    """Name -> incarnation that should be over now.

    Of a person's restart only the first, only while the others are ready, and once no request is sent there any more.
    """
    due = {name: entry.of for name, entry in state.restarts.items()}
    if state.restart_of:
        first = min(state.restart_of)
        if _others_ready(state, observed, first) and not (leaving(state, observed) and _is_routed(observed, first)):
            due.setdefault(first, state.restart_of[first])
    return due


def leaving(state: AgentState, observed: Observation) -> frozenset[str]:
    """Instances that leave the routes for a while, because they are restarted and others can take their requests."""
    if not state.restart_of:
        return frozenset()
    first = min(state.restart_of)
    alone = not any(i.ready for i in observed.instances if i.name != first and _is_stable(state, i))
    over = not any(i.name == first and i.started_at == state.restart_of[first] for i in observed.instances)
    return frozenset() if alone or over or not _others_ready(state, observed, first) else frozenset({first})


def _others_ready(state: AgentState, observed: Observation, name: str) -> bool:
    return all(i.ready for i in observed.instances if i.name != name and _is_stable(state, i))


def _is_routed(observed: Observation, name: str) -> bool:
    here = [i for i in observed.instances if i.name == name and i.address]
    return any(e.address == i.address for i in here for e in observed.gateway.endpoints(i.revision))


def _is_stable(state: AgentState, instance: ObservedInstance) -> bool:
    return state.stable is not None and instance.revision == state.stable.runs_as


def _still_to_do(state: AgentState, observed: Observation) -> dict[str, str]:
    """What a person's restart still has to do: an instance is done when its new incarnation is ready."""
    present = {instance.name: instance for instance in observed.instances}
    return {
        name: started
        for name, started in state.restart_of.items()
        if name in present and (present[name].started_at == started or not present[name].ready)
    }
