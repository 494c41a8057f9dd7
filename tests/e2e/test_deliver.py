"""A commit through its stages on a real engine, by command line: once, again, with a fault, killed mid-way."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.e2e.host import Host, until
from tests.e2e.repository import DOCKERFILE, Repository
from tests.engine import Engine

pytestmark = [pytest.mark.engine]


@pytest.fixture
def place(engine: Engine, tmp_path: Path) -> tuple[Host, Repository]:
    repository = Repository(tmp_path / "agent", engine.load("tidegate/base-busybox"))
    return Host(engine, tmp_path, repository.spec), repository


def stages(host: Host, number: str = "") -> dict[str, dict[str, object]]:
    told = host.tidegate("evidence", *([number] if number else []), "--json").data["delivery"]
    return {one["name"]: one for one in told["stages"]}


def builds(host: Host) -> bool:
    """Whether the build has begun."""
    try:
        return any(event["data"]["stage"] == "build" for event in host.events("stage"))
    except sqlite3.OperationalError:  # the state is not made yet
        return False


def test_a_commit_is_built_and_rolled_out_once(place: tuple[Host, Repository]) -> None:
    host, repository = place
    commit = repository.commit("1.0.0")
    done = host.tidegate("deliver")
    assert done.code == 0, done
    told = host.tidegate("evidence", "--json").data
    assert told["delivery"]["phase"] == "passed"
    assert told["delivery"]["commit"] == commit
    assert [one["name"] for one in told["delivery"]["stages"]] == ["source", "build", "rollout"]
    assert told["evidence"]["build"]["image"]["reference"] == f"web:0.0.0-{commit[:12]}"
    release = told["delivery"]["release"]
    assert host.tidegate("evidence", release[:6], "--json").data["delivery"] == told["delivery"]
    assert f"`{commit}`" in host.tidegate("evidence").out

    again = host.tidegate("deliver")
    assert again.code == 0, again
    assert "already runs exactly this" in again.out
    assert stages(host)["build"]["reused"] is True
    assert host.tidegate("evidence", "--json").data["delivery"]["release"] == release


def test_what_cannot_be_built_is_never_rolled_out(place: tuple[Host, Repository]) -> None:
    host, repository = place
    repository.write("Dockerfile", f"FROM {repository.base}\nRUN echo the disk is made of cheese && false\n")
    repository.commit("1.0.0")
    done = host.tidegate("deliver", "--json")
    assert done.code == 1, done
    problem = json.loads(done.err.splitlines()[-1])
    assert problem["title"] == "stage"
    assert "build failed" in problem["detail"]
    assert "the disk is made of cheese" in problem["detail"]
    assert stages(host)["rollout"]["state"] == "waiting"
    assert host.tidegate("status").code == 1, "nothing was ever deployed"


def test_one_stage_alone_rolls_nothing_out(place: tuple[Host, Repository]) -> None:
    host, repository = place
    repository.commit("1.0.0")
    done = host.tidegate("stage", "build", "--json")
    assert done.code == 0, done
    assert done.data["outcome"] == "pass"
    assert list(stages(host)) == ["source", "build"]
    assert host.tidegate("stage", "unheard-of").code == 2
    assert host.tidegate("status").code == 1


def test_a_killed_delivery_goes_on_at_the_unfinished_stage(place: tuple[Host, Repository]) -> None:
    host, repository = place
    repository.write("Dockerfile", DOCKERFILE.format(base=repository.base) + "RUN sleep 4\n")
    repository.commit("1.0.0")
    running = host.begin("deliver")
    until(lambda: builds(host))
    running.kill()
    serving = host.begin("serve")
    try:
        until(lambda: stages(host)["rollout"]["state"] == "passed")
    finally:
        serving.stop()
    begun = [e["because"] for e in host.events("stage") if e["data"]["stage"] == "source"]
    assert sum(because.startswith("begins") for because in begun) == 1, "source passed before, and is not run again"


def test_a_cancelled_delivery_ends(place: tuple[Host, Repository]) -> None:
    host, repository = place
    repository.write("Dockerfile", f"FROM {repository.base}\nRUN sleep 60\n")
    repository.commit("1.0.0")
    running = host.begin("deliver")
    until(lambda: builds(host))
    assert "build    running" in host.tidegate("status").out
    assert host.tidegate("cancel").code == 0
    done = running.wait()
    assert done.code == 1, done
    assert "cancelled by" in done.err
    assert host.tidegate("cancel").code == 1, "nothing is left to cancel"
