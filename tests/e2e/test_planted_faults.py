"""A repository with one planted fault at a time, through all stages on a real engine: exactly one stage catches it."""

from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.e2e.repository import DOCKERFILE, SPEC, Repository
from tests.engine import Engine

pytestmark = [pytest.mark.engine]
# Made up for this test, and split so that no scanner takes this file itself for a leak.
KEY = "AKIA" + "QYLPMN5HFIQR7BBB"
TESTS = """mkdir -p out
echo '<testsuite name="shell"><testcase name="sums">' > out/junit.xml
[ "$(cat sum.txt)" = 4 ] || echo '<failure message="2 + 2 is not 4"/>' >> out/junit.xml
echo '</testcase></testsuite>' >> out/junit.xml
wget -T 2 -q -O - http://10.0.0.1/ && exit 9
! grep -q failure out/junit.xml
"""
STAGES = """stages:
  scan: true
  unit: {command: [sh, tests.sh], junit: out, memory: 64m, timeout: 60s}
  inspect: {max_size: 20m}
"""
FAULTS = {
    "scan": ("settings.ini", f"key = {KEY}\n"),
    "unit": ("sum.txt", "5\n"),
    "build": ("Dockerfile", "FROM {base} AS tools\n" + DOCKERFILE + "RUN false\n"),
    "inspect": ("Dockerfile", DOCKERFILE + "RUN dd if=/dev/zero of=/fat bs=1M count=24\n"),
}


@pytest.fixture
def repository(engine: Engine, tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "agent", engine.load("tidegate/base-busybox"))
    made.write("tidegate.yaml", SPEC + STAGES)
    made.write("tests.sh", TESTS)
    made.write("sum.txt", "4\n")
    return made


@pytest.mark.parametrize("stage", FAULTS)
def test_a_fault_is_caught_by_its_stage_and_by_no_other(
    stage: str, repository: Repository, engine: Engine, tmp_path: Path
) -> None:
    host = Host(engine, tmp_path, repository.spec)
    name, text = FAULTS[stage]
    repository.write(name, text.replace("{base}", repository.base))
    repository.commit("1.0.0")
    done = host.tidegate("deliver")
    assert done.code == 1, done
    assert f"{stage} failed: " in done.err
    assert KEY not in done.err + done.out
    told = host.tidegate("evidence", "--json").data["delivery"]
    states = {one["name"]: one["state"] for one in told["stages"]}
    assert states.pop(stage) == "failed"
    assert set(states.values()) <= {"passed", "waiting"}
    assert states["rollout"] == "waiting"


def test_a_clean_repository_goes_through_and_the_same_again_is_reused(
    repository: Repository, engine: Engine, tmp_path: Path
) -> None:
    host = Host(engine, tmp_path, repository.spec)
    repository.commit("1.0.0")
    done = host.tidegate("stage", "inspect")
    assert done.code == 0, done
    done = host.tidegate("deliver")
    assert done.code == 0, done
    told = host.tidegate("evidence", "--json").data
    stages = {one["name"]: one for one in told["delivery"]["stages"]}
    assert [name for name, one in stages.items() if one["reused"]] == ["build", "inspect"]
    assert {one["state"] for one in stages.values()} == {"passed"}
    assert told["evidence"]["unit"]["because"] == "1 tests: 1 passed"
    assert (host.state.parent / "papers" / "web").is_dir()
    assert engine.docker("ps", "-aq", "--filter", "label=dev.tidegate.delivery").strip() == ""
