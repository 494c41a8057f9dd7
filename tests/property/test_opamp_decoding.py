"""OpAMP's decoders, for every input: a value or MalformedError; what was encoded comes back."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.control.opamp.decoding import LONGEST_VALUE, MalformedError, Report, clean, decode
from tidegate.control.opamp.encoding import (
    ABILITIES,
    Answer,
    ConfigOffer,
    ConnectionOffer,
    Content,
    Fault,
    Flag,
    encode,
    encode_fault,
)
from tidegate.control.opamp.framing import frame, unframe
from tidegate.control.opamp.messages import opamp_pb2

UIDS = st.binary(min_size=16, max_size=16).filter(any)
TEXT = st.text(max_size=30)


def described(uid: bytes, sequence: int, attributes: dict[str, str]) -> Any:
    message = opamp_pb2.AgentToServer(instance_uid=uid, sequence_num=sequence, capabilities=8193)
    for name, value in attributes.items():
        pair = message.agent_description.identifying_attributes.add()
        pair.key = name
        pair.value.string_value = value
    return message


@given(st.binary(max_size=400))
def test_any_bytes_are_a_report_or_malformed(body: bytes) -> None:
    with suppress(MalformedError):
        assert len(decode(body).uid) == 16


@given(UIDS, st.integers(0, 2**62), st.dictionaries(TEXT, TEXT, max_size=5), st.data())
def test_damaged_messages_are_a_report_or_malformed(uid: bytes, number: int, given_: dict[str, str], data: Any) -> None:
    whole = bytearray(described(uid, number, given_).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedError):
        decode(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@given(UIDS, st.integers(0, 2**62), st.dictionaries(TEXT, TEXT, max_size=5))
def test_a_description_comes_through_without_what_a_terminal_would_obey(
    uid: bytes, number: int, attributes: dict[str, str]
) -> None:
    report = decode(described(uid, number, attributes).SerializeToString())
    assert (report.uid, report.sequence, report.capabilities) == (uid, number, 8193)
    assert report.attributes is not None or not attributes
    for name, value in (report.attributes or {}).items():
        assert name == clean(name)
        assert (name + value).isprintable() or not (name + value).isascii()
        assert value in {clean(one) for one in attributes.values()}


@given(st.binary(max_size=50))
def test_a_frame_comes_off_again(message: bytes) -> None:
    assert unframe(frame(message)) == message


@given(st.binary(max_size=50))
def test_any_frame_is_a_message_or_malformed(data: bytes) -> None:
    with suppress(MalformedError):
        assert data.endswith(unframe(data))


@given(UIDS, st.sampled_from(Flag), st.booleans(), st.binary(max_size=16), st.dictionaries(TEXT, st.binary(max_size=9)))
def test_an_answer_says_what_it_should(
    uid: bytes, flags: Flag, restart: bool, new_uid: bytes, files: dict[str, bytes]
) -> None:
    config = ConfigOffer(b"d", {name: Content(body, "text/yaml") for name, body in files.items()}) if files else None
    answer = Answer(uid, flags, new_uid, config, ConnectionOffer(b"c", 30, "tgi_x") if files else None, restart)
    message = opamp_pb2.ServerToAgent.FromString(encode(answer))
    assert (message.instance_uid, message.capabilities) == (uid, ABILITIES)
    assert message.HasField("command") == restart
    assert not message.HasField("packages_available")
    if restart:
        assert {field.name for field, _ in message.ListFields()} == {"instance_uid", "capabilities", "command"}
        return
    assert (message.flags, message.agent_identification.new_instance_uid) == (flags, new_uid)
    assert {name: file.body for name, file in message.remote_config.config.config_map.items()} == files
    if files:
        assert message.connection_settings.opamp.heartbeat_interval_seconds == 30
        header = message.connection_settings.opamp.headers.headers[0]
        assert (header.key, header.value) == ("Authorization", "Bearer tgi_x")


def test_a_fault_says_when_to_come_back() -> None:
    message = opamp_pb2.ServerToAgent.FromString(encode_fault(b"u" * 16, Fault.UNAVAILABLE, "too much at once", 2.5))
    assert message.error_response.type == opamp_pb2.ServerErrorResponseType_Unavailable
    assert message.error_response.error_message == "too much at once"
    assert message.error_response.retry_info.retry_after_nanoseconds == 2_500_000_000


def test_unknown_fields_and_bits_are_ignored() -> None:
    message = described(b"u" * 16, 3, {"service.name": "x"})
    message.capabilities = 2**63 + 1
    message.flags = 2**40
    unknown = b"\xfa\x3e\x03abc"  # field 1007, length 3
    report = decode(message.SerializeToString() + unknown)
    assert report == Report(b"u" * 16, 3, 2**63 + 1, 2**40, {"service.name": "x"})


@pytest.mark.parametrize("uid", [b"", b"short", bytes(16), b"x" * 17])
def test_a_uid_has_sixteen_bytes(uid: bytes) -> None:
    with pytest.raises(MalformedError, match="instance_uid"):
        decode(opamp_pb2.AgentToServer(instance_uid=uid).SerializeToString())


def test_trees_and_lists_are_bounded() -> None:
    message = described(b"u" * 16, 0, {})
    part = message.health
    for _ in range(20):
        part = part.component_health_map["part"]
        part.healthy = True
    with pytest.raises(MalformedError, match="health"):
        decode(message.SerializeToString())
    message = described(b"u" * 16, 0, {str(number): "" for number in range(101)})
    with pytest.raises(MalformedError, match="agent_description"):
        decode(message.SerializeToString())
    message = described(b"u" * 16, 0, {"long": "x" * 5000})
    assert decode(message.SerializeToString()).attributes == {"long": "x" * LONGEST_VALUE}
    for number in range(101):
        message.effective_config.config_map.config_map[str(number)].body = b""
    with pytest.raises(MalformedError, match="effective_config"):
        decode(message.SerializeToString())


def test_every_kind_of_attribute_becomes_text() -> None:
    message = opamp_pb2.AgentToServer(instance_uid=b"u" * 16)
    pairs = message.agent_description.non_identifying_attributes
    for name, field, value in [("b", "bool_value", True), ("i", "int_value", -4), ("d", "double_value", 0.5)]:
        setattr(pairs.add(key=name).value, field, value)
    many = pairs.add(key="a").value.array_value
    many.values.add().string_value = "x"
    many.values.add().array_value.values.add().string_value = "deeper"
    pairs.add(key="none")
    assert decode(message.SerializeToString()).attributes == {
        "b": "true",
        "i": "-4",
        "d": "0.5",
        "a": "x, ",
        "none": "",
    }
