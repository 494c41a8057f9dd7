"""Alerts step by step: pending, firing, over; windows; what speaks against a release."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.memory import KEY, QUICK, WATCH, release, workload
from tidegate.core.alerts import accusing, stepping
from tidegate.core.alerts.told import tell
from tidegate.core.alerts.windows import Windows, mean_ms
from tidegate.model.alerting import (
    ALERTMANAGER,
    SHIPPED,
    Alert,
    Alerting,
    AlertPhase,
    AlertRule,
    Episode,
    Fold,
    OnAlert,
    Severity,
    Signal,
    signal_name,
)
from tidegate.model.decision import Facts
from tidegate.model.event import Event
from tidegate.model.intent import TellAlert
from tidegate.model.observation import Block, InstanceState, Observation, ObservedInstance, Traffic
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Rollback

ONE = "agent.prod.r1.1"
CPU = AlertRule("cpu", "stats", "cpu_share", above=0.85, clear=0.7, for_s=300.0, keep_firing_s=60.0)
BEAT = next(rule for rule in SHIPPED if rule.name == "heartbeat_missed")


class Watch:
    """One rule about one instance, looked at again and again."""

    def __init__(self, rule: AlertRule) -> None:
        self.state = AgentState(KEY, alerting=Alerting((rule,)))
        self.rule = rule
        self.events: list[Event] = []

    def look(self, now: float, value: float | None, there: bool = True, resumed: bool = False) -> AlertPhase | None:
        instances = (ObservedInstance(ONE, 1, InstanceState.RUNNING),) if there else ()
        signals: Mapping[str, Signal] = {} if value is None else {ONE: Signal(value, 1)}
        facts = Facts(now, Observation(now, instances=instances), signals={self.rule.name: signals}, resumed=resumed)
        self.state, events = stepping.watch(self.state, facts)
        self.events += events
        return self.state.alerts[0].phase if self.state.alerts else None


def test_it_fires_after_for_and_ends_after_it_was_clear_for_long_enough() -> None:
    watch = Watch(CPU)
    assert watch.look(0, 0.5) is None
    assert watch.look(10, 0.9) is AlertPhase.PENDING
    assert stepping.next_look(watch.state) == 310
    assert watch.look(309, 0.9) is AlertPhase.PENDING
    assert watch.look(310, 0.95) is AlertPhase.FIRING
    assert [event.data["end"] for event in watch.events] == ["alert_firing"]
    assert watch.events[0].because == (
        "warning alert cpu of agent.prod.r1.1 of agent.prod fires: 0.95 (cpu_share > 0.85 for 300 s)"
    )
    assert watch.look(320, 0.8) is AlertPhase.FIRING  # below the limit, and not clear yet
    assert watch.look(330, 0.6) is AlertPhase.FIRING
    assert watch.look(380, 0.75) is AlertPhase.FIRING  # not clear: it begins anew
    assert watch.look(390, 0.6) is AlertPhase.FIRING
    assert watch.look(449, 0.6) is AlertPhase.FIRING
    assert watch.look(450, 0.6) is AlertPhase.RESOLVED
    assert [event.data["end"] for event in watch.events] == ["alert_firing", "alert_resolved"]
    assert watch.state.alerts[0].past == (Episode(10, 450),)
    assert watch.look(450 + 3601, 0.6) is None


def test_one_good_look_ends_what_is_pending() -> None:
    watch = Watch(CPU)
    assert watch.look(0, 0.9) is AlertPhase.PENDING
    assert watch.look(200, 0.8) is None
    assert watch.look(210, 0.9) is AlertPhase.PENDING
    assert watch.look(310, 0.9) is AlertPhase.PENDING
    assert watch.events == []


def test_a_heartbeat_missed_twice_in_a_row() -> None:
    watch = Watch(BEAT)
    assert watch.look(30, 30.0) is None
    assert watch.look(31, 31.0) is AlertPhase.PENDING
    assert watch.look(50, 1.0) is None  # it came after all
    assert watch.look(81, 31.0) is AlertPhase.PENDING
    assert watch.look(110, 60.0) is AlertPhase.PENDING  # the second look is 30 s after the first
    assert watch.look(111, 61.0) is AlertPhase.FIRING
    assert watch.look(112, 0.5) is AlertPhase.RESOLVED


def test_no_data_neither_fires_nor_ends_anything_for_a_while() -> None:
    watch = Watch(replace(CPU, for_s=10.0))
    watch.look(0, 0.9)
    assert watch.look(20, None) is AlertPhase.PENDING
    assert watch.look(21, 0.9) is AlertPhase.FIRING
    assert watch.look(30, None) is AlertPhase.FIRING
    assert watch.look(629, None) is AlertPhase.FIRING
    assert watch.look(630, None) is AlertPhase.RESOLVED
    assert "no data for 600 s" in watch.events[-1].because


def test_what_nobody_watched_does_not_count_and_does_not_make_it_younger() -> None:
    watch = Watch(CPU)
    watch.look(0, 0.9)
    assert watch.look(1000, 0.9, resumed=True) is AlertPhase.PENDING
    assert watch.look(1299, 0.9) is AlertPhase.PENDING
    assert watch.look(1300, 0.9) is AlertPhase.FIRING
    assert watch.state.alerts[0].since == 0


def test_it_ends_with_its_instance_and_with_its_rule() -> None:
    watch = Watch(replace(CPU, for_s=0.0))
    assert watch.look(0, 0.9) is AlertPhase.FIRING
    assert watch.look(1, None, there=False) is AlertPhase.RESOLVED
    assert watch.events[-1].because.endswith("is over: agent.prod.r1.1 is gone")
    assert watch.look(2, 0.9) is AlertPhase.FIRING
    watch.state = replace(watch.state, alerting=Alerting())
    assert watch.look(3, 0.9) is AlertPhase.RESOLVED
    assert len(watch.state.alerts[0].past) == 2


def test_nothing_changes_while_nothing_happens() -> None:
    watch = Watch(CPU)
    watch.look(0, 0.9)
    before = watch.state
    watch.look(5, 0.95)
    assert watch.state is before


def blocks(rule: str, values: list[float], start: float = 1.0) -> list[Block]:
    return [Block(start + n, 1.0, values={signal_name(rule, ONE): {1: value}}) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("fold", "expected"),
    [(Fold.MEAN, 2.5), (Fold.MAX, 4.0), (Fold.MIN, 1.0), (Fold.LAST, 4.0), (Fold.INCREASE, 3.0)],
)
def test_windows_fold_what_was_measured(fold: Fold, expected: float) -> None:
    rule = AlertRule("x", "stats", "restarts", above=1.0, over_s=60.0, fold=fold)
    windows = Windows((rule,))
    windows.take(blocks("x", [1, 2, 3, 4]))
    windows.take(blocks("x", [1, 2, 3, 4]))  # the same again changes nothing
    assert windows.signals(5.0) == {"x": {ONE: Signal(expected, 1)}}
    assert windows.signals(200.0) == {}


def test_a_count_that_was_reset_grows_by_what_came_since() -> None:
    windows = Windows((AlertRule("x", "stats", "restarts", above=1.0, over_s=60.0, fold=Fold.INCREASE),))
    windows.take(blocks("x", [5, 7, 1, 2]))
    assert windows.signals(4.0)["x"][ONE].value == 4


def test_a_window_forgets_what_is_older() -> None:
    windows = Windows((AlertRule("x", "stats", "cpu_share", above=1.0, over_s=30.0),))
    windows.take(blocks("x", [9.0] * 60 + [1.0] * 60))
    assert windows.signals(120.0)["x"][ONE].value == 1.0


def test_latency_and_errors_of_the_gateway_are_a_revisions() -> None:
    rules = (
        AlertRule("slow", "gateway", "latency_mean", above=500.0, over_s=300.0),
        AlertRule("bad", "gateway", "error_share", above=0.1, over_s=10.0),
    )
    windows = Windows(rules)
    latency = (0,) * 8 + (20,)  # 20 requests between 250 and 500 ms
    windows.take([Block(1.0, 1.0, {3: Traffic(20, 5, latency)})])
    assert windows.signals(2.0) == {"slow": {"r3": Signal(mean_ms(latency) or 0, 3)}, "bad": {"r3": Signal(0.25, 3)}}
    assert windows.signals(2.0)["slow"]["r3"].value == pytest.approx(375.0)
    windows.take([Block(400.0, 1.0, {3: Traffic(2, 2, latency)})])
    assert windows.signals(400.0) == {"slow": {}, "bad": {}}  # two requests say nothing


def rolling(*alerts: Alert, began: float = 1000.0) -> tuple[AgentState, Rollout]:
    base = workload()
    candidate = Revision(2, "prod", release("2.0.0", base), base)
    rollout = Rollout("r", candidate, QUICK, WATCH, Rollback(), began, Phase.PROGRESSING)
    return AgentState(KEY, rollout=rollout, alerts=alerts), rollout


FIRES = Alert("cpu", "agent.prod.r2.1", AlertPhase.FIRING, 1010.0, "because", on_alert=OnAlert.ROLLBACK, revision=2)
OVER = replace(FIRES, subject="agent.prod.r1.1", phase=AlertPhase.RESOLVED, revision=1)


@pytest.mark.parametrize(
    ("others", "alert", "speaks"),
    [
        ((), FIRES, True),
        ((), replace(FIRES, revision=None), True),
        ((), replace(FIRES, revision=1), False),  # stable's trouble is not the candidate's
        ((), replace(FIRES, phase=AlertPhase.PENDING), False),
        ((), replace(FIRES, on_alert=OnAlert.NOTIFY), False),
        ((), replace(FIRES, on_alert=OnAlert.PIPELINE), False),
        ((), replace(FIRES, acted=True), False),
        ((), replace(FIRES, since=999.0), False),  # pending before the rollout, fires in it
        ((replace(FIRES, subject="agent.prod.r1.1", since=900.0, revision=1),), FIRES, False),  # stable had it before
        ((replace(FIRES, subject="x", since=900.0, phase=AlertPhase.PENDING),), FIRES, False),
        ((replace(OVER, past=(Episode(500.0, 900.0),)),), FIRES, False),  # it ended shortly before
        ((replace(OVER, past=(Episode(100.0, 300.0),)),), FIRES, True),  # it ended long before
        ((replace(OVER, past=(Episode(900.0, 1005.0),)),), FIRES, False),
        ((), replace(FIRES, past=(Episode(1001.0, 1002.0),) * 3), False),  # it flaps
        ((), replace(FIRES, past=(Episode(1001.0, 1002.0),)), True),
    ],
)
def test_which_alerts_speak_against_a_release(others: tuple[Alert, ...], alert: Alert, speaks: bool) -> None:
    state, rollout = rolling(*others, alert)
    assert [one.subject for one in accusing.accused(state, rollout)] == ([alert.subject] if speaks else [])


TOLD = TellAlert("SloBurn", "f1", True, 50.0, "too many errors", "critical")


def test_what_an_alertmanager_tells_does_what_the_spec_says_of_its_name() -> None:
    rule = AlertRule("SloBurn", ALERTMANAGER, on_alert=OnAlert.ROLLBACK)
    state, because = tell(AgentState(KEY, alerting=Alerting((rule,))), TOLD, 100.0)
    assert because == "SloBurn fires"
    (alert,) = state.alerts
    assert (alert.on_alert, alert.since, alert.fired_at, alert.severity) == (
        OnAlert.ROLLBACK,
        50.0,
        100.0,
        Severity.CRITICAL,
    )
    again, because = tell(state, TOLD, 101.0)
    assert (again, because) == (state, "SloBurn fires already")
    over, _ = tell(state, replace(TOLD, firing=False), 200.0)
    assert over.alerts[0].phase is AlertPhase.RESOLVED
    assert over.alerts[0].past == (Episode(50.0, 200.0),)
    late, because = tell(over, replace(TOLD, firing=False), 201.0)
    assert (late, because) == (over, "SloBurn is over, and was not known to fire")


def test_a_name_that_the_spec_does_not_know_is_only_told() -> None:
    shipped = AlertRule("SloBurn", "stats", "cpu_share", above=1.0, on_alert=OnAlert.ROLLBACK)
    for rules in ((), (shipped,)):
        state, _ = tell(AgentState(KEY, alerting=Alerting(rules)), TOLD, 100.0)
        assert state.alerts[0].on_alert is OnAlert.NOTIFY


def test_a_clock_that_runs_ahead_makes_nothing_younger() -> None:
    state, _ = tell(AgentState(KEY), replace(TOLD, starts_at=5000.0), 100.0)
    assert state.alerts[0].since == 100.0
