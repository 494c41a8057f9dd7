"""The memory platform and its gateway: ports.Platform and ports.Gateway over one World."""

from tidegate.adapters.platform.memory.clock import MemoryClock
from tidegate.adapters.platform.memory.planner import plan_gateway, plan_instances
from tidegate.adapters.platform.memory.world import Container, World
from tidegate.model.desired import Desired, RouteGoal
from tidegate.model.errors import EngineError, ImageError, NotFoundError
from tidegate.model.observation import (
    ImageState,
    InstanceState,
    Observation,
    ObservedGateway,
    ObservedImage,
    ObservedInstance,
    Traffic,
)
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
from tidegate.model.release import AgentKey, Revision
from tidegate.ports import Clock


class MemoryPlatform:
    """ports.Platform in memory."""

    def __init__(self, world: World, clock: Clock | None = None) -> None:
        self.world = world
        self._clock = clock or MemoryClock(world)

    async def observe(self, desired: Desired) -> Observation:
        """Facts about one agent."""
        world = self.world
        if not world.reachable:
            return Observation(world.now, reachable=False, detail="switched off")
        images = tuple(
            ObservedImage(i.reference, ImageState.PRESENT, i.config_digest, "", *world.labels(i.reference))
            if world.images.get(i.reference, "present") == "present"
            else ObservedImage(i.reference, ImageState.FAILED, detail=world.images[i.reference])
            for i in desired.images
        )
        gone = (i for i in desired.surplus_images if i.reference in world.removed)
        there = (i for i in desired.surplus_images if i.reference not in world.removed)
        images += tuple(ObservedImage(i.reference, ImageState.ABSENT) for i in gone)
        images += tuple(ObservedImage(i.reference, ImageState.PRESENT, i.config_digest) for i in there)
        mine = [c for c in world.containers.values() if c.key == desired.key]
        read = {goal.name for goal in desired.instances if goal.log_lines}
        return Observation(world.now, images=images, instances=tuple(self._observed(c, c.name in read) for c in mine))

    async def found(self, key: AgentKey) -> tuple[Revision, ...]:
        """What its containers were made from."""
        if not self.world.reachable:
            raise EngineError("switched off")
        mine = (c.revision for c in self.world.containers.values() if c.key == key)
        return tuple({revision.runs_as: revision for revision in mine}.values())

    def _observed(self, container: Container, read: bool) -> ObservedInstance:
        world = self.world
        running = container.state is InstanceState.RUNNING
        return ObservedInstance(
            container.name,
            container.revision.runs_as,
            container.state,
            address=container.address,
            started_at=str(container.started) if container.started else "",
            ready=world.ready(container) if running else None,
            live=world.alive(container) if running else None,
            exit_code=container.exit_code,
            oom_killed=container.oom_killed,
            restart_count=container.restart_count,
            last_log=self._log(container, read),
        )

    def _log(self, container: Container, read: bool) -> tuple[str, ...]:
        written = self.world.behaviour(container).log if read and container.state is InstanceState.RUNNING else ()
        exited = (f"{container.name} exited with {container.exit_code}",) if container.exit_code else ()
        return written + exited

    def plan(self, desired: Desired, observed: Observation) -> tuple[PlatformOperation, ...]:
        """Pure."""
        return plan_instances(desired, observed)

    async def execute(self, operation: PlatformOperation) -> None:
        """Apply to the world, atomically."""
        if not self.world.reachable:
            raise EngineError("switched off")
        self.world.calls += 1
        self.world.on_call("before", operation)
        self._apply(operation)
        self.world.on_call("after", operation)

    def _apply(self, operation: PlatformOperation) -> None:
        world = self.world
        match operation:
            case PullImage(image, _):
                world.images.setdefault(image.reference, "present")
            case RemoveImage(image, _):
                used = (c for c in world.containers.values() if c.revision.release.image.reference == image.reference)
                if user := next(used, None):
                    raise EngineError(f"image {image.reference} is in use by {user.name}")
                world.removed.add(image.reference)
            case CreateInstance(key, goal, _):
                if goal.name not in world.containers:
                    self._create(key, goal.name, operation)
            case StartInstance(name, _):
                if world.containers[name].state is not InstanceState.RUNNING:
                    world.start(name)
            case RestartInstance(name, _, _):
                world.start(name)
            case StopInstance(name, _, _):
                if name in world.containers:
                    world.containers[name].state = InstanceState.EXITED
                    world.containers[name].exit_code = 0
            case RemoveInstance(name, _):
                world.containers.pop(name, None)

    def _create(self, key: AgentKey, name: str, operation: CreateInstance) -> None:
        world, revision = self.world, operation.goal.revision
        behaviour = world.behaviours.get(revision.release.version)
        if behaviour is not None and behaviour.image != "present":
            raise ImageError(behaviour.image)
        if behaviour is not None and behaviour.refused:
            raise EngineError(behaviour.refused)
        world.addresses += 1
        world.containers[name] = Container(
            name, revision, key, f"10.0.{world.addresses // 250}.{world.addresses % 250}"
        )

    async def logs(self, instance: str, lines: int) -> tuple[str, ...]:
        """A line a start."""
        container = self.world.containers.get(instance)
        if container is None:
            raise NotFoundError(f"no instance {instance}")
        return tuple(f"start {n}" for n in range(1, container.started + 1))[-lines:]

    async def changed(self, key: AgentKey, timeout_s: float) -> bool:
        """Time passes, in the world alone or on the wall too."""
        await self._clock.sleep(timeout_s)
        return True

    async def close(self) -> None:
        """Nothing to let go of."""


class MemoryGateway:
    """ports.Gateway in memory."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def observe(self, key: AgentKey) -> ObservedGateway:
        """What was applied is applied at once."""
        return ObservedGateway(self.world.gateway_running, self._routes(key))

    def _routes(self, key: AgentKey) -> tuple[RouteGoal, ...]:
        return self.world.routes.get(key, ()) if self.world.gateway_running else ()

    def plan(self, desired: Desired, observed: Observation) -> tuple[GatewayOperation, ...]:
        """Pure."""
        return plan_gateway(desired, observed)

    async def execute(self, operation: GatewayOperation) -> None:
        """Apply to the world, atomically."""
        self.world.calls += 1
        self.world.on_call("before", operation)
        match operation:
            case StartGateway():
                self.world.gateway_running = True
            case ApplyRoutes(key, routes, _):
                self.world.routes[key] = routes
        self.world.on_call("after", operation)

    async def counters(self, key: AgentKey) -> dict[int, Traffic]:
        """Cumulative counts by revision."""
        return {number: count.traffic() for number, count in self.world.counts.get(key, {}).items()}

    def fence(self, epoch: int) -> None:
        """One world has one writer."""

    async def close(self) -> None:
        """Nothing to let go of."""
