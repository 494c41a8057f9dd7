"""The drill in memory, through the command line: what was broken goes back, what was sound is undone, in time."""

import json
from pathlib import Path

import pytest

from tidegate.cli.app import run
from tidegate.model.errors import Exit
from tidegate.wiring import Toolbox

SPEC = "agent: web\nworkload: {image: 'web:1', deploy: {replicas: 2}}\nroutes: [{listen: 8080, target: 80}]\n"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_STATE", str(tmp_path / "t.db"))
    path = tmp_path / "tidegate.yaml"
    path.write_text(SPEC)
    return path


def test_the_way_back_is_rehearsed_and_measured(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Toolbox(), ["drill", "--simulate", "-f", str(spec), "--json"]) == Exit.DONE
    rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert all(row["good"] for row in rows.values())
    assert rows["break: execute / instances switched"]["limit_s"] == 60
    assert rows["undo: traffic switched"]["measured_s"] <= rows["undo: traffic switched"]["limit_s"]
    assert "port is already allocated" in rows["break: fault found"]["because"]


def test_a_check_that_takes_longer_than_its_time_fails_the_drill(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "[{check: verify, item: log error rate, timeout: 5s, limit: 0%}]"
    switch = "0.001s"
    spec.write_text(SPEC + f"rollback: {{monitor: {table}, switch_deadline: {switch}}}\n")
    assert run(Toolbox(), ["drill", "--simulate", "-f", str(spec), "--json"]) == Exit.ROLLED_BACK
    bad = [row["what"] for row in json.loads(capsys.readouterr().out) if not row["good"]]
    assert bad == ["undo: traffic switched"]


def test_nothing_is_broken_where_the_spec_does_not_allow_it(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Toolbox(), ["drill", "-f", str(spec)]) == Exit.USAGE
    assert "environments.default.drill: true" in capsys.readouterr().err
