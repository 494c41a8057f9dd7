"""unit on a real engine: a planted fault is caught by this stage and by no other."""

from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.e2e.repository import SPEC, Repository
from tests.engine import Engine

pytestmark = [pytest.mark.engine]
TESTS = """mkdir -p out
echo '<testsuite name="shell"><testcase name="sums">' > out/junit.xml
[ "$(cat sum.txt)" = 4 ] || echo '<failure message="2 + 2 is not 4"/>' >> out/junit.xml
echo '</testcase></testsuite>' >> out/junit.xml
wget -T 2 -q -O - http://10.0.0.1/ && exit 9
! grep -q failure out/junit.xml
"""
STAGES = "stages:\n  unit: {command: [sh, tests.sh], junit: out, memory: 64m, timeout: 60s}\n"


def test_a_failing_test_is_caught_and_a_mended_one_lets_the_release_go(engine: Engine, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "agent", engine.load("tidegate/base-busybox"))
    host = Host(engine, tmp_path, repository.spec)
    repository.write("tidegate.yaml", SPEC + STAGES)
    repository.write("tests.sh", TESTS)
    repository.write("sum.txt", "5\n")
    repository.commit("1.0.0")
    done = host.tidegate("deliver")
    assert done.code == 1, done
    assert "unit failed: 1 of 1 tests failed: sums" in done.err
    told = host.tidegate("evidence", "--json").data
    states = {one["name"]: one["state"] for one in told["delivery"]["stages"]}
    assert states == {"source": "passed", "unit": "failed", "build": "passed", "rollout": "waiting"}
    assert told["evidence"]["unit"]["cases"][0]["detail"] == "2 + 2 is not 4"
    (log,) = (host.state.parent / "papers" / "web").glob("unit-*/out-junit.xml")
    assert "<failure" in log.read_text()

    repository.write("sum.txt", "4\n")
    repository.commit("1.0.1")
    assert host.tidegate("stage", "unit").code == 0
    again = host.tidegate("stage", "unit", "--json")
    assert again.code == 0, again
    assert again.data["because"] == "1 tests: 1 passed"
    assert "reused" in again.err
    assert engine.docker("ps", "-aq", "--filter", "label=dev.tidegate.delivery").strip() == ""
