"""Nothing that anybody sends gives anything but a heartbeat or a named problem."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.test_decoding import GOOD
from tidegate.control.decoding import BadHeartbeatError, decode, decode_enrolment
from tidegate.core.liveness import beat
from tidegate.model import codec
from tidegate.model.heartbeat import Heartbeat, Pulse

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def taken(body: bytes) -> Heartbeat | None:
    try:
        return decode(body)
    except BadHeartbeatError as error:
        problem = error
    assert problem.message.isprintable()
    return None


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'"\\ud800"')
def test_bytes(body: bytes) -> None:
    taken(body)


@given(st.binary(max_size=200) | anything.map(lambda value: json.dumps({"instance": value}).encode()))
def test_any_enrolment_names_an_instance_or_a_problem(body: bytes) -> None:
    with suppress(BadHeartbeatError):
        assert decode_enrolment(body).isprintable()


@given(st.sampled_from([*GOOD, "message", "metrics", "completed", "attributes"]), anything)
def test_any_value_in_any_field(field: str, value: Any) -> None:
    heartbeat = taken(json.dumps({**GOOD, field: value}).encode())
    if heartbeat is None:
        return
    pulse = beat(None, heartbeat, 1.0)
    # What was taken in can be kept and shown.
    assert codec.load(json.loads(json.dumps(codec.dump(pulse), allow_nan=False)), Pulse) == pulse
    f"{heartbeat.instance} {heartbeat.version} {heartbeat.message}".encode()


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(("task", "ok", "detail", "started_at"), anything))))
def test_any_result(completed: list[Any]) -> None:
    taken(json.dumps({**GOOD, "completed": completed}).encode())
