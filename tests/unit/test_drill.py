"""The drill in memory, through the command line: what was broken goes back, what was sound is undone, in time."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import KEY, QUICK, WATCH, release, workload
from tidegate.cli.app import run
from tidegate.core import drill, notices
from tidegate.model.errors import Exit
from tidegate.model.event import Event, EventKind
from tidegate.model.monitor import MONITOR, Grade, Row
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Rollback
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


def test_what_was_late_or_never_happened_is_not_good() -> None:
    base = workload()
    revision = Revision(2, "prod", release("1", base), base)
    late = Row(MONITOR[1], Grade.FAIL, 20.0, 80.0, "2 instances of the candidate still serve after 60 s")
    back = Rollout("r", revision, QUICK, WATCH, Rollback(), 10.0, Phase.ROLLED_BACK, monitor=(late,), decided_at=20.0)
    rows = drill.of_rollback(replace(back, ended_at=81.0))
    assert [(row.measured_s, row.good) for row in rows] == [(10.0, True), (61.0, True), (60.0, False)]
    assert not any(row.good for row in drill.of_rollback(replace(back, phase=Phase.PROMOTED)))
    event = Event(75.0, KEY, EventKind.WEIGHT, "", 2, {"to": 100})
    undone = replace(back, phase=Phase.PROMOTED, ended_at=90.0)
    assert [row.good for row in drill.of_undo(undone, [event], 60.0)] == [False, True]
    assert [row.good for row in drill.of_undo(replace(undone, phase=Phase.PAUSED), [], 60.0)] == [False, False]


def test_nothing_is_broken_where_the_spec_does_not_allow_it(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Toolbox(), ["drill", "-f", str(spec)]) == Exit.USAGE
    assert "environments.default.drill: true" in capsys.readouterr().err


def test_a_drills_own_ends_wake_nobody_and_its_result_is_told_and_kept() -> None:
    base = workload()
    revision = replace(Revision(2, "prod", release("1-broken", base), base), reason=drill.REASON)
    back = Rollout("r", revision, QUICK, WATCH, Rollback(), 10.0, Phase.ROLLED_BACK, ended_at=20.0)
    assert notices.of(AgentState(KEY), back, 20.0).data["drill"]
    assert not notices.of(AgentState(KEY), replace(back, candidate=replace(revision, reason="")), 20.0).data["drill"]
    rows = (drill.DrillRow("break: back on stable", 4.0, None, True), drill.DrillRow("undo: done", None, None, False))
    passed, failed = drill.told(KEY, rows[:1], 30.0), drill.told(KEY, rows, 30.0)
    assert (passed.data["end"], failed.data["end"]) == ("drill_passed", "drill_failed")
    assert passed.because == "Drill passed: agent.prod went back and was undone; slowest: break: back on stable, 4.0 s."
    assert failed.because == "Drill failed: agent.prod: undo: done: not seen in time."


def test_a_schedule_that_is_none_is_said(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Toolbox(), ["drill", "-f", str(spec), "--every", "daily"]) == Exit.USAGE
    assert "--every daily is no duration" in capsys.readouterr().err
