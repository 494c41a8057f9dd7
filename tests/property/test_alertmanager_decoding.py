"""Nothing that anybody sends as an Alertmanager gives anything but alerts that can be kept, or a named problem."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.memory import KEY
from tidegate.control.alertmanager import Told, decode
from tidegate.core.rollout import decide
from tidegate.model import codec
from tidegate.model.audit import act_of
from tidegate.model.decision import Facts
from tidegate.model.errors import UsageError
from tidegate.model.intent import Intent
from tidegate.model.observation import Observation
from tidegate.model.rollout import AgentState

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
GOOD: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "SloBurn", "agent": "agent", "environment": "prod"},
    "annotations": {"summary": "the budget burns"},
    "startsAt": "2026-11-26T10:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "53cc6e8afa5d7f4d",
}
names = st.sampled_from(
    ["alertname", "agent", "tidegate_agent", "environment", "revision", "instance", "tidegate_instance", "severity"]
)


def taken(document: Any) -> tuple[Told, ...]:
    found: tuple[Told, ...] = ()
    with suppress(UsageError):
        found = decode(document)
    for told in found:
        intent = Intent("i", KEY, told.action, "ci", 1.0)
        # What was taken in can be kept, decided on and audited.
        assert codec.load(json.loads(json.dumps(codec.dump(intent), allow_nan=False)), Intent) == intent
        json.dumps(codec.dump(act_of(intent)), allow_nan=False)
        after = decide(AgentState(KEY), Facts(1.0, Observation(1.0, reachable=False), intents=(intent,))).state
        assert codec.load(json.loads(json.dumps(codec.dump(after), allow_nan=False)), AgentState) == after
        f"{told.agent} {told.action.rule} {told.action.subject} {told.action.summary}".encode()
    return found


def hook(*alerts: Any) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "receiver": "tidegate", "alerts": list(alerts)}


@given(anything)
def test_any_document(document: Any) -> None:
    taken(document)


@given(st.lists(anything, max_size=3))
def test_any_alerts(alerts: list[Any]) -> None:
    taken(hook(*alerts))


@given(st.sampled_from([*GOOD, "generatorURL"]), anything)
@example("labels", {"alertname": "\ud800", "agent": "a\nb"})
@example("startsAt", "9999-12-31T23:59:59-23:59")
def test_any_value_in_any_field(field: str, value: Any) -> None:
    taken(hook({**GOOD, field: value}))


@given(st.dictionaries(names | st.text(max_size=8), st.text(max_size=300) | anything, max_size=40))
def test_any_labels(labels: dict[str, Any]) -> None:
    taken(hook({**GOOD, "labels": {**labels, "alertname": "SloBurn"}}))


@given(st.datetimes(timezones=st.timezones()))
def test_any_time_that_prometheus_writes(moment: Any) -> None:
    (told,) = taken(hook({**GOOD, "startsAt": moment.isoformat()}))
    assert abs(told.action.starts_at - moment.timestamp()) < 1
