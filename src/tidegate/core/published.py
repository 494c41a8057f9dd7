"""Ports of the host that instances publish by themselves: the gateway cannot listen where one of them does. Pure.

A port passes between an agent's own instances and its gateway in place: whoever has it stops, then the other takes it.
"""

from collections.abc import Iterable, Sequence

from tidegate.core.refusal import RefusedError
from tidegate.model.desired import InstanceGoal, RouteGoal, Run
from tidegate.model.rollout import AgentState
from tidegate.model.spec import InPlace, Strategy
from tidegate.model.workload import PortProtocol, Workload


def published(workloads: Iterable[Workload]) -> frozenset[int]:
    """The TCP ports of the host that these publish past the gateway."""
    return frozenset(
        port.host_port
        for workload in workloads
        for port in workload.ports
        if port.host_port and port.protocol is PortProtocol.TCP
    )


def unhindered(routes: Sequence[RouteGoal], goals: Iterable[InstanceGoal]) -> tuple[RouteGoal, ...]:
    """The routes without those on a port that an instance which should run has for itself."""
    taken = published(goal.revision.workload for goal in goals if goal.run is Run.RUNNING)
    return tuple(goal for goal in routes if goal.route.listen not in taken)


def passing(state: AgentState, after: Workload, strategy: Strategy) -> str:
    """What a release does to the port that it hands over, with its downtime; empty where it hands over none.

    Raises RefusedError for a strategy that needs both beside each other.
    """
    if state.stable is None:
        return ""
    before = state.stable.workload
    to_gateway = published((before,)) & {route.listen for route in after.routes}
    from_gateway = published((after,)) & {route.listen for route in before.routes}
    if not to_gateway | from_gateway:
        return ""
    ports = " and ".join(f"port {port}" for port in sorted(to_gateway | from_gateway))
    whose = "its own instances to the gateway" if to_gateway else "the gateway to its own instances"
    grace = f"{before.stop_grace_s:g} s for revision {state.stable.title} to stop"
    if isinstance(strategy, InPlace):
        return f"{ports} passes from {whose}: downtime of up to {grace}, and until the new one is ready"
    raise RefusedError(
        f"{ports} passes from {whose}, and both cannot listen there at once: deliver this release with strategy "
        f"in_place (downtime of up to {grace}, and until the new one is ready), and the next ones as you like"
    )
