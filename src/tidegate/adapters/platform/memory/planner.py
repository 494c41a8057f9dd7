"""Pure planners of the memory platform and its gateway."""

from tidegate.model.desired import Desired
from tidegate.model.diff import UP, diff_instances, may_be_made, routed_addresses
from tidegate.model.observation import ImageState, Observation
from tidegate.model.operation import (
    ApplyRoutes,
    CreateInstance,
    GatewayOperation,
    PlatformOperation,
    PullImage,
    RemoveImage,
    RemoveInstance,
    RestartInstance,
    StartGateway,
    StartInstance,
    StopInstance,
)


def plan_instances(desired: Desired, observed: Observation) -> tuple[PlatformOperation, ...]:
    """What leads from observed to desired, one call each. Empty when nothing can be known."""
    if not observed.reachable:
        return ()
    seen = {image.reference: image.state for image in observed.images}
    plan: list[PlatformOperation] = [
        PullImage(image, "it is not on the host") for image in desired.images if image.reference not in seen
    ]
    diff = diff_instances(desired, observed)
    plan += [
        CreateInstance(desired.key, goal, goal.because)
        for goal in diff.missing
        if may_be_made(goal) and seen.get(goal.revision.release.image.reference) is ImageState.PRESENT
    ]
    plan += [StartInstance(goal.name, f"it is {instance.state}") for goal, instance in diff.to_start]
    plan += [
        RestartInstance(goal.name, goal.revision.workload.stop_grace_s, "this incarnation should be over")
        for goal, _ in diff.to_restart
    ]
    busy = routed_addresses(observed)
    leaving = [(instance, goal.because) for goal, instance in diff.to_stop]
    leaving += [(instance, "nothing wants it any more") for instance in diff.surplus]
    for instance, because in leaving:
        if instance.state in UP and instance.address not in busy:
            plan.append(StopInstance(instance.name, 10.0, because))
    plan += [RemoveInstance(i.name, "nothing wants it any more") for i in diff.surplus if i.state not in UP]
    plan += [
        RemoveImage(image, "no revision that is kept runs it")
        for image in desired.surplus_images
        if seen.get(image.reference) is ImageState.PRESENT
    ]
    return tuple(plan)


def plan_gateway(desired: Desired, observed: Observation) -> tuple[GatewayOperation, ...]:
    """Start the gateway when there are routes; hand it the routes when they differ from what it applied."""
    gateway = observed.gateway
    if not observed.reachable or (not desired.routes and not gateway.routes):
        return ()
    if not gateway.running:
        return (StartGateway("the agent has routes and no gateway runs"),)
    if gateway.routes == desired.routes:
        return ()
    return (ApplyRoutes(desired.key, desired.routes, desired.because),)
