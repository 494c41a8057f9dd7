"""What commands show, as text."""

from dataclasses import replace

from tidegate.model.event import Event, EventKind
from tidegate.model.machine import EngineFacts, MachineFacts, PortFact, StateFacts
from tidegate.model.observation import InstanceState, Observation, ObservedInstance
from tidegate.model.operation import RemoveInstance, StartGateway
from tidegate.model.release import AgentKey, Image, Release, Revision
from tidegate.model.rollout import AgentState, Hold, PauseKind, Phase, Rollout
from tidegate.model.spec import Analyse, Analysis, Canary, OnFail, Rollback, SetWeight
from tidegate.model.verdict import MetricVerdict, Outcome, Verdict
from tidegate.model.workload import Route, Workload
from tidegate.views.checkup import findings, usable
from tidegate.views.events import told
from tidegate.views.explain import explain, explanation_lines
from tidegate.views.history import history_lines, history_of
from tidegate.views.lines import Node, Span, ansi, line, plain, span_of, tree
from tidegate.views.plan import changes, plan_lines
from tidegate.views.status import status_lines, status_of

KEY = AgentKey("web", "prod")


def revision(number: int, version: str, **workload: object) -> Revision:
    runs = Workload(routes=(Route(80, 8080),), **workload)  # type: ignore[arg-type]
    release = Release(f"id{number}", "web", version, Image(f"web:{version}"), runs)
    return Revision(number, "prod", release, runs, created_at=100.0, by="ada")


def under_way(**more: object) -> AgentState:
    rollout = Rollout(
        id="r2",
        candidate=revision(2, "1.1.0"),
        strategy=Canary(steps=(SetWeight(10), Analyse(30.0))),
        analysis=Analysis(),
        rollback=Rollback(),
        started_at=100.0,
        phase=Phase.PROGRESSING,
        cursor=1,
        weight=10,
        because="watching for 30 s",
    )
    return AgentState(KEY, stable=revision(1, "1.0.0"), replicas=2, rollout=replace(rollout, **more))  # type: ignore[arg-type]


def instance(name: str, number: int, **more: object) -> ObservedInstance:
    facts = {"state": InstanceState.RUNNING, "address": "10.0.0.1", "ready": True, **more}
    return ObservedInstance(name, number, **facts)  # type: ignore[arg-type]


FAIL = Verdict(
    Outcome.FAIL,
    "errors: 9 errors in 100 requests",
    (MetricVerdict("errors", Outcome.FAIL, OnFail.ABORT, "errors: 9 errors in 100 requests"),),
)


def test_status_shows_tracks_instances_and_measurements() -> None:
    observed = Observation(
        130.0, instances=(instance("r1.1", 1), instance("r2.1", 2, ready=False, probe_detail="503", restart_count=2))
    )
    text = plain(status_lines(status_of(under_way(verdict=FAIL), observed, 130.0)))
    assert text == (
        "web.prod  2 instances wanted\n"
        "├─ rollout of revision 2 (1.1.0)  progressing  step 2 of 2 (analyse 30 s), for 30 s, asked by ada\n"
        "│  └─ watching for 30 s\n"
        "├─ stable  revision 1 (1.0.0)  90 %\n"
        "│  └─ r1.1  running  ready  10.0.0.1\n"
        "├─ canary  revision 2 (1.1.0)  10 %\n"
        "│  └─ r2.1  running  not ready  10.0.0.1, 2 restarts, 503\n"
        "└─ analysis  fail\n"
        "   └─ fail         errors: 9 errors in 100 requests"
    )


def test_status_of_a_pause_says_who_is_waited_for() -> None:
    hold = Hold(PauseKind.STEP, Phase.PROGRESSING, "step 1 waits")
    status = status_of(under_way(phase=Phase.PAUSED, hold=hold), None, 130.0)
    assert status.rollout is not None
    assert status.rollout.waits_for_person
    assert "waits for a person" in plain(status_lines(status))
    timed = status_of(under_way(phase=Phase.PAUSED, hold=replace(hold, until=200.0)), None, 130.0)
    assert "waits for a person" not in plain(status_lines(timed))


def test_status_says_that_the_engine_is_away_and_what_leaves() -> None:
    away = status_of(under_way(), Observation(1.0, reachable=False, detail="no answer"), 130.0)
    assert "the engine does not answer: no answer" in plain(status_lines(away))
    left = Observation(1.0, instances=(instance("r0.1", 0),))
    assert "leaving revision 0  0 %" in plain(status_lines(status_of(under_way(), left, 130.0)))


def test_explain_gives_verdict_log_and_timeline() -> None:
    fault = "errors: 9 errors in 100 requests\n    boom\n    bang"
    state = under_way(
        phase=Phase.ROLLED_BACK, fault=fault, because=f"rolled back: {fault}", verdict=FAIL, decided_at=107.0,
        ended_at=107.4, weight=0,
    )  # fmt: skip
    log = [
        Event(100.0, KEY, EventKind.INTENT, "begins", 2, {"by": "ada", "action": "deploy", "reason": ""}),
        *(Event(101.0 + n, KEY, EventKind.OPERATION, f"operation {n}") for n in range(7)),
        Event(107.0, KEY, EventKind.WEIGHT, fault, 2, {"from": 10, "to": 0}),
        Event(90.0, KEY, EventKind.NOTICE, "an older story", 1),
    ]
    story = explain(state, log)
    text = plain(explanation_lines(story))
    assert "revision 2 (1.1.0) was taken back after 7 s; revision 1 (1.0.0) serves" in text
    assert story.log == ("boom", "bang")
    assert "10 % -> 0 %" in text
    assert "operation 1" not in text
    assert "operation 6" in text
    assert "an older story" not in text
    assert "back to stable 0.4 s after the decision" in text


def test_explain_shows_the_log_of_what_waits_for_a_person_too() -> None:
    state = under_way(phase=Phase.PAUSED, because="r2.1 exited with 7; there is no way back\n    giving up")
    assert explain(state, []).log == ("giving up",)


def test_history_tells_each_end_and_marks_what_serves() -> None:
    end = Event(
        114.0, KEY, EventKind.PHASE, "rolled back: errors\n  log", 2, {"from": "reverting", "to": "rolled_back"}
    )
    rows = history_of([revision(1, "1.0.0"), revision(2, "1.1.0")], [end], under_way(phase=Phase.ROLLED_BACK))
    assert [(row.revision, row.end, row.serves) for row in rows] == [(1, "", True), (2, "rolled_back", False)]
    newest = plain(history_lines(rows)).split("\n")[1]
    assert "14 s" in newest
    assert newest.endswith("rolled back: errors")


def test_plan_hides_secrets_and_gives_causes() -> None:
    before = revision(1, "1.0.0", environment={"API_TOKEN": "old-value", "MODE": "a"})
    after = revision(2, "1.0.0", environment={"API_TOKEN": "new-value", "MODE": "b"})
    text = plain(
        plan_lines(
            (StartGateway("none runs"), RemoveInstance("r1.1", "no longer wanted")), changes(before, after), "", None
        )
    )
    assert "+ start gateway (none runs)" in text
    assert "- remove r1.1 (no longer wanted)" in text
    assert "MODE: a -> b" in text
    assert "value" not in text


def test_doctor_says_what_mends_and_when_it_is_unusable() -> None:
    engine = EngineFacts("", version="20.10", live_restore=False, cgroup="2")
    good = MachineFacts(engine, StateFacts("/s/t.db", folder="/s", mode=0o700))
    found = findings(good, None)
    assert usable(found)
    assert any(one.what == "live-restore" and "daemon.json" in one.mend for one in found)
    taken = findings(replace(good, ports=(PortFact(80, "another process"),)), None)
    assert not usable(taken)
    away = findings(replace(good, engine=EngineFacts("", problem="no answer")), None)
    assert not usable(away)
    assert all(one.mend for one in (*taken, *away) if one.grade == "missing")


def test_lines_and_trees() -> None:
    drawn = tree(Node(line("a"), (Node(line("b"), (Node(line("c")),)), Node(line("d")))))
    assert plain(drawn) == "a\n├─ b\n│  └─ c\n└─ d"
    assert ansi([line(Span("x", "red"), "y")]) == "\x1b[31mx\x1b[0my"
    assert [span_of(s) for s in (5, 60, 61, 3700, 200000)] == ["5 s", "1 min", "1 min 1 s", "1 h 1 min", "2 days"]


def test_a_change_of_weight_is_told_with_its_numbers() -> None:
    event = Event(1.0, KEY, EventKind.WEIGHT, "ready\nlog", 2, {"from": 0, "to": 10})
    assert told(event) == "0 % -> 10 %: ready"
