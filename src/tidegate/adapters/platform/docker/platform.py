"""The platform: ports.Platform on one Docker Engine, put together from its parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.events import ContainerEvent, EventStream
from tidegate.adapters.platform.docker.executor import Executor
from tidegate.adapters.platform.docker.logs import read_log
from tidegate.adapters.platform.docker.network import Network
from tidegate.adapters.platform.docker.observer import MemoryKills, Observer
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.planner import plan
from tidegate.adapters.platform.docker.probes import Prober
from tidegate.adapters.platform.docker.pull import Puller
from tidegate.adapters.platform.docker.remote import RemoteShell
from tidegate.model.desired import Desired
from tidegate.model.observation import Observation
from tidegate.model.operation import PlatformOperation
from tidegate.model.release import AgentKey, Revision
from tidegate.ports import SecretSource


class DockerPlatform:
    """One host. Make it inside a running event loop, and close it."""

    def __init__(
        self,
        engine: Engine,
        secrets: SecretSource,
        options: DockerOptions | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        options = options or DockerOptions()
        self.engine = engine
        self.network = Network(engine, options)
        self._options = options
        self._now = now
        self._signals: dict[AgentKey, asyncio.Event] = {}
        self._puller = Puller(engine, options, self._wake_all)
        self._shell = RemoteShell(engine, options.helper_image) if options.helper_image else None
        self._prober = Prober(engine, self._wake, self._shell)
        self._memory_kills = MemoryKills()
        self._observer = Observer(engine, self._prober, self._puller, self._memory_kills, options)
        self._executor = Executor(engine, self.network, self._puller, secrets, options)
        self._events = EventStream(engine, self._on_event, self._wake_all)

    async def observe(self, desired: Desired) -> Observation:
        """Facts about one agent. Never raises for an absent engine."""
        self._events.start()
        return await self._observer.observe(desired, self._now())

    def plan(self, desired: Desired, observed: Observation) -> tuple[PlatformOperation, ...]:
        """Pure: the operations that lead from observed towards desired."""
        return plan(desired, observed)

    async def execute(self, operation: PlatformOperation) -> None:
        """Carry out one operation; twice is harmless. Raises EngineError, ConflictError, NotFoundError."""
        await self._executor.execute(operation)

    async def logs(self, instance: str, lines: int) -> tuple[str, ...]:
        """The last lines of an instance's log. Raises NotFoundError."""
        return await read_log(self.engine, instance, lines, self._options.deadline_s)

    async def found(self, key: AgentKey) -> tuple[Revision, ...]:
        """The revisions that the agent's instances say they were made from. Raises EngineError."""
        return await self._observer.found(key)

    async def changed(self, key: AgentKey, timeout_s: float) -> bool:
        """Wait for an engine event, a probe that turned, a pull that ended or a link that broke; at most timeout_s."""
        self._events.start()
        signal = self._signals.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_s):
                await signal.wait()
        except TimeoutError:
            return False
        signal.clear()
        return True

    async def load(self, archive: bytes | AsyncIterator[bytes]) -> None:
        """Put images from an archive (`docker save`) on this host. Raises EngineError."""
        async with self.engine.call("load images", self._options.pull_silence_s * 5) as docker:
            await docker.images.import_image(archive)

    async def leave(self) -> None:
        """Remove what agents share on this host: the helper that puts probes, and our network unless it is in use."""
        if self._shell is not None:
            await self._shell.remove()
        await self.network.remove()

    async def close(self) -> None:
        """Let go of connections and tasks; instances run on."""
        await self._events.close()
        await self._prober.close()
        if self._shell is not None:
            await self._shell.close()
        await self._puller.close()
        await self.engine.close()

    def _wake(self, key: AgentKey) -> None:
        if signal := self._signals.get(key):
            signal.set()

    def _wake_all(self) -> None:
        for signal in self._signals.values():
            signal.set()

    def _on_event(self, event: ContainerEvent) -> None:
        attributes, name = event.attributes, event.attributes.get("name", "")
        if event.action == "oom":
            self._memory_kills.add(event.id)
        for key in self._signals:
            labelled = (attributes.get(labels.AGENT), attributes.get(labels.ENVIRONMENT))
            # Adopted containers have no labels, only a name of ours.
            if labelled == (key.agent, key.environment) or name.startswith(f"{key.fleet}.r"):
                self._wake(key)
