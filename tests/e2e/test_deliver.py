"""From a git commit to a release on a real engine: source, build, release; the same commit again builds nothing."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import example_repo
from tests.engine import Engine
from tidegate.adapters.registry.builder import EngineBuilder
from tidegate.adapters.source.git import Git
from tidegate.adapters.store.opening import open_state
from tidegate.controller.clock import WallClock
from tidegate.model.event import Event
from tidegate.model.release import AgentKey
from tidegate.pipeline import deliver
from tidegate.spec import load_spec

pytestmark = [pytest.mark.engine]
KEY = AgentKey("logship", "prod")


async def test_a_commit_becomes_a_release_once(engine: Engine, tmp_path: Path) -> None:
    base = engine.load("tidegate/base-python")
    example_repo.make(tmp_path / "repo")
    spec = load_spec(tmp_path / "repo" / "tidegate.yaml", {"BASE": base})
    docker = engine.aiodocker()
    state = await open_state(str(tmp_path / "t.db"))
    tools = deliver.Tools(Git(cache=tmp_path / "git"), EngineBuilder(docker), state.journal, WallClock())
    told: list[Event] = []
    try:
        what = await deliver.plan(spec, KEY, "", tools.source)
        release = await deliver.make(spec, what, "tester", tools, told.append)
        began = time.monotonic()
        again = await deliver.make(spec, what, "tester", tools, told.append)
        took = time.monotonic() - began
    finally:
        await state.close()
        await docker.close()
    assert replace(again, provenance=release.provenance) == release
    assert took < 2
    labels = engine.api("GET", f"/images/{release.image.reference}/json")["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == what.commit.id
    assert labels["org.opencontainers.image.version"] == release.version == "1.0.0"
    assert release.image.reference == f"logship:1.0.0-{what.commit.id[:12]}"
    assert [e.data["stage"] for e in told] == ["source", "build", "release"] * 2
