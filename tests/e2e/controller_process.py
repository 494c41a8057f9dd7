"""A controller in a process of its own, so that a test can kill it.

python -m tests.e2e.controller_process URL SUBNET DATABASE
"""

import asyncio
import sys

from tests.e2e.real import NoSecrets
from tidegate.adapters.gateway.envoy import EnvoyGateway
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.adapters.platform.docker.tasks import DockerTasks
from tidegate.adapters.store.opening import open_state
from tidegate.adapters.tasks import AllTasks
from tidegate.controller.clock import WallClock
from tidegate.controller.controller import Controller
from tidegate.controller.lease import Lease
from tidegate.controller.loop import Ports


async def main(url: str, subnet: str, database: str) -> None:
    """Decide until killed."""
    state, client = await open_state(database), Engine(url)
    options = DockerOptions(subnet=subnet)
    platform = DockerPlatform(client, NoSecrets(), options)
    tasks = AllTasks(DockerTasks(client, NoSecrets(), options, platform.network))
    async with client.call("connect") as docker:
        gateway = EnvoyGateway(docker)
    ports = Ports(platform, gateway, state.store, state.journal, WallClock(), tasks=tasks)
    lease = await Lease.take(state.lease, ports.clock, "to-be-killed", wait_s=20.0)
    await Controller(ports, lease).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
