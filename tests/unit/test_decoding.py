"""A heartbeat's JSON: what is taken, and how what is wrong is named."""

import json
from typing import Any

import pytest

from tidegate.control.decoding import BadHeartbeatError, decode
from tidegate.model.heartbeat import AgentStatus, Completed, Heartbeat
from tidegate.model.release import AgentKey

GOOD: dict[str, Any] = {
    "agent": "mailer",
    "environment": "prod",
    "instance": "mailer.prod.r3.1",
    "revision": 3,
    "version": "1.4.0",
    "status": "ok",
    "sequence": 7,
    "sent_at": 1767225600.5,
    "interval_s": 5,
}


def body(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_the_least_that_a_message_holds() -> None:
    key = AgentKey("mailer", "prod")
    expected = Heartbeat(key, "mailer.prod.r3.1", 3, "1.4.0", AgentStatus.OK, 7, 1767225600.5, 5.0)
    assert decode(body()) == expected
    assert decode(body(tomorrow={"a": [1, {"b": None}]})) == expected


def test_all_that_a_message_may_hold() -> None:
    taken = decode(
        body(
            status="stopping",
            message="draining\x1b[31m now",
            metrics={'queue{file="a"}': 3, "load": 0.5},
            completed=[{"task": "t1", "ok": True, "detail": "2 rows", "started_at": 1.5, "ended_at": 2}],
        )
    )
    assert taken.status is AgentStatus.STOPPING
    assert taken.message == "draining [31m now"
    assert taken.metrics == {'queue{file="a"}': 3.0, "load": 0.5}
    assert taken.completed == (Completed("t1", True, "2 rows", 1.5, 2.0),)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent", 1),
        ("agent", ""),
        ("agent", "a\nb"),
        ("instance", "x" * 201),
        ("instance", "\ud800"),
        ("environment", None),
        ("revision", -1),
        ("revision", True),
        ("revision", 1.5),
        ("revision", 10**30),
        ("version", ["1"]),
        ("status", "fine"),
        ("status", {}),
        ("sequence", 0),
        ("sequence", "1"),
        ("sent_at", "now"),
        ("sent_at", 10**400),
        ("interval_s", 0),
        ("interval_s", -5),
        ("interval_s", 1e9),
        ("message", 5),
        ("message", "x" * 1001),
        ("metrics", []),
        ("metrics", {"a": "b"}),
        ("metrics", {"a": True}),
        ("metrics", {str(n): n for n in range(201)}),
        ("completed", {}),
        ("completed", [{}] * 101),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(BadHeartbeatError) as caught:
        decode(body(**{field: value}))
    assert caught.value.field == field
    assert caught.value.understood
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(BadHeartbeatError, match=f"{field}: is missing"):
        decode(json.dumps({name: value for name, value in GOOD.items() if name != field}).encode())


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ({"task": "t"}, "completed[0].ok"),
        (5, "completed[0].ok"),
        ({"ok": True}, "completed[0].task"),
        ({"task": "t", "ok": True, "detail": 5}, "completed[0].detail"),
        ({"task": "t", "ok": True, "started_at": "x"}, "completed[0].started_at"),
    ],
)
def test_a_wrong_result_is_named_by_its_place(item: Any, where: str) -> None:
    with pytest.raises(BadHeartbeatError) as caught:
        decode(body(completed=[item]))
    assert caught.value.field == where


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1',
        b"[" * 60_000,
        b"[" * 17 + b"]" * 17,
        b'{"a":' * 10_000,
        b'{"sequence": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_is_told_from_what_is_wrong_in_it(raw: bytes) -> None:
    with pytest.raises(BadHeartbeatError) as caught:
        decode(raw)
    assert not caught.value.understood


def test_brackets_in_texts_are_not_depth() -> None:
    assert decode(body(message='["' * 100)).message == '["' * 100
    with pytest.raises(BadHeartbeatError, match="expected a JSON object"):
        decode(b"[]")
