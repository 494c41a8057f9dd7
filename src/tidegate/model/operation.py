"""Operations: one call to an engine or a gateway each, with its cause. A plan is a tuple of them, and prints itself."""

from dataclasses import dataclass

from tidegate.model.desired import InstanceGoal, RouteGoal, TaskGoal
from tidegate.model.release import AgentKey, Image


@dataclass(frozen=True)
class PullImage:
    """Start pulling an image; not awaited, its state is observed."""

    image: Image
    because: str


@dataclass(frozen=True)
class RemoveImage:
    """Remove an image of ours. One that anything uses stays: the engine refuses, and that is the end of it."""

    image: Image
    because: str


@dataclass(frozen=True)
class CreateInstance:
    """Create a container (compare-and-set by name) on our network."""

    key: AgentKey
    goal: InstanceGoal
    because: str


@dataclass(frozen=True)
class StartInstance:
    """Start a container that exists."""

    name: str
    because: str


@dataclass(frozen=True)
class RestartInstance:
    """Stop (with grace) and start a container."""

    name: str
    grace_s: float
    because: str


@dataclass(frozen=True)
class StopInstance:
    """Stop a container with its own signal and grace."""

    name: str
    grace_s: float
    because: str


@dataclass(frozen=True)
class RemoveInstance:
    """Remove a container that is stopped, or that never ran."""

    name: str
    because: str


@dataclass(frozen=True)
class PrepareTask:
    """Make everything ready for run-to-completion work, so that it only has to be started."""

    key: AgentKey
    goal: TaskGoal
    because: str


@dataclass(frozen=True)
class StartTask:
    """Start run-to-completion work that is ready and never ran; not awaited, its state is observed."""

    key: AgentKey
    goal: TaskGoal
    because: str


@dataclass(frozen=True)
class StopTask:
    """Stop a task whose time is up."""

    name: str
    because: str


@dataclass(frozen=True)
class RemoveTask:
    """Remove a task's container after its result was stored, or when it was made ready in vain."""

    name: str
    because: str


@dataclass(frozen=True)
class StartGateway:
    """Make sure that the host's gateway container runs."""

    because: str


@dataclass(frozen=True)
class ApplyRoutes:
    """Hand the gateway an agent's routes (all of them); the gateway merges them with the other agents'."""

    key: AgentKey
    routes: tuple[RouteGoal, ...]
    because: str


PlatformOperation = (
    PullImage | RemoveImage | CreateInstance | StartInstance | RestartInstance | StopInstance | RemoveInstance
)
TaskOperation = PrepareTask | StartTask | StopTask | RemoveTask
GatewayOperation = StartGateway | ApplyRoutes
Operation = PlatformOperation | TaskOperation | GatewayOperation


def describe(operation: Operation) -> str:
    """One line for a person: what is done to what, and why."""
    match operation:
        case PullImage(image, because):
            what = f"pull {image.reference}"
        case RemoveImage(image, because):
            what = f"remove image {image.reference}"
        case CreateInstance(_, goal, because):
            what = f"create {goal.name}"
        case StartInstance(name, because):
            what = f"start {name}"
        case RestartInstance(name, _, because):
            what = f"restart {name}"
        case StopInstance(name, _, because):
            what = f"stop {name}"
        case RemoveInstance(name, because):
            what = f"remove {name}"
        case PrepareTask(_, task, because):
            what = f"make task {task.name} ready"
        case StartTask(_, task, because):
            what = f"run task {task.name}"
        case StopTask(name, because):
            what = f"stop task {name}"
        case RemoveTask(name, because):
            what = f"remove task {name}"
        case StartGateway(because):
            what = "start gateway"
        case ApplyRoutes(key, routes, because):
            what = f"route {key}: {_shares(routes)}"
    return f"{what} ({because})"


def _shares(routes: tuple[RouteGoal, ...]) -> str:
    if not routes:
        return "nothing"
    backends = routes[0].backends
    return ", ".join(f"r{backend.revision} {backend.weight} %" for backend in backends) or "no backend"
