"""What planners share: the difference between what should be and what is."""

from dataclasses import dataclass

from tidegate.model.desired import TOOLS, Desired, InstanceGoal, Run, TaskGoal
from tidegate.model.observation import (
    ImageState,
    InstanceState,
    Observation,
    ObservedInstance,
    ObservedTask,
    TaskState,
)
from tidegate.model.operation import PrepareTask, RemoveTask, StartTask, StopTask, TaskOperation


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
    """Compare goals with what runs, by name. A dead container, or one off our network, is surplus: it is made anew."""
    seen = {instance.name: instance for instance in observed.instances}
    goals = {goal.name: goal for goal in desired.instances}
    missing, to_start, to_restart, to_stop = [], [], [], []
    for name, goal in goals.items():
        instance = seen.get(name)
        if instance is None:
            missing.append(goal)
        elif instance.detached:
            continue
        elif goal.run is Run.STOPPED:
            if instance.state in UP:
                to_stop.append((goal, instance))
        elif instance.state in DOWN:
            to_start.append((goal, instance))
        elif goal.restart_of and goal.restart_of == instance.started_at:
            to_restart.append((goal, instance))
    surplus = [i for i in observed.instances if i.name not in goals or i.state is InstanceState.DEAD or i.detached]
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


def may_be_made(goal: InstanceGoal) -> bool:
    """Whether an instance that is missing is made: one that should run, or one to be ready. A kept one never is."""
    return goal.run is Run.RUNNING or goal.prepare


def plan_tasks(desired: Desired, observed: Observation) -> tuple[TaskOperation, ...]:
    """What leads from the tasks that are there to those that should be; the same on every platform.

    A task that should run and is not there is left alone: it was started, and what became of it is not known.
    """
    if not observed.reachable:
        return ()
    seen = {(task.release, task.name, task.attempt): task for task in observed.tasks}
    plan: list[TaskOperation] = []
    for goal in desired.tasks:
        task = seen.pop((goal.revision.release.id, goal.name, goal.attempt), None)
        if task is None:
            if goal.run is Run.STOPPED and _can_be_ready(goal, observed):
                plan.append(PrepareTask(desired.key, goal, goal.because))
        elif task.state is TaskState.READY and goal.run is Run.RUNNING:
            plan.append(StartTask(desired.key, goal, goal.because))
        elif task.state is TaskState.RUNNING and goal.run is Run.STOPPED:
            plan.append(StopTask(task.container, goal.because))
    return (*plan, *(_end(task) for task in seen.values()))


def _end(task: ObservedTask) -> TaskOperation:
    if task.state is TaskState.RUNNING:
        return StopTask(task.container, "nothing waits for it any more")
    return RemoveTask(task.container, "its result is stored" if task.state is not TaskState.READY else "not needed")


def _can_be_ready(goal: TaskGoal, observed: Observation) -> bool:
    present = {image.reference for image in observed.images if image.state is ImageState.PRESENT}
    return goal.call is not None or goal.runs == TOOLS or goal.runs.reference in present
