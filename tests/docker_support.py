"""Goals, a platform on a private engine, and a loop in small: observe, plan, execute until something holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.engine import Engine as PrivateEngine
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.model.desired import Desired, InstanceGoal, Run, instance_name
from tidegate.model.errors import TidegateError
from tidegate.model.observation import Observation, ObservedInstance
from tidegate.model.operation import describe
from tidegate.model.release import AgentKey, Image, Release, Revision
from tidegate.model.workload import Workload
from tidegate.ports import Platform

KEY = AgentKey("shop", "prod")
BUSYBOX = "tidegate/base-busybox:latest"
DEADLINE_S = 30.0

SERVE = ("sh", "-c", "mkdir -p /www; echo ok > /www/ready; exec httpd -f -p 8080 -h /www")
"""Serves /ready on port 8080. httpd of busybox ends on SIGTERM by the trap below only, so tests give a short grace."""


class Secrets:
    """The values that a test gives; nothing is read from anywhere."""

    def __init__(self, **values: str) -> None:
        self.values = values

    async def resolve(self, workload: Workload) -> dict[str, str]:
        return {reference.variable: self.values[reference.variable] for reference in workload.secrets}


def revision(number: int = 1, workload: Workload | None = None, image: str = BUSYBOX, digest: str = "") -> Revision:
    """A revision of a release; version 1.N.0."""
    workload = workload or Workload(command=("sleep", "600"), stop_grace_s=0.0)
    release = Release(f"rel-{number}", KEY.agent, f"1.{number}.0", Image(image, digest), workload)
    return Revision(number, KEY.environment, release, workload)


def goals(revision: Revision, count: int = 1, run: Run = Run.RUNNING, restart_of: str = "") -> tuple[InstanceGoal, ...]:
    """Goals for the first `count` instances of a revision."""
    names = (instance_name(KEY, revision.number, index) for index in range(count))
    return tuple(InstanceGoal(name, revision, run, restart_of) for name in names)


def desired(*instances: InstanceGoal, images: Sequence[Image] = ()) -> Desired:
    return Desired(KEY, tuple(images), tuple(instances), because="test")


@asynccontextmanager
async def docker_platform(
    engine: PrivateEngine, secrets: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[DockerPlatform]:
    """A platform on a test's engine, on a subnet that the test can reach."""
    settings = DockerOptions(**{"subnet": engine.subnet(0), **options})
    platform = DockerPlatform(Engine(engine.url), Secrets(**(secrets or {})), settings)
    try:
        yield platform
    finally:
        await platform.close()


async def tick(platform: Platform, wanted: Desired) -> Observation:
    """One turn of the loop. Operations that fail are the next observation's matter."""
    observed = await platform.observe(wanted)
    outcomes = await asyncio.gather(
        *(platform.execute(operation) for operation in platform.plan(wanted, observed)), return_exceptions=True
    )
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, TidegateError):
            raise outcome
    return observed


async def drive(
    platform: Platform, wanted: Desired, until: Callable[[Observation], bool], deadline_s: float = DEADLINE_S
) -> Observation:
    """Turn until it holds."""
    end = time.monotonic() + deadline_s
    while True:
        observed = await tick(platform, wanted)
        if until(observed):
            return observed
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s; last seen: {observed}")
        await platform.changed(wanted.key, 0.2)


async def settle(platform: Platform, wanted: Desired, deadline_s: float = DEADLINE_S) -> Observation:
    """Turn until every running goal is ready and nothing is left to do."""
    running = {goal.name for goal in wanted.instances if goal.run is Run.RUNNING}

    def done(observed: Observation) -> bool:
        ready = {instance.name for instance in observed.instances if instance.ready}
        return observed.reachable and running <= ready and platform.plan(wanted, observed) == ()

    return await drive(platform, wanted, done, deadline_s)


def only(observed: Observation) -> ObservedInstance:
    """The one instance there is."""
    (instance,) = observed.instances
    return instance


def text(platform: Platform, wanted: Desired, observed: Observation) -> list[str]:
    """The plan as a person reads it."""
    return [describe(operation) for operation in platform.plan(wanted, observed)]
