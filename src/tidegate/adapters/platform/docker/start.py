"""Starting an instance, and what only shows at its start: networks to join, a port or an address that is taken."""

import re
from typing import Any

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.network import Network, fixed_address
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.ports import explain_port
from tidegate.model.errors import ConflictError, EngineError, NotFoundError


class Starter:
    """Starts containers of one engine."""

    def __init__(self, engine: Engine, network: Network, options: DockerOptions) -> None:
        self._engine = engine
        self._network = network
        self._options = options

    async def start(self, name: str) -> None:
        """Start a container that exists; one that runs is left alone. Raises EngineError and its like."""
        async with self._engine.call(f"inspect {name}") as docker:
            facts = await docker.containers.container(name).show()
        await self._join(name, facts)
        try:
            await self._start_once(name)
        except NotFoundError as error:
            if not re.search(r"network \S+ not found", error.message):
                raise
            await self._rejoin(name, facts)
            await self._start_once(name)
        except EngineError as error:
            if explained := await explain_port(self._engine, name, error.message):
                raise explained from None
            if error.message.endswith("Address already in use"):
                raise await self._address_lost(name, facts) from None
            raise

    async def _start_once(self, name: str) -> None:
        async with self._engine.call(f"start {name}", self._options.start_deadline_s) as docker:
            await docker.containers.container(name).start()

    async def _rejoin(self, name: str, facts: dict[str, Any]) -> None:
        """Our network was removed while nothing ran on it: make it anew, with the container at its place in it."""
        self._network.forget()
        await self._network.ensure()
        endpoint = (facts["NetworkSettings"].get("Networks") or {}).get(self._options.network)
        async with self._engine.call(f"connect {name} to network {self._options.network}") as docker:
            config = {
                "IPAMConfig": {"IPv4Address": fixed_address(endpoint)},
                "Aliases": (endpoint or {}).get("Aliases"),
            }
            network = await docker.networks.get(self._options.network)
            await network.connect({"Container": name, "EndpointConfig": config})

    async def _address_lost(self, name: str, facts: dict[str, Any]) -> ConflictError:
        """Somebody took the fixed address while nothing reserved it. A container that never ran is made anew."""
        address = fixed_address((facts["NetworkSettings"].get("Networks") or {}).get(self._options.network))
        if facts["State"]["Status"] == "created":
            async with self._engine.call(f"remove {name}") as docker:
                await docker.containers.container(name).delete(v=True)
        return ConflictError(
            f"{name}: address {address} of network {self._options.network} is in use by another container",
            hint=f"docker network inspect {self._options.network} shows whose it is",
        )

    async def _join(self, name: str, facts: dict[str, Any]) -> None:
        """Join further networks before the start: the engine takes only one at creation below API 1.44."""
        listed = (facts["Config"].get("Labels") or {}).get(labels.NETWORKS, "")
        joined = facts["NetworkSettings"].get("Networks") or {}
        for wanted in (network for network in listed.split(",") if network and network not in joined):
            try:
                async with self._engine.call(f"connect {name} to network {wanted}") as docker:
                    await (await docker.networks.get(wanted)).connect({"Container": name})
            except NotFoundError:
                raise EngineError(
                    f"{name}: network {wanted} does not exist on this host", hint=f"docker network create {wanted}"
                ) from None
