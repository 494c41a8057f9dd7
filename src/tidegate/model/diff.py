"""What planners share: the difference between what should be and what is."""

from dataclasses import dataclass

from tidegate.model.desired import Desired, InstanceGoal, Run
from tidegate.model.observation import InstanceState, Observation, ObservedInstance


@dataclass(frozen=True)
class InstanceDiff:
    """Instances sorted by what has to happen to them."""

    missing: tuple[InstanceGoal, ...] = ()
    to_start: tuple[tuple[InstanceGoal, ObservedInstance], ...] = ()
    to_restart: tuple[tuple[InstanceGoal, ObservedInstance], ...] = ()
    to_stop: tuple[tuple[InstanceGoal, ObservedInstance], ...] = ()
    surplus: tuple[ObservedInstance, ...] = ()


UP = frozenset({InstanceState.RUNNING, InstanceState.RESTARTING, InstanceState.PAUSED})
DOWN = frozenset({InstanceState.CREATED, InstanceState.EXITED})


def diff_instances(desired: Desired, observed: Observation) -> InstanceDiff:
    """Compare goals with what runs, by name. A dead container is surplus and missing at once: removed, made again."""
    seen = {instance.name: instance for instance in observed.instances}
    goals = {goal.name: goal for goal in desired.instances}
    missing, to_start, to_restart, to_stop = [], [], [], []
    for name, goal in goals.items():
        instance = seen.get(name)
        if instance is None:
            missing.append(goal)
        elif goal.run is Run.STOPPED:
            if instance.state in UP:
                to_stop.append((goal, instance))
        elif instance.state in DOWN:
            to_start.append((goal, instance))
        elif goal.restart_of and goal.restart_of == instance.started_at:
            to_restart.append((goal, instance))
    surplus = [i for i in observed.instances if i.name not in goals or i.state is InstanceState.DEAD]
    return InstanceDiff(tuple(missing), tuple(to_start), tuple(to_restart), tuple(to_stop), tuple(surplus))


def routed_addresses(observed: Observation) -> frozenset[str]:
    """Addresses that the gateway may send requests to at this moment; what lives there must not be removed yet."""
    return frozenset(
        endpoint.address
        for goal in observed.gateway.routes
        for backend in goal.backends
        if backend.revision in goal.targets
        for endpoint in backend.endpoints
    )
