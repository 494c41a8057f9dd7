"""Images from commits on a real engine."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engine import Engine
from tidegate.adapters.registry.builder import INPUTS, EngineBuilder
from tidegate.adapters.source.git import Git
from tidegate.core.releasing import image_labels, image_tag
from tidegate.model.errors import BuildError, UnreachableError, UsageError
from tidegate.model.source import BuildOptions

pytestmark = pytest.mark.engine

DOCKERFILE = """\
FROM tidegate/base-busybox AS first
ARG GREETING=hello
RUN echo "$GREETING" > /greeting && echo said
FROM first AS second
COPY . /app
CMD ["cat", "/greeting"]
"""


class Agent:
    """A repository with one agent in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git("init", "-q", "-b", "main")

    def commit(self, **files: str) -> None:
        for name, content in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self._git("add", "-A")
        self._git("-c", "user.name=alice", "-c", "user.email=a@example.org", "commit", "-qm", "Change it")

    def rename(self, name: str, to: str) -> None:
        target = self.folder / to
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).rename(target)

    async def archive(self) -> bytes:
        git = Git()
        return await git.archive(str(self.folder), await git.resolve(str(self.folder), "main"))

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    (tmp_path / "agent").mkdir()
    made = Agent(tmp_path / "agent")
    made.commit(Dockerfile=DOCKERFILE, main="1")
    return made


@pytest.fixture
async def builder(engine: Engine) -> AsyncIterator[EngineBuilder]:
    docker = engine.aiodocker()
    yield EngineBuilder(docker)
    await docker.close()


def output(engine: Engine, image: str, *command: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", image, *command).strip()


def inspect(engine: Engine, image: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.api("GET", f"/images/{image}/json")
    return found


async def test_a_commit_becomes_an_image_with_its_facts(engine: Engine, builder: EngineBuilder, agent: Agent) -> None:
    git, where = Git(), str(agent.folder)
    commit = await git.describe(where, await git.resolve(where, "main"))
    tag = image_tag("facts", "1.0.0", commit)
    labels = image_labels("facts", "https://example.org/facts", "1.0.0", commit)
    image = await builder.build(await git.archive(where, commit.id), tag, BuildOptions(labels=labels))
    found = inspect(engine, tag)
    assert image.reference == tag == f"facts:1.0.0-{commit.id[:12]}"
    assert image.config_digest == found["Id"]
    assert labels.items() <= found["Config"]["Labels"].items()
    assert output(engine, tag) == "hello"
    assert output(engine, tag, "cat", "/app/main") == "1"


async def test_the_same_inputs_are_built_once(engine: Engine, builder: EngineBuilder, agent: Agent) -> None:
    told: list[str] = []
    archive = await agent.archive()
    first = await builder.build(archive, "once:1", BuildOptions())
    again = await EngineBuilder(builder._docker, told.append).build(archive, "once:1", BuildOptions())
    assert again == first
    assert told == ["once:1 was built before from the same commit and options"]
    other = await builder.build(archive, "once:1", BuildOptions(args={"GREETING": "good morning"}))
    assert other.config_digest != first.config_digest
    assert output(engine, "once:1") == "good morning"


async def test_target_names_the_stage(engine: Engine, builder: EngineBuilder, agent: Agent) -> None:
    await builder.build(await agent.archive(), "stage:1", BuildOptions(target="first"))
    assert output(engine, "stage:1", "sh", "-c", "test -e /app || echo none") == "none"
    with pytest.raises(BuildError, match="third") as caught:
        await builder.build(await agent.archive(), "stage:2", BuildOptions(target="third"))
    assert "build.target" in caught.value.hint


async def test_dockerignore_takes_out_what_the_docker_command_takes_out(
    engine: Engine, builder: EngineBuilder, agent: Agent
) -> None:
    agent.commit(a="", b__c="", b__d__e="", secret__key="", docs__x="", docs__keep="", src__m__deep="", src__deep="")
    agent.rename("a", "a.md")
    agent.rename("b/c", "b/c.md")
    rules = "# comment\n*.md\nsecret\ndocs/*\n!docs/keep\n**/deep\n!src/deep\nDockerfile\n.dockerignore\n"
    (agent.folder / ".dockerignore").write_text(rules)
    agent.commit()
    await builder.build(await agent.archive(), "ignore:ours", BuildOptions())
    engine.docker("build", "-q", "-t", "ignore:theirs", str(agent.folder))
    listing = ("sh", "-c", "cd /app && find . -type f -not -path './.git/*' | sort")
    ours = output(engine, "ignore:ours", *listing)
    assert ours == output(engine, "ignore:theirs", *listing)
    assert "./b/c.md" in ours
    assert "key" not in ours


async def test_a_folder_can_be_the_context(engine: Engine, builder: EngineBuilder, agent: Agent) -> None:
    agent.commit(services__x__Dockerfile="FROM tidegate/base-busybox\nCOPY file /file\n", services__x__file="inner")
    options = BuildOptions(context="./services/x")
    await builder.build(await agent.archive(), "context:1", options)
    assert output(engine, "context:1", "cat", "/file") == "inner"
    for context, expected in (("services/y", "no services/y/Dockerfile"), ("../up", "outside of the repository")):
        with pytest.raises(BuildError, match=expected):
            await builder.build(await agent.archive(), "context:2", replace(options, context=context))


@pytest.mark.parametrize("tag", ["agent:latest", "agent", "agent:"])
async def test_a_tag_that_is_not_unique_is_refused(builder: EngineBuilder, agent: Agent, tag: str) -> None:
    with pytest.raises(UsageError):
        await builder.build(await agent.archive(), tag, BuildOptions())


@pytest.mark.parametrize(
    ("dockerfile", "expected", "hint"),
    [
        (
            "FROM tidegate/base-busybox\nRUN exec 2>&1; seq 1 80; echo broken >&2; exit 7\n",
            "returned a non-zero code: 7",
            "lines",
        ),
        ("FROM 127.0.0.1:9/base:1\n", "127.0.0.1:9", "docker load"),
        ("FROM tidegate/base-busybox\nRUN --mount=type=cache,target=/x true\n", "mount", "BuildKit"),
        ("FORM x\n", "unknown instruction: FORM", ""),
        ("FROM tidegate/base-busybox\nCOPY absent /x\n", "absent", ""),
    ],
)
async def test_a_failed_build_shows_its_last_lines(
    engine: Engine, builder: EngineBuilder, agent: Agent, dockerfile: str, expected: str, hint: str
) -> None:
    agent.commit(Dockerfile=dockerfile)
    with pytest.raises(BuildError) as caught:
        await builder.build(await agent.archive(), "broken:1", BuildOptions())
    assert expected in caught.value.message
    assert hint in caught.value.hint
    shown = [line for line in caught.value.message.splitlines() if line.startswith("  | ")]
    assert len(shown) <= 50
    if "seq" in dockerfile:
        assert len(shown) == 50
        assert shown[-3:-1] == ["  | 80", "  | broken"]
    assert "broken:1" not in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}")


async def test_a_build_that_hangs_ends_at_its_deadline(engine: Engine, builder: EngineBuilder, agent: Agent) -> None:
    agent.commit(Dockerfile="FROM tidegate/base-busybox\nRUN echo begun; sleep 300\n")
    began = time.monotonic()
    with pytest.raises(BuildError, match="no end within 2 s") as caught:
        await builder.build(await agent.archive(), "hangs:1", BuildOptions(deadline_s=2.0))
    assert time.monotonic() - began < 10
    assert "| begun" in caught.value.message
    deadline = time.monotonic() + 20
    while engine.containers() and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    assert engine.containers() == []


async def test_an_engine_that_goes_away_is_not_the_agents_fault(fresh_engine: Engine, agent: Agent) -> None:
    fresh_engine.load("tidegate/base-busybox")
    agent.commit(Dockerfile="FROM tidegate/base-busybox\nRUN echo begun; sleep 300\n")
    begun = asyncio.Event()
    docker = fresh_engine.aiodocker()
    builder = EngineBuilder(docker, lambda line: begun.set() if line == "begun" else None)
    building = asyncio.create_task(builder.build(await agent.archive(), "gone:1", BuildOptions()))
    await asyncio.wait_for(begun.wait(), 20)
    fresh_engine.kill()
    with pytest.raises(UnreachableError, match=r"went away|does not answer"):
        await asyncio.wait_for(building, 20)
    await docker.close()


async def test_where_no_engine_answers_the_error_says_so(tmp_path: Path, agent: Agent) -> None:
    from aiodocker import Docker

    docker = Docker(url=f"unix://{tmp_path}/none.sock")
    with pytest.raises(UnreachableError):
        await EngineBuilder(docker).build(await agent.archive(), "none:1", BuildOptions())
    await docker.close()


async def test_the_image_remembers_its_inputs(engine: Engine, builder: EngineBuilder, agent: Agent) -> None:
    await builder.build(await agent.archive(), "inputs:1", BuildOptions())
    before = inspect(engine, "inputs:1")
    agent.commit(main="2")
    await builder.build(await agent.archive(), "inputs:1", BuildOptions())
    after = inspect(engine, "inputs:1")
    assert before["Config"]["Labels"][INPUTS] != after["Config"]["Labels"][INPUTS]
    assert output(engine, "inputs:1", "cat", "/app/main") == "2"
