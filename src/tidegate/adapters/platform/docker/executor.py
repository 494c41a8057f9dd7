"""The executor: one operation, one call to the engine that changes something. It decides nothing.

Doing an operation twice is harmless: what is created already is looked at (same labels: fine), what is gone already is
fine to remove. Values of secrets go into the create call and nowhere else.
"""

import asyncio
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.images import find_image, remove_image
from tidegate.adapters.platform.docker.network import Network
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.pull import Puller
from tidegate.adapters.platform.docker.secrecy import scrubbed
from tidegate.adapters.platform.docker.start import Starter
from tidegate.adapters.platform.docker.translate import OTEL, Placement, create_body, own_network
from tidegate.model.errors import ConflictError, ImageError, NotFoundError, TidegateError, UsageError
from tidegate.model.operation import (
    CreateInstance,
    PlatformOperation,
    PullImage,
    RemoveImage,
    RemoveInstance,
    RestartInstance,
    StartInstance,
    StopInstance,
)
from tidegate.model.release import Image
from tidegate.ports import SecretSource

CALL_S = 10.0
"""Added to a grace: the engine's own time to stop a container."""


class Executor:
    """Carries out operations on one engine."""

    def __init__(
        self, engine: Engine, network: Network, puller: Puller, secrets: SecretSource, options: DockerOptions
    ) -> None:
        self._engine = engine
        self._network = network
        self._puller = puller
        self._secrets = secrets
        self._options = options
        self._addresses = asyncio.Lock()
        self._starter = Starter(engine, network, options)

    async def execute(self, operation: PlatformOperation) -> None:
        """Carry out one operation. Raises EngineError, ConflictError, or what the SecretSource raises."""
        match operation:
            case PullImage(image, _):
                self._puller.start(image)
            case RemoveImage(image, _):
                async with self._engine.call(f"remove image {image.reference}") as docker:
                    await remove_image(docker, image)
            case CreateInstance():
                await self._create(operation)
            case StartInstance(name, _):
                await self._starter.start(name)
            case RestartInstance(name, grace_s, _):
                async with self._engine.call(f"restart {name}", grace_s + CALL_S + self._options.start_deadline_s) as d:
                    await d.containers.container(name).restart(t=math.ceil(grace_s))
            case StopInstance(name, grace_s, _):
                await self._stop(name, grace_s)
            case RemoveInstance(name, _):
                await self._remove(name)

    async def _create(self, operation: CreateInstance) -> None:
        key, goal = operation.key, operation.goal
        placement = await self._place(operation)
        hidden = (*placement.secrets.values(), placement.token)
        # The lock covers choosing an address and creating its container: two at once would choose alike.
        async with self._addresses:
            if own_network(goal.revision.workload):
                address = await self._network.pick(goal.name)
                placement = replace(placement, network=self._options.network, address=address)
            body = create_body(key, goal, placement)
            _read_seccomp(body)
            try:
                async with self._engine.call(f"create {goal.name}") as docker:
                    await docker.containers.create(body, name=goal.name)
            except ConflictError:
                await self._check_same(goal.name, body["Labels"])
            except TidegateError as error:
                raise scrubbed(error, hidden) from None

    async def _place(self, operation: CreateInstance) -> Placement:
        goal = operation.goal
        image_id, attributes = await self._image(goal.revision.release.image)
        url = self._options.heartbeat_url
        if "{gateway}" in url:
            _, gateway = await self._network.ensure()
            # Another machine's network does not lead to us, nor does that of a virtual machine.
            url = url.replace("{gateway}", gateway) if self._engine.local and not self._engine.walled else ""
        return Placement(
            image=image_id,
            secrets=await self._secrets.resolve(goal.revision.workload),
            url=url,
            token=self._options.token_for(goal.name) if self._options.token_for and url else "",
            image_attributes=attributes,
        )

    async def _image(self, image: Image) -> tuple[str, str]:
        """The engine's id of the image, and the resource attributes that the image itself sets."""
        async with self._engine.call(f"inspect image {image.reference}") as docker:
            facts = await find_image(docker, image)
        if facts is None:
            raise ImageError(f"image {image.reference} {image.config_digest} is not on this host", hint="pull it first")
        variables = (facts.get("Config") or {}).get("Env") or ()
        ours = [str(pair).partition("=")[2] for pair in variables if str(pair).startswith(f"{OTEL}=")]
        return str(facts["Id"]), ours[0] if ours else ""

    async def _check_same(self, name: str, wanted: dict[str, str]) -> None:
        async with self._engine.call(f"inspect {name}") as docker:
            facts = await docker.containers.container(name).show()
        found = facts["Config"].get("Labels") or {}
        if labels.same_goal(found, wanted):
            return
        if labels.is_ours(found):
            raise ConflictError(f"{name} exists already and was made for another release or configuration")
        raise ConflictError(
            f"a container named {name} exists already and is not Tidegate's", hint=f"docker rename {name} NEW_NAME"
        )

    async def _stop(self, name: str, grace_s: float) -> None:
        try:
            async with self._engine.call(f"stop {name}", grace_s + CALL_S) as docker:
                await docker.containers.container(name).stop(t=math.ceil(grace_s))
        except NotFoundError:
            return

    async def _remove(self, name: str) -> None:
        try:
            async with self._engine.call(f"remove {name}", CALL_S + self._engine.deadline_s) as docker:
                # v: anonymous volumes go with the container; named ones stay.
                await docker.containers.container(name).delete(v=True)
        except NotFoundError:
            return
        except ConflictError as error:
            if "in progress" not in error.message:  # somebody else removes it: fine
                raise


def _read_seccomp(body: dict[str, Any]) -> None:
    """The command line sends a seccomp profile's content, not its path; so do we."""
    options: list[str] = body["HostConfig"].get("SecurityOpt") or []
    for index, option in enumerate(options):
        name, *rest = re.split("[=:]", option, maxsplit=1)
        value = "".join(rest)
        if name == "seccomp" and value not in ("unconfined", "builtin", "default") and not value.startswith("{"):
            try:
                options[index] = f"seccomp={Path(value).read_text()}"
            except OSError as error:
                raise UsageError(f"security_opt: seccomp profile {value}: {error.strerror}") from None
