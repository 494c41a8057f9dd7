"""The environment's host, over the API: what commands look at and build. Operations are the server's to carry out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote

from tidegate.adapters.remote.client import Client, path_of
from tidegate.model import codec
from tidegate.model.desired import Desired
from tidegate.model.errors import UsageError
from tidegate.model.event import Event
from tidegate.model.observation import Observation, ObservedGateway, Traffic
from tidegate.model.operation import GatewayOperation, PlatformOperation
from tidegate.model.policy import Endpoint
from tidegate.model.release import AgentKey, Image, Revision


def place(environment: str) -> str:
    """The path of an environment."""
    return f"/v1/environments/{quote(environment, safe='')}"


@dataclass(frozen=True)
class RemotePlatform:
    """Platform, as far as commands use it: logs. What is seen comes with a preview."""

    client: Client

    async def logs(self, instance: str, lines: int) -> tuple[str, ...]:
        """The last lines of an instance's log. Raises NotFoundError."""
        found = await self.client.get(f"{path_of(owner(instance))}/logs", instance=instance, lines=lines)
        return tuple(one["line"] for one in found)

    async def follow(self, instance: str, lines: int) -> AsyncIterator[str]:
        """The last lines, then each new one until the server ends the stream."""
        path = f"{path_of(owner(instance))}/logs/stream"
        async for one in self.client.messages(path, instance=instance, lines=lines):
            yield one["line"]

    async def observe(self, desired: Desired) -> Observation:
        """Nothing is seen from here."""
        return Observation(0.0, reachable=False, detail="the server looks; ask it for a preview")

    def plan(self, desired: Desired, observed: Observation) -> tuple[PlatformOperation, ...]:
        """The server plans."""
        return ()

    async def execute(self, operation: PlatformOperation) -> None:
        """The server carries out."""
        _refuse()

    async def found(self, key: AgentKey) -> tuple[Revision, ...]:
        """The server looks."""
        return ()

    async def changed(self, key: AgentKey, timeout_s: float) -> bool:
        """The server waits."""
        return False

    async def close(self) -> None:
        """The client is closed with the books."""


@dataclass(frozen=True)
class RemoteGateway:
    """Gateway, and cli.toolbox's DataPlane."""

    client: Client
    environment: str

    async def observe(self, key: AgentKey) -> ObservedGateway:
        """Whether it runs."""
        found = await self.client.get(f"{place(self.environment)}/gateway")
        return ObservedGateway(running=found["running"], detail=found["detail"])

    async def agents(self) -> tuple[AgentKey, ...]:
        """Every agent that has routes in it."""
        found = await self.client.get(f"{place(self.environment)}/gateway")
        return tuple(codec.load(one, AgentKey) for one in found["agents"])

    async def outdated(self) -> bool:
        """Whether it was made from another image or other options than it would be made from now."""
        return bool((await self.client.get(f"{place(self.environment)}/gateway"))["outdated"])

    async def replace(self) -> int:
        """Replace it without a lost request; the number of long connections that were cut."""
        return int(await self.client.job(f"{place(self.environment)}/gateway/upgrade", {}))

    async def stop(self) -> int:
        """Drain and remove it; the number of long connections that were cut."""
        return int(await self.client.job(f"{place(self.environment)}/gateway/stop", {}))

    async def purge(self) -> None:
        """Remove what it left, the agents' network too."""
        await self.client.call("POST", f"{place(self.environment)}/gateway/purge", {})

    def fence(self, epoch: int) -> None:
        """No lease is ever ours."""

    def plan(self, desired: Desired, observed: Observation) -> tuple[GatewayOperation, ...]:
        """The server plans."""
        return ()

    async def execute(self, operation: GatewayOperation) -> None:
        """The server carries out."""
        _refuse()

    async def counters(self, key: AgentKey) -> dict[int, Traffic]:
        """The server measures."""
        return {}

    async def close(self) -> None:
        """The client is closed with the books."""


@dataclass(frozen=True)
class RemoteNotifier:
    """Notifier: the server resolves the secrets and makes the attempt."""

    client: Client

    async def deliver(self, endpoint: Endpoint, sequence: int, event: Event) -> None:
        """One attempt."""
        await self.client.call("POST", f"{path_of(event.key)}/notices/trial", {"endpoint": codec.dump(endpoint)})

    async def close(self) -> None:
        """The client is closed with the books."""


async def image(client: Client, environment: str, reference: str) -> Image:
    """An image as the server's host knows it."""
    return codec.load(await client.get(f"{place(environment)}/image", reference=reference), Image)


def owner(instance: str) -> AgentKey:
    """The agent of an instance (agent.environment.rREVISION.INDEX)."""
    agent, environment, *_ = instance.split(".")
    return AgentKey(agent, environment)


def _refuse() -> NoReturn:
    raise UsageError("with TIDEGATE_URL set the server decides, and nobody else", hint="unset TIDEGATE_URL")
