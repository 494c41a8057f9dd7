"""A server's state and host, reached by TIDEGATE_URL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from tidegate.adapters.remote.books import RemoteBooks
from tidegate.adapters.remote.client import Client, path_of
from tidegate.adapters.remote.site import RemoteGateway, RemoteNotifier, RemotePlatform, image
from tidegate.adapters.source.git import Git
from tidegate.controller.clock import WallClock
from tidegate.controller.loop import Ports
from tidegate.controller.preview import Preview
from tidegate.controller.site import Books, Site, Takeover
from tidegate.model import codec
from tidegate.model.errors import UsageError
from tidegate.model.intent import Action, Intent
from tidegate.model.release import AgentKey, Image
from tidegate.model.spec import Environment
from tidegate.ports import SourceControl


def remote_site(books: Books, environment: Environment) -> Site:
    """The host of a server. What only a controller needs of it is not there."""
    assert isinstance(books, RemoteBooks)
    client = books.client
    ports = Ports(
        RemotePlatform(client),
        RemoteGateway(client, environment.name),
        books.store,
        books.journal,
        WallClock(),
        switches=books.switches,
        outbox=books.outbox,
        notifier=RemoteNotifier(client),
    )
    return RemoteSite(ports, client, environment.name)


@dataclass
class RemoteSite:
    """cli.toolbox.Site of a server."""

    ports: Ports
    client: Client
    environment: str

    @property
    def data_plane(self) -> RemoteGateway:
        """The gateway, beyond its port."""
        return RemoteGateway(self.client, self.environment)

    async def preview(self, key: AgentKey, intents: tuple[Intent, ...] = (), probes_s: float = 0.0) -> Preview:
        """One dry turn on the server."""
        asked = codec.dump(intents[0].action, Action) if intents else None
        body = {"action": asked, "probes_s": min(probes_s, 5.0)}
        query = {"host": key.host} if key.host else None
        return codec.load(await self.client.call("POST", f"{path_of(key)}/preview", body, query), Preview)

    async def backups(self, key: AgentKey, backup: str = "", volumes: tuple[str, ...] = ()) -> tuple[str, ...]:
        """What a task on the server's host says."""
        return tuple(await self.client.get(f"{path_of(key)}/backups", backup=backup, volume=list(volumes)))

    async def forget_network(self) -> None:
        """It goes with the gateway's purge."""

    async def owner(self, container: str) -> AgentKey | None:
        """A container is looked at where it runs."""
        await self.takeover(container, AgentKey("", self.environment))
        return None

    async def takeover(self, container: str, key: AgentKey) -> Takeover:
        """A container is taken over where it runs."""
        raise UsageError(
            f"{container} is adopted on the machine that it runs on",
            hint="run tidegate adopt there, without TIDEGATE_URL",
        )

    async def image(self, reference: str) -> Image:
        """The image as the server's host has it."""
        return await image(self.client, self.environment, reference)

    def source(self) -> SourceControl:
        """git here, to say what a delivery would be; the server has its own."""
        return Git()

    def follow(self, instance: str, lines: int) -> AsyncIterator[str]:
        """The log as it is written."""
        return RemotePlatform(self.client).follow(instance, lines)

    async def close(self) -> None:
        """The client is closed with the books."""
