"""An engine that is away is told as such by the gateway's adapter too, and not as a fault of ours."""

import aiodocker
import pytest

from tidegate.adapters.gateway.container import Options
from tidegate.adapters.gateway.envoy import EnvoyGateway
from tidegate.model.errors import EngineError
from tidegate.model.operation import StartGateway


async def test_a_start_without_an_engine_names_what_could_not_be_reached() -> None:
    docker = aiodocker.Docker("tcp://127.0.0.1:1")
    gateway = EnvoyGateway(docker, Options())
    try:
        with pytest.raises(EngineError, match=r"the gateway cannot be started: .*127\.0\.0\.1"):
            await gateway.execute(StartGateway("a test asks for it"))
    finally:
        await gateway.close()
        await docker.close()
