"""Adopting a container that someone started with docker run: it is not restarted, and its successor is like it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.docker_support import BUSYBOX, KEY, SERVE, desired, docker_platform, goals, only, revision, settle, tick
from tests.engine import Engine
from tidegate.adapters.platform.docker.secrecy import save_secrets
from tidegate.adapters.platform.docker.takeover import Adopter
from tidegate.model.desired import InstanceGoal
from tidegate.model.errors import ConflictError, NotFoundError
from tidegate.model.observation import InstanceState
from tidegate.model.release import Image, Release, Revision
from tidegate.model.workload import Workload

pytestmark = pytest.mark.engine

NAME = "shop.prod.r1.0"


def by_hand(engine: Engine, *more: str) -> None:
    """What a person typed."""
    engine.docker(
        *("run", "--detach", "--name", "web", "--restart", "always", "--publish", "18097:8080", "--memory", "64m"),
        *("--env", "MODE=fast", "--env", "DB_PASSWORD=hunter2", "--volume", "data:/data", "--stop-timeout", "1"),
        *more,
        BUSYBOX,
        *SERVE,
    )


def goal(workload: Workload, number: int) -> InstanceGoal:
    release = Release(f"rel-{number}", KEY.agent, f"1.{number}.0", Image(BUSYBOX), workload)
    return goals(Revision(number, KEY.environment, release, workload))[0]


async def test_an_adopted_container_runs_on_and_its_successor_is_like_it(engine: Engine, tmp_path: Path) -> None:
    by_hand(engine)
    before = engine.inspect("web")
    async with docker_platform(engine, {"DB_PASSWORD": "hunter2"}) as platform:
        adopter = Adopter(platform.engine, platform.network, "tidegate")
        adoption = await adopter.read("web")
        assert "hunter2" not in repr(adoption)
        assert await adopter.take(adoption, KEY) == NAME
        assert await adopter.take(adoption, KEY) == NAME, "twice is harmless"
        workload = replace(adoption.workload, secrets=save_secrets(adoption.secrets, tmp_path / "secrets"))
        seen = only(await settle(platform, desired(goal(workload, 1))))
        assert (seen.adopted, seen.revision, seen.id) == (True, 1, before["Id"])
        assert seen.started_at == before["State"]["StartedAt"], "adopted without a restart"
        assert seen.address == engine.container_address(NAME, "tidegate")

        successor = replace(workload, ports=())
        both = await settle(platform, desired(goal(workload, 1), goal(successor, 2)))
        assert [instance.adopted for instance in both.instances] == [True, False]
        last = await settle(platform, desired(goal(successor, 2)))
        assert [(i.name, i.state) for i in last.instances] == [
            (NAME, InstanceState.EXITED),
            ("shop.prod.r2.0", InstanceState.RUNNING),
        ], "the person's own container is stopped and kept"
    made = engine.inspect("shop.prod.r2.0")
    assert {"MODE=fast", "DB_PASSWORD=hunter2"} <= set(made["Config"]["Env"])
    assert [(m["Name"], m["Destination"]) for m in made["Mounts"]] == [("data", "/data")]
    assert made["HostConfig"]["Memory"] == 64 << 20
    assert made["Config"]["Cmd"] == before["Config"]["Cmd"]
    assert engine.inspect(NAME)["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


async def test_what_was_taken_can_be_given_back(engine: Engine) -> None:
    by_hand(engine)
    async with docker_platform(engine) as platform:
        adopter = Adopter(platform.engine, platform.network, "tidegate")
        adoption = await adopter.read("web")
        await adopter.take(adoption, KEY)
        await adopter.give_back(adoption)
        assert (await tick(platform, desired())).instances == ()
    facts = engine.inspect("web")
    assert facts["State"]["Running"]
    assert set(facts["NetworkSettings"]["Networks"]) == {"bridge"}


async def test_who_cannot_be_adopted(engine: Engine) -> None:
    async with docker_platform(engine) as platform:
        adopter = Adopter(platform.engine, platform.network, "tidegate")
        with pytest.raises(NotFoundError, match="web"):
            await adopter.read("web")
        await settle(platform, desired(*goals(revision())))
        with pytest.raises(ConflictError, match="already"):
            await adopter.read(NAME)
