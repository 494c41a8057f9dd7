"""What the loop and a dry turn share: what runs of an agent that nobody knows, and the operations that follow."""

from tidegate.core import recovery
from tidegate.model.decision import Decision
from tidegate.model.errors import TidegateError
from tidegate.model.observation import Observation
from tidegate.model.operation import GatewayOperation, PlatformOperation, TaskOperation
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState
from tidegate.ports import Gateway, Platform, Tasks

OnInstances = tuple[PlatformOperation | TaskOperation, ...]


async def found_here(state: AgentState, platform: Platform) -> tuple[Revision, ...] | None:
    """What runs of an agent of which the state knows nothing; None when that could not be asked."""
    if not recovery.is_blank(state):
        return ()
    try:
        return await platform.found(state.key)
    except TidegateError:
        return None


def plan(
    decision: Decision, observed: Observation, gateway: Gateway, platform: Platform, tasks: Tasks | None = None
) -> tuple[tuple[GatewayOperation, ...], OnInstances]:
    """The operations on traffic and on instances. None where nothing was ever decided: what runs there is not ours."""
    if recovery.is_blank(decision.state):
        return (), ()
    instances: OnInstances = platform.plan(decision.desired, observed)
    if tasks is not None:
        instances += tasks.plan(decision.desired, observed)
    return gateway.plan(decision.desired, observed), instances
