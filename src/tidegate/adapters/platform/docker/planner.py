"""The planner: desired minus observed gives operations. Pure; it imports only the model.

Order is the order in which the operations help: images, new instances, starts, restarts, stops, removals. Stopping and
removing the same instance are two ticks: what is removed has been seen stopped, and its log has been read.
An instance whose address the gateway still routes to is neither stopped nor removed: the gateway is told first.
"""

from tidegate.model.desired import Desired, InstanceGoal
from tidegate.model.diff import UP, InstanceDiff, diff_instances, may_be_made, routed_addresses
from tidegate.model.observation import ImageState, InstanceState, Observation, ObservedImage, ObservedInstance
from tidegate.model.operation import (
    CreateInstance,
    PlatformOperation,
    PullImage,
    RemoveImage,
    RemoveInstance,
    RestartInstance,
    StartInstance,
    StopInstance,
)
from tidegate.model.release import Image


def plan(desired: Desired, observed: Observation) -> tuple[PlatformOperation, ...]:
    """What to do to the instances of one agent on one host; nothing while the engine does not answer."""
    if not observed.reachable:
        return ()
    diff = diff_instances(desired, observed)
    routed = routed_addresses(observed)
    return (
        *_pulls(desired, observed),
        *_creations(desired, observed, diff),
        *_starts(diff),
        *_restarts(diff),
        *_stops(diff, routed),
        *_removals(diff, routed),
        *_image_removals(desired, observed, diff),
    )


def wanted_images(desired: Desired) -> tuple[Image, ...]:
    """The images that must be on the host: those asked for by name, and those of every instance; each once."""
    images = (*desired.images, *(goal.revision.release.image for goal in desired.instances))
    return tuple(dict.fromkeys(images))


def observed_image(image: Image, observed: Observation) -> ObservedImage | None:
    """What was seen of an image. The same reference with another content is another image."""
    for found in observed.images:
        if found.reference == image.reference and image.config_digest in ("", found.config_digest):
            return found
    return None


def _present(image: Image, observed: Observation) -> bool:
    found = observed_image(image, observed)
    return found is not None and found.state is ImageState.PRESENT


def _pulls(desired: Desired, observed: Observation) -> list[PlatformOperation]:
    return [
        PullImage(image, "not on this host")
        for image in wanted_images(desired)
        if observed_image(image, observed) is None
    ]


def _creations(desired: Desired, observed: Observation, diff: InstanceDiff) -> list[PlatformOperation]:
    return [
        CreateInstance(desired.key, goal, goal.because or desired.because or "wanted and not there")
        for goal in diff.missing
        # An instance that should exist stopped is kept, never made, except to be ready for its start.
        if may_be_made(goal) and _present(goal.revision.release.image, observed)
    ]


def _starts(diff: InstanceDiff) -> list[PlatformOperation]:
    return [StartInstance(goal.name, _why_start(goal, instance)) for goal, instance in diff.to_start]


def _why_start(goal: InstanceGoal, instance: ObservedInstance) -> str:
    if instance.state is InstanceState.CREATED:
        return goal.because or "created and not started"
    killed = ", killed for lack of memory" if instance.oom_killed else ""
    return f"should run and exited with {instance.exit_code}{killed}"


def _restarts(diff: InstanceDiff) -> list[PlatformOperation]:
    return [
        RestartInstance(
            goal.name, goal.revision.workload.stop_grace_s, goal.because or instance.probe_detail or "asked to restart"
        )
        for goal, instance in diff.to_restart
    ]


def _stops(diff: InstanceDiff, routed: frozenset[str]) -> list[PlatformOperation]:
    kept: list[PlatformOperation] = [
        StopInstance(goal.name, goal.revision.workload.stop_grace_s, goal.because or "should be stopped and kept")
        for goal, instance in diff.to_stop
        if instance.address not in routed
    ]
    surplus = [
        StopInstance(instance.name, instance.stop_grace_s, _why_gone(instance))
        for instance in diff.surplus
        if instance.state in UP and instance.address not in routed
    ]
    return [*kept, *surplus]


def _removals(diff: InstanceDiff, routed: frozenset[str]) -> list[PlatformOperation]:
    return [
        RemoveInstance(instance.name, _why_gone(instance))
        for instance in diff.surplus
        # What a person started by hand is stopped and left to that person.
        if instance.state not in UP and instance.address not in routed and not instance.adopted
    ]


def _why_gone(instance: ObservedInstance) -> str:
    if instance.detached:
        return "somebody took it off our network: it is made anew"
    return "dead" if instance.state is InstanceState.DEAD else "no longer wanted"


def _image_removals(desired: Desired, observed: Observation, diff: InstanceDiff) -> list[PlatformOperation]:
    """Images of ours that nothing needs: those that were seen, and nobody wants at the same time.

    Not before the last container that goes is gone: the engine gives no image away that one was made from.
    """
    if observed.tasks or any(not instance.adopted for instance in diff.surplus):
        return []
    wanted = {image.reference for image in wanted_images(desired)}
    return [
        RemoveImage(image, "no revision that is kept runs it")
        for image in desired.surplus_images
        if image.reference not in wanted and _present(image, observed)
    ]
