"""Our network: its subnet, and one fixed address for each instance.

Why fixed: a restart of the daemon hands out addresses of a bridge anew, and the gateway would talk to the wrong agent.
The engine reserves an address only while its container runs, so those of stopped containers are read from their
configuration. An instance's place follows from its name: made again after it was removed by hand, it comes back at the
address that the gateway knows, and another name hardly ever gets an address that was in use a moment ago.
"""

import asyncio
import hashlib
import ipaddress
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.options import SUBNETS, DockerOptions
from tidegate.model.errors import EngineError, NotFoundError


def dynamic_range(subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    """The top quarter of the subnet, for containers that join the network without a fixed address."""
    return list(subnet.subnets(prefixlen_diff=2))[3]


def pick_address(name: str, subnet: ipaddress.IPv4Network, taken: Collection[str]) -> str:
    """A free address below the dynamic range, starting at a place that follows from the name. Raises EngineError."""
    first = int(subnet.network_address) + 2  # .0 is the network, .1 its gateway
    count = int(dynamic_range(subnet).network_address) - first
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % count
    for step in range(count):
        address = str(ipaddress.IPv4Address(first + (start + step) % count))
        if address not in taken:
            return address
    raise EngineError(
        f"no free address in {subnet}: {count} are in use by containers, stopped ones included",
        hint="remove stopped containers that nobody needs, or configure a larger subnet",
    )


def fixed_address(settings: Mapping[str, Any] | None) -> str:
    """The address that a container has, or will have once started, in one network."""
    if not settings:
        return ""
    return str(settings.get("IPAddress") or (settings.get("IPAMConfig") or {}).get("IPv4Address") or "")


def taken_addresses(containers: Iterable[Mapping[str, Any]], network: str) -> set[str]:
    """Addresses in our network that any container, running or not, has or will have."""
    found = (fixed_address((c.get("NetworkSettings") or {}).get("Networks", {}).get(network)) for c in containers)
    return {address for address in found if address}


class Network:
    """Our network on one engine; made when first needed."""

    def __init__(self, engine: Engine, options: DockerOptions) -> None:
        self._engine = engine
        self._options = options
        self._known: tuple[ipaddress.IPv4Network, str] | None = None
        self._making = asyncio.Lock()

    def forget(self) -> None:
        """Look at the engine again next time: somebody removed the network."""
        self._known = None

    async def ensure(self) -> tuple[ipaddress.IPv4Network, str]:
        """Subnet and gateway address of our network, which is made if it is not there."""
        if self._known is not None:
            return self._known
        # One at a time: two that make it at once overlap with each other.
        async with self._making, self._engine.call(f"network {self._options.network}") as docker:
            found = await self._find(docker)
            if found is None:
                await self._create(docker)
                found = await self._find(docker)
        if found is None:
            raise NotFoundError(f"network {self._options.network} vanished right after it was made")
        self._known = found
        return found

    async def remove(self) -> None:
        """Remove our network; one that others still use stays. Raises EngineError."""
        async with self._engine.call(f"network {self._options.network}") as docker:
            with suppress(DockerError):
                network = await docker.networks.get(self._options.network)
                await network.delete()
        self.forget()

    async def host_address(self) -> str | None:
        """Where this machine is reached from our network; None while there is none, or on another machine's engine.

        Asks the engine each time: somebody may have made the network anew. Raises EngineError.
        """
        if not self._engine.local:
            return None
        async with self._engine.call(f"network {self._options.network}") as docker:
            found = await self._find(docker)
        return found[1] if found and not self._engine.walled else None

    async def pick(self, name: str) -> str:
        """A free fixed address for an instance. Hold the host's lock until the container was created."""
        subnet, gateway = await self.ensure()
        async with self._engine.call("list containers") as docker:
            containers = [c._container for c in await docker.containers.list(all=True)]
        return pick_address(name, subnet, {gateway, *taken_addresses(containers, self._options.network)})

    async def _find(self, docker: Docker) -> tuple[ipaddress.IPv4Network, str] | None:
        try:
            network = await docker.networks.get(self._options.network)
            facts = await network.show()
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        for pool in facts["IPAM"]["Config"] or []:
            subnet = ipaddress.ip_network(pool["Subnet"], strict=False)
            if isinstance(subnet, ipaddress.IPv4Network):
                return subnet, str(pool.get("Gateway") or subnet.network_address + 1).partition("/")[0]
        raise EngineError(
            f"network {self._options.network} has no IPv4 subnet of its own",
            hint=f"docker network rm {self._options.network}: Tidegate makes it anew",
        )

    async def _create(self, docker: Docker) -> None:
        subnets = (self._options.subnet,) if self._options.subnet else SUBNETS
        for subnet in subnets:
            try:
                await docker.networks.create(self._body(ipaddress.IPv4Network(subnet)))
                return
            except DockerError as error:
                if error.status == 409:  # somebody else made it meanwhile
                    return
                if "overlap" not in error.message.lower():
                    raise
        raise EngineError(
            f"network {self._options.network}: {', '.join(subnets)} overlap with other networks of this engine",
            hint="configure a subnet that is free on this host; docker network ls and inspect show those in use",
        )

    def _body(self, subnet: ipaddress.IPv4Network) -> dict[str, Any]:
        pool = {
            "Subnet": str(subnet),
            "Gateway": str(subnet.network_address + 1),
            "IPRange": str(dynamic_range(subnet)),
        }
        return {
            "Name": self._options.network,
            "Driver": "bridge",
            "CheckDuplicate": True,
            "IPAM": {"Driver": "default", "Config": [pool]},
            "Labels": {labels.KIND: labels.NETWORK},
        }
