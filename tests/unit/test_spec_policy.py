"""Freeze windows, gates, receivers and the monitor table in tidegate.yaml."""

import pytest

from tidegate.model.errors import SpecError
from tidegate.model.monitor import MONITOR, Check, Item, Stage
from tidegate.model.policy import Channel, FreezeWindow, Gate, OnExpired, OnNew, Policy, Repeat
from tidegate.model.spec import Canary, Spec
from tidegate.model.workload import SecretRef
from tidegate.spec import parse_spec


def spec(text: str) -> Spec:
    return parse_spec(f"agent: web\nworkload: {{image: 'web:1'}}\n{text}")


def problem(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        spec(text)
    return str(caught.value)


def test_nothing_written_means_nothing_in_the_way() -> None:
    made = spec("")
    assert made.environments["default"].policy == Policy()
    assert made.rollback.monitor == MONITOR


def test_windows_of_every_kind() -> None:
    made = spec(
        """
freeze:
  - {name: weekend, weekly: fri 16:00 - mon 8:00, zone: Europe/Berlin}
  - daily: 22:00 - 06:00
  - dates: 2026-12-23 18:00 - 2027-01-04 09:00
  - {name: day, dates: 2026-10-03 - 2026-10-03}
"""
    )
    assert made.environments["default"].policy.freeze == (
        FreezeWindow("weekend", Repeat.WEEKLY, 960, 480, "Europe/Berlin", since_day=4, until_day=0),
        FreezeWindow("22:00 - 06:00", Repeat.DAILY, 1320, 360),
        FreezeWindow(
            "2026-12-23 18:00 - 2027-01-04 09:00",
            Repeat.ONCE,
            1080,
            540,
            since_date="2026-12-23",
            until_date="2027-01-04",
        ),
        FreezeWindow("day", Repeat.ONCE, 0, 1440, since_date="2026-10-03", until_date="2026-10-03"),
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("freeze: [{daily: 25:00 - 06:00}]", "write times as 18:00"),
        ("freeze: [{daily: 22:00}]", "write 22:00 - 06:00"),
        ("freeze: [{weekly: someday 1:00 - mon 2:00}]", "write fri 16:00 - mon 08:00"),
        ("freeze: [{dates: 2027-01-04 - 2026-12-23}]", "the end is not after the beginning"),
        ("freeze: [{dates: 2026-13-01 - 2026-12-23}]", "write 2026-12-23 18:00"),
        ("freeze: [{daily: 1:00 - 2:00, zone: Europe/Atlantis}]", "write an IANA time zone"),
        ("freeze: [{zone: UTC}]", "expected exactly one of daily, weekly or dates"),
        ("on_new: supercede", "did you mean supersede?"),
        ("notify: [{name: x}]", "expected exactly one of webhook"),
        ("notify: [{slack: 'ftp://x'}]", "an address"),
        ("notify: [{slack: 'https://a/b', secrets: [{file: k}]}]", "only webhook is signed"),
        ("notify: [{slack: 'https://a/b'}, {slack: 'https://a/c'}]", "two receivers are called slack"),
        ("rollback: {monitor: [{check: verify, item: weather}]}", "expected probe ready"),
        ("gate: {}", "write it as environments.NAME.gate"),
    ],
)
def test_what_is_wrong_is_said_with_how_to_mend_it(line: str, words: str) -> None:
    assert words in problem(line)


def test_a_gate_before_an_environments_rollouts_and_one_as_a_step() -> None:
    made = spec(
        """
environments:
  staging:
  production:
    gate: {name: board, approvers: [grace, ada], expires: 2h, on_expired: abort, four_eyes: true}
    freeze: []
freeze: [{daily: 22:00 - 06:00}]
on_new: queue
strategy:
  canary:
    steps: [{set_weight: 10}, {gate: {}}, {gate: {name: half, expires: 30m}}, {set_weight: 50}]
"""
    )
    board = Gate("board", ("grace", "ada"), 7200.0, OnExpired.ABORT, four_eyes=True)
    production, staging = (made.environments[name].policy for name in ("production", "staging"))
    assert (production.gate, production.freeze, production.on_new) == (board, (), OnNew.QUEUE)
    assert (staging.gate, len(staging.freeze)) == (None, 1)
    assert isinstance(made.strategy, Canary)
    assert made.strategy.steps[1:3] == (Gate(), Gate("half", expires_s=1800.0))


def test_receivers_keep_references_and_never_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", "whsec_secret")
    made = spec(
        """
notify:
  - {name: ops, webhook: https://hooks.example.org/in, secrets: [{environment: HOOK_KEY}, {file: /run/former}]}
  - {slack: {environment: SLACK_URL}, on: [rolled_back, failed]}
  - {command: [logger, -t, tidegate], timeout: 5s, deadline: 1m}
  - gitlab: {url: https://lab.example.org/api/v4/projects/7/trigger/pipeline, ref: ops, token: {environment: T}}
  - jenkins: {url: https://ci.example.org/job/x/buildWithParameters, user: bot, token: {environment: T}}
"""
    )
    ops, slack, command, lab, job = made.environments["default"].policy.notify
    assert ops.secrets == (
        SecretRef("ops key 1", "environment", "HOOK_KEY"),
        SecretRef("ops key 2", "file", "/run/former"),
    )
    assert (slack.channel, slack.url, slack.on) == (Channel.SLACK, "", ("rolled_back", "failed"))
    assert slack.url_secret == SecretRef("slack address", "environment", "SLACK_URL")
    assert (command.command, command.timeout_s, command.deadline_s) == (("logger", "-t", "tidegate"), 5.0, 60.0)
    assert (lab.ref, lab.secrets) == ("ops", (SecretRef("gitlab token", "environment", "T"),))
    assert (job.user, job.channel) == ("bot", Channel.JENKINS)
    assert "whsec_secret" not in repr(made)


def test_the_monitor_table() -> None:
    made = spec(
        """
rollback:
  hold: false
  cleanup: false
  monitor:
    - {check: precheck, item: probe ready}
    - {check: verify, item: log error rate, timeout: 20s, limit: 2%}
"""
    )
    assert made.rollback.monitor == (
        Check(Stage.PRECHECK, Item.PROBE_READY, 30.0),
        Check(Stage.VERIFY, Item.LOG_ERROR_RATE, 20.0, 0.02),
    )
    assert (made.rollback.hold, made.rollback.cleanup) == (False, False)
