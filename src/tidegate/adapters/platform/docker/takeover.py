"""Taking over a container that someone started by hand: what it means, said beforehand, and the taking itself.

The container is renamed to an instance's name and joins our network while it runs; nothing is restarted. Its labels
cannot be changed, so it is found again by its name. A port that it publishes stays its own until it is stopped.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.adopt import Adoption, read_adoption
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.network import Network
from tidegate.adapters.platform.docker.secrecy import save_secrets
from tidegate.adapters.platform.docker.translate import own_network
from tidegate.model.desired import instance_name
from tidegate.model.errors import ConflictError, EngineError, NotFoundError
from tidegate.model.release import AgentKey, Image
from tidegate.model.workload import PortProtocol, Workload

GATEWAY_S = 2.0
"""Allowed for the gateway to listen on a port that became free, in seconds."""


class Adopter:
    """Adopts containers of one engine."""

    def __init__(self, engine: Engine, network: Network, network_name: str = "tidegate") -> None:
        self._engine = engine
        self._network = network
        self._network_name = network_name

    async def read(self, container: str) -> Adoption:
        """The container as a workload. Raises NotFoundError, ConflictError when it is Tidegate's, UsageError."""
        async with self._engine.call(f"inspect {container}") as docker:
            facts = await docker.containers.container(container).show()
            image = await docker.images.inspect(str(facts["Image"]))
        if labels.is_ours(facts["Config"].get("Labels") or {}):
            raise ConflictError(f"{container} is an instance of Tidegate's already", hint="tidegate status shows it")
        return read_adoption(facts, image)

    async def take(self, adoption: Adoption, key: AgentKey, revision: int = 1, index: int = 0) -> str:
        """Join our network and rename; the instance's name. Doing it twice is harmless. Raises EngineError."""
        name = instance_name(key, revision, index)
        if own_network(adoption.workload):
            await self._join(adoption, name)
        if adoption.workload.restart == "always":
            # "always" starts again at a reboot what was stopped on purpose, and would then fight its successor.
            await self._restart_unless_stopped(adoption)
        async with self._engine.call(f"rename {adoption.container} to {name}") as docker:
            facts = await docker.containers.container(adoption.id).show()
            if str(facts["Name"]) != f"/{name}":
                await docker.containers.container(adoption.id).rename(name)
        return name

    async def give_back(self, adoption: Adoption) -> None:
        """Undo the taking: its former name, without our network. Raises EngineError."""
        async with self._engine.call(f"rename back {adoption.container}") as docker:
            await docker.containers.container(adoption.id).rename(adoption.container)
        with suppress(EngineError, NotFoundError):  # it may never have joined
            async with self._engine.call(f"disconnect {adoption.container}") as docker:
                network = await docker.networks.get(self._network_name)
                await network.disconnect({"Container": adoption.id})

    async def _join(self, adoption: Adoption, name: str) -> None:
        async with self._engine.call(f"inspect {adoption.container}") as docker:
            facts = await docker.containers.container(adoption.id).show()
        if self._network_name in (facts["NetworkSettings"].get("Networks") or {}):
            return
        address = await self._network.pick(name)
        async with self._engine.call(f"connect {adoption.container} to {self._network_name}") as docker:
            network = await docker.networks.get(self._network_name)
            await network.connect(
                {"Container": adoption.id, "EndpointConfig": {"IPAMConfig": {"IPv4Address": address}}}
            )

    async def _restart_unless_stopped(self, adoption: Adoption) -> None:
        async with self._engine.call(f"update {adoption.container}") as docker:
            policy = {"RestartPolicy": {"Name": "unless-stopped"}}
            await docker._query_json(f"containers/{adoption.id}/update", "POST", data=policy)


@dataclass(frozen=True)
class Takeover:
    """One container about to be adopted: what that means, and the doing of it. `folder` is where secrets are kept."""

    adopter: Adopter
    adoption: Adoption
    key: AgentKey
    folder: Path

    @property
    def lines(self) -> tuple[str, ...]:
        """What adopting means, one sentence a line."""
        return explain(self.adoption, self.key)

    @property
    def workload(self) -> Workload:
        """What runs, with references to its secrets."""
        return replace(self.adoption.workload, secrets=save_secrets(self.adoption.secrets, self.folder))

    @property
    def image(self) -> Image:
        """What it runs from."""
        return self.adoption.image

    async def take(self, revision: int) -> str:
        """Make it the instance of this revision; its name. Raises EngineError."""
        return await self.adopter.take(self.adoption, self.key, revision, index=1)

    async def give_back(self) -> None:
        """Undo the taking. Raises EngineError."""
        await self.adopter.give_back(self.adoption)


def explain(adoption: Adoption, key: AgentKey) -> tuple[str, ...]:
    """What adopting means, one sentence a line, with the downtime to come. Values of secrets are not in it."""
    workload = adoption.workload
    name = instance_name(key, 1, 1)
    lines = [f"container {adoption.container} ({adoption.image.reference}) becomes {name}; it is not restarted"]
    if adoption.secrets:
        lines.append(f"kept as secrets in files, not in the state: {', '.join(sorted(adoption.secrets))}")
    lines += [f"not carried over: {lost}" for lost in adoption.lost]
    if not own_network(workload):
        lines.append(f"network mode {workload.network_mode}: it gets no address of its own")
    lines += [
        f"port {p.host_port}/{p.protocol} goes on past the gateway, straight to the container" for p in workload.ports
    ]
    lines += [_downtime(workload, p.host_port) for p in workload.ports if p.protocol is PortProtocol.TCP]
    return tuple(lines)


def _downtime(workload: Workload, port: int) -> str:
    grace = workload.stop_grace_s
    return (
        f"to give port {port} to the gateway later, deliver a release with a route on it (routes: listen: {port}), "
        f"without the port, in place. Downtime of port {port}: up to about {grace + GATEWAY_S:g} s "
        f"({grace:g} s for the container to end, {GATEWAY_S:g} s for the gateway to listen), and until the release is "
        "ready"
    )
