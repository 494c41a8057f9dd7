"""OpAMP on real sockets: both transports, what is refused, and what an agent is given."""

import asyncio
import gzip
import http.client
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.certificates import Authority
from tests.property.test_opamp_decoding import described
from tests.unit.test_listener import KEY, TOKENS, Running, free_port, until
from tests.unit.test_registry import Memory
from tidegate.control.opamp.desk import Desk
from tidegate.control.opamp.encoding import ConfigOffer, Content
from tidegate.control.opamp.framing import frame, unframe
from tidegate.control.opamp.messages import opamp_pb2
from tidegate.control.opamp.uids import Line
from tidegate.control.registry import BURST, Registry
from tidegate.control.tokens import Bearer, Grant
from tidegate.controller.clock import WallClock
from tidegate.model.heartbeat import AgentStatus
from tidegate.model.record import AgentRecord, Capability, Protocol
from tidegate.model.release import AgentKey
from tidegate.server.agents import MOST_OPAMP_BYTES, OPAMP_PATH
from tidegate.server.listener import LOOPBACK, Listener
from tidegate.server.sockets import Tls

UID, OTHER = bytes(range(16)), bytes(range(16, 32))
BEARER = f"Bearer {TOKENS.make(KEY)}"
FULL_STATE = opamp_pb2.ServerToAgentFlags_ReportFullState
ALL = Capability.REPORTS_HEARTBEAT | Capability.ACCEPTS_REMOTE_CONFIG | Capability.ACCEPTS_RESTART | 1


class Wanted:
    """What is wanted of agents, changed by the tests."""

    def __init__(self) -> None:
        self.offer: ConfigOffer | None = None
        self.restarts = 0

    def config(self, record: AgentRecord) -> ConfigOffer | None:
        return self.offer

    def restart(self, record: AgentRecord) -> bool:
        self.restarts -= 1
        return self.restarts >= 0


class Opamp(Running):
    """A listener, its desk, and what it wants."""

    wanted: Wanted
    desk: Desk

    async def post(self, body: bytes, **headers: str) -> Any:
        """(status, message, headers) of one POST."""
        given = {"Authorization": BEARER, "Content-Type": "application/x-protobuf"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await asyncio.to_thread(self._post, body, given)

    def _post(self, body: bytes, headers: dict[str, str]) -> Any:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=10)
        try:
            connection.request("POST", OPAMP_PATH, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            ours = answer.headers["Content-Type"] == "application/x-protobuf"
            return answer.status, opamp_pb2.ServerToAgent.FromString(data) if ours else data, answer.headers
        finally:
            connection.close()

    async def tell(self, message: Any, **headers: str) -> Any:
        """The answer to a message that is taken."""
        status, answer, _ = await self.post(message.SerializeToString(), **headers)
        assert status == 200, answer
        assert answer.instance_uid == message.instance_uid
        return answer

    def line(self, token: str = BEARER, **more: Any) -> connect:
        return connect(f"ws://{LOOPBACK}:{self.port}{OPAMP_PATH}", additional_headers={"Authorization": token}, **more)

    def record(self, instance: str = "mailer-1") -> AgentRecord:
        found = self.registry.records.get((KEY, instance))
        assert found is not None
        return found


async def say(line: ClientConnection, message: Any) -> Any:
    await line.send(frame(message.SerializeToString()))
    return await heard(line)


async def heard(line: ClientConnection) -> Any:
    data = await asyncio.wait_for(line.recv(), 5)
    assert isinstance(data, bytes)
    return opamp_pb2.ServerToAgent.FromString(unframe(data))


async def closed_by(line: ClientConnection, *messages: bytes | str) -> int | None:
    """The code that the connection is closed with, when these are sent."""
    try:
        for message in messages:
            await line.send(message)
            await heard(line)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None
    return None


def full(sequence: int, uid: bytes = UID, capabilities: int = ALL, **attributes: str) -> Any:
    given = {"service.instance.id": "mailer-1", "service.version": "1.4.0"} | attributes
    message = described(uid, sequence, {name.replace("_", "."): value for name, value in given.items()})
    message.capabilities = capabilities
    return message


def bare(sequence: int, uid: bytes = UID) -> Any:
    return opamp_pb2.AgentToServer(instance_uid=uid, sequence_num=sequence, capabilities=ALL)


@pytest.fixture
async def opamp() -> AsyncIterator[Opamp]:
    port, registry, stop, wanted = free_port(), Registry(Memory(), WallClock()), asyncio.Event(), Wanted()
    running = Opamp(port, registry)
    running.wanted, running.desk = wanted, Desk(registry, TOKENS, wanted)
    listener = Listener(lambda: TOKENS, ports=(port,), desk=lambda registry, tokens: running.desk)
    task = asyncio.create_task(listener.run(registry, stop))
    await until(lambda: registry.listening().since)
    yield running
    stop.set()
    await asyncio.wait_for(task, 10)


@pytest.mark.parametrize("first", [0, 1])
async def test_an_agent_reports_by_http(opamp: Opamp, first: int) -> None:
    answer = await opamp.tell(full(first))
    assert answer.capabilities & opamp_pb2.ServerCapabilities_AcceptsStatus
    assert answer.connection_settings.opamp.heartbeat_interval_seconds == 30
    assert (await opamp.tell(bare(first + 1))).flags == 0
    assert (await opamp.tell(bare(first + 1))).flags == 0  # the same one again is answered as well
    pulse = opamp.registry.pulses_of(KEY)["mailer-1"]
    assert (pulse.version, pulse.gaps, pulse.runs, pulse.status) == ("1.4.0", 0, 1, AgentStatus.OK)
    assert opamp.record().protocol is Protocol.OPAMP


async def test_a_gap_is_asked_about_and_the_full_state_ends_it(opamp: Opamp) -> None:
    await opamp.tell(full(0))
    assert (await opamp.tell(bare(3))).flags & FULL_STATE
    assert not (await opamp.tell(full(4))).flags


async def test_a_stranger_is_asked_who_it_is(opamp: Opamp) -> None:
    assert (await opamp.tell(bare(7))).flags & FULL_STATE
    assert not opamp.registry.pulses_of(KEY)


async def test_gzip_is_taken_and_measured_after_it_is_opened(opamp: Opamp) -> None:
    packed = gzip.compress(full(0).SerializeToString())
    status, answer, _ = await opamp.post(packed, Content_Encoding="gzip")
    assert (status, answer.instance_uid) == (200, UID)
    bomb = await asyncio.to_thread(gzip.compress, b"\0" * (MOST_OPAMP_BYTES * 20))
    assert len(bomb) < MOST_OPAMP_BYTES
    status, _, headers = await opamp.post(bomb, Content_Encoding="gzip")
    assert (status, headers["Content-Type"]) == (413, "application/problem+json")
    assert (await opamp.post(packed[:-9], Content_Encoding="gzip"))[0] == 400
    assert (await opamp.post(b"nonsense", Content_Encoding="gzip"))[0] == 400


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {"Authorization": ""}, 401),
        (b"", {"Authorization": "Bearer tga_AAAA"}, 401),
        (b"", {"Content_Type": "application/json"}, 415),
        (b"", {"Content_Encoding": "br"}, 415),
        (b"", {"Content_Length": str(MOST_OPAMP_BYTES + 1)}, 413),
        (b"\xff\xff\xff", {}, 400),
        (b"", {}, 400),
    ],
)
async def test_what_is_wrong_is_refused(opamp: Opamp, body: bytes, headers: dict[str, str], status: int) -> None:
    answered, answer, _ = await opamp.post(body, **headers)
    assert answered == status
    if status == 400:
        assert answer.error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
        assert answer.error_response.error_message
    assert not opamp.registry.pulses_of(KEY)


async def test_too_many_messages_are_told_when_to_come_back(opamp: Opamp) -> None:
    await opamp.tell(full(0))
    answers = [await opamp.post(bare(n).SerializeToString()) for n in range(1, int(BURST) + 15)]
    refused = {(status, headers.get("Retry-After")) for status, _, headers in answers if status != 200}
    assert refused == {(429, "1")}


async def test_after_a_disconnect_a_bare_message_brings_nobody_back(opamp: Opamp) -> None:
    await opamp.tell(full(0))
    await opamp.tell(opamp_pb2.AgentToServer(instance_uid=UID, sequence_num=1, agent_disconnect={}))
    await opamp.tell(bare(2))
    assert opamp.registry.pulses_of(KEY)["mailer-1"].status is AgentStatus.STOPPING
    await opamp.tell(full(3))
    assert opamp.registry.pulses_of(KEY)["mailer-1"].status is AgentStatus.OK


async def test_two_agents_with_one_uid_get_two(opamp: Opamp) -> None:
    await opamp.tell(full(0, host_name="north"))
    answer = await opamp.tell(full(0, host_name="south", service_instance_id="mailer-2"))
    new = answer.agent_identification.new_instance_uid
    assert (new[6] >> 4, new[8] >> 6) == (7, 2)
    assert opamp.record("mailer-2").uid == new.hex()
    # The Python client never changes its uid: it is known by its description, and given the same one each time.
    again = await opamp.tell(full(5, host_name="south", service_instance_id="mailer-2"))
    assert again.agent_identification.new_instance_uid == new
    # The Node client goes on under the new one, without its full state.
    assert not (await opamp.tell(bare(6, new))).flags
    assert opamp.registry.pulses_of(KEY)["mailer-2"].runs == 1
    assert not (await opamp.tell(bare(1))).flags
    assert opamp.record("mailer-1").attributes["host.name"] == "north"


async def test_a_uid_is_made_for_who_asks_for_one(opamp: Opamp) -> None:
    message = full(0)
    message.flags = opamp_pb2.AgentToServerFlags_RequestInstanceUid
    new = (await opamp.tell(message)).agent_identification.new_instance_uid
    assert len(new) == 16
    assert new != UID
    assert not (await opamp.tell(bare(1, new))).flags


async def test_a_token_speaks_for_its_own_agent_only(opamp: Opamp) -> None:
    await opamp.tell(full(0))
    foreign = f"Bearer {TOKENS.make(AgentKey('billing', 'prod'))}"
    assert (await opamp.tell(bare(1), Authorization=foreign)).flags & FULL_STATE  # for billing it is a stranger
    assert opamp.registry.pulses_of(KEY)["mailer-1"].sequence == 1


async def test_who_enrols_is_given_a_credential_that_is_good_for_it_alone(opamp: Opamp) -> None:
    enrolment = f"Bearer {TOKENS.enrolment(KEY, WallClock().now() + 60)}"
    can = ALL | Capability.ACCEPTS_OPAMP_CONNECTION
    answer = await opamp.tell(full(0, capabilities=can), Authorization=enrolment)
    header = answer.connection_settings.opamp.headers.headers[0]
    assert header.key == "Authorization"
    assert header.value.startswith(f"Bearer {Grant.INSTANCE}")
    assert answer.connection_settings.hash
    again = await opamp.tell(full(1, capabilities=can), Authorization=header.value)
    assert not again.connection_settings.opamp.headers.headers
    status, _, _ = await opamp.post(full(0, OTHER).SerializeToString(), Authorization=header.value)
    assert status == 403
    late = f"Bearer {TOKENS.enrolment(KEY, WallClock().now() - 1)}"
    assert (await opamp.post(b"", Authorization=late))[0] == 401


async def test_a_configuration_is_offered_until_its_status_comes(opamp: Opamp) -> None:
    opamp.wanted.offer = ConfigOffer(b"d" * 32, {"a.yaml": Content(b"a: 1", "text/yaml")})
    offered = (await opamp.tell(full(0))).remote_config
    assert (offered.config_hash, offered.config.config_map["a.yaml"].body) == (b"d" * 32, b"a: 1")
    assert not (await opamp.tell(bare(1))).HasField("remote_config")  # it was offered a moment ago
    assert (await opamp.tell(full(2))).HasField("remote_config")
    done = bare(3)
    done.remote_config_status.last_remote_config_hash = b"d" * 32
    done.remote_config_status.status = opamp_pb2.RemoteConfigStatuses_APPLIED
    await opamp.tell(done)
    assert not (await opamp.tell(full(4))).HasField("remote_config")
    assert opamp.record().remote.status == "applied"
    opamp.wanted.offer = ConfigOffer(b"e" * 32, {})
    assert (await opamp.tell(bare(5))).remote_config.config_hash == b"e" * 32
    unable = full(6, capabilities=int(Capability.REPORTS_HEARTBEAT))
    assert not (await opamp.tell(unable)).HasField("remote_config")


@pytest.mark.parametrize("keep", [True, False])
async def test_another_configuration_than_the_one_that_was_taken_is_drift(opamp: Opamp, keep: bool) -> None:
    opamp.wanted.offer = ConfigOffer(b"d" * 32, {}, keep)
    await opamp.tell(full(0))

    def status(sequence: int, digest: bytes) -> Any:
        message = bare(sequence)
        message.remote_config_status.last_remote_config_hash = digest
        message.remote_config_status.status = opamp_pb2.RemoteConfigStatuses_APPLIED
        return message

    await opamp.tell(status(1, b"d" * 32))
    await opamp.tell(status(2, b"x" * 32))
    assert (await opamp.tell(full(3))).HasField("remote_config") is keep
    (event,) = opamp.registry.attendance.take_events()
    done = "it is offered again" if keep else "it is left as it is"
    assert event.because == f"mailer-1 runs with configuration {'78' * 4}, not {'64' * 4}: {done}"


async def test_a_restart_goes_alone_and_once(opamp: Opamp) -> None:
    await opamp.tell(full(0))
    opamp.wanted.restarts = 1
    answer = await opamp.tell(bare(1))
    assert answer.HasField("command")
    assert not answer.flags
    assert not (await opamp.tell(bare(2))).HasField("command")


async def test_an_agent_reports_by_websocket_and_is_told_at_once(opamp: Opamp) -> None:
    async with opamp.line() as line:
        assert not line.protocol.extensions  # no compression, though the client asked for it
        assert (await say(line, full(0))).instance_uid == UID
        assert not (await say(line, bare(1))).flags
        assert opamp.record().protocol is Protocol.OPAMP_WEBSOCKET
        opamp.wanted.offer = ConfigOffer(b"d" * 32, {})
        assert opamp.desk.push() == 1
        assert (await heard(line)).remote_config.config_hash == b"d" * 32
        assert opamp.desk.push() == 0
        opamp.wanted.restarts = 1
        assert opamp.desk.push() == 1
        assert (await heard(line)).HasField("command")
    await until(lambda: opamp.record().history[-1].what == "its connection ended")


async def test_many_agents_may_share_a_connection(opamp: Opamp) -> None:
    async with opamp.line() as line:
        for number in range(1, 5):
            uid = bytes([number]) * 16
            assert (await say(line, full(0, uid, service_instance_id=f"mailer-{number}"))).instance_uid == uid
        assert not (await say(line, bare(1, b"\2" * 16))).flags
    assert len(opamp.registry.pulses_of(KEY)) == 4


async def test_what_is_malformed_is_answered_and_too_much_of_it_ends_the_connection(opamp: Opamp) -> None:
    async with opamp.line() as line:
        for _ in range(3):
            await line.send(b"\0\xff\xff")
            assert (await heard(line)).error_response.type == opamp_pb2.ServerErrorResponseType_BadRequest
        await say(line, full(0))
        assert await closed_by(line, *[b"\1"] * 30) == 1008


async def test_a_message_that_is_too_large_closes_with_1009(opamp: Opamp) -> None:
    async with opamp.line() as line:
        assert await closed_by(line, b"\0" * (MOST_OPAMP_BYTES + 1)) == 1009


async def test_text_is_not_opamp(opamp: Opamp) -> None:
    async with opamp.line() as line:
        assert await closed_by(line, "hello") == 1003


async def test_a_connection_needs_a_token(opamp: Opamp) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with opamp.line("Bearer tga_AAAA"):
            pass
    assert caught.value.response.status_code == 401


async def test_an_agent_that_comes_back_takes_the_place_of_its_lost_connection(opamp: Opamp) -> None:
    async with opamp.line() as lost:
        await say(lost, full(0))
        async with opamp.line() as line:
            assert not (await say(line, full(1))).HasField("agent_identification")
            with pytest.raises(ConnectionClosed):
                await heard(lost)
            assert not (await say(line, bare(2))).flags
            # The former one comes back too: they are two, and the second is given a uid of its own.
            async with opamp.line() as twin:
                await say(twin, full(0))
                new = (await say(twin, full(1))).agent_identification.new_instance_uid
                assert len(new) == 16
                assert not (await say(twin, bare(2, new))).HasField("agent_identification")


async def test_two_on_one_uid_and_two_hosts_are_told_apart_at_once(opamp: Opamp) -> None:
    async with opamp.line() as one, opamp.line() as two:
        await say(one, full(0, host_name="north"))
        new = (await say(two, full(0, host_name="south", service_instance_id="b"))).agent_identification
        assert len(new.new_instance_uid) == 16
        assert not (await say(one, bare(1))).flags
        assert not (await say(two, bare(1, new.new_instance_uid))).flags
    assert {"mailer-1", "b"} == set(opamp.registry.pulses_of(KEY))


async def test_two_that_call_themselves_the_same_are_told_apart(opamp: Opamp) -> None:
    await opamp.tell(full(0))
    await opamp.tell(full(0, OTHER))  # a new process, as far as anybody can tell
    assert opamp.registry.pulses_of(KEY)["mailer-1"].runs == 2
    await opamp.tell(bare(1))  # but the first one still speaks
    assert set(opamp.registry.pulses_of(KEY)) == {"mailer-1", f"mailer-1~{UID.hex()[-8:]}"}
    for sequence in (2, 3):
        await opamp.tell(full(sequence))
        await opamp.tell(bare(sequence, OTHER))
    assert len(opamp.registry.pulses_of(KEY)) == 2


async def test_who_reports_no_heartbeats_is_there_while_its_connection_is(opamp: Opamp) -> None:
    async with opamp.line() as line:
        await say(line, full(0, capabilities=1))
        before = opamp.registry.pulses_of(KEY)["mailer-1"].last_at
        opamp.desk.tend()
        pulse = opamp.registry.pulses_of(KEY)["mailer-1"]
        assert pulse.last_at > before
        assert pulse.runs == 1


async def test_another_address_is_served_with_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    authority = Authority(tmp_path / "authority")
    files = authority.server("127.0.0.2")
    port, registry, stop = free_port(), Registry(Memory(), WallClock()), asyncio.Event()
    tls = Tls(files.certificate, files.key)
    listener = Listener(lambda: TOKENS, ports=(port,), others=("127.0.0.2",), tls=tls)
    task = asyncio.create_task(listener.run(registry, stop))
    await until(lambda: f"listening for heartbeats on https://127.0.0.2:{port}" in caplog.text)
    trusted = ssl.create_default_context(cafile=str(authority.ca))
    url = f"wss://127.0.0.2:{port}{OPAMP_PATH}"
    async with connect(url, ssl=trusted, additional_headers={"Authorization": BEARER}) as line:
        assert (await say(line, full(0))).instance_uid == UID
    assert "in the clear" not in caplog.text
    stop.set()
    await asyncio.wait_for(task, 10)


def test_conversations_go_on_with_another_desk() -> None:
    registry = Registry(Memory(), WallClock())
    for desk, message, flags in (
        (Desk(registry, TOKENS), full(0), 0),
        (Desk(registry, TOKENS), bare(9), FULL_STATE),
        (Desk(registry, TOKENS), opamp_pb2.AgentToServer(instance_uid=UID, sequence_num=10, agent_disconnect={}), 0),
        (Desk(registry, TOKENS), bare(11), 0),
    ):
        answer = desk.hear(Bearer(KEY), message.SerializeToString(), Line())
        assert opamp_pb2.ServerToAgent.FromString(answer).flags == flags
    pulse = registry.pulses_of(KEY)["mailer-1"]
    assert (pulse.gaps, pulse.runs, pulse.status) == (0, 1, AgentStatus.STOPPING)


def test_conversations_with_who_was_forgotten_are_let_go_of() -> None:
    registry = Registry(Memory(), WallClock())
    desk = Desk(registry, TOKENS)
    desk.hear(Bearer(KEY), full(0).SerializeToString(), Line())
    desk.forget()
    answer = desk.hear(Bearer(KEY), bare(1).SerializeToString(), Line())
    assert not opamp_pb2.ServerToAgent.FromString(answer).flags
    registry.forget_instance((KEY, "mailer-1"))
    desk.forget()
    answer = desk.hear(Bearer(KEY), bare(2).SerializeToString(), Line())
    assert opamp_pb2.ServerToAgent.FromString(answer).flags == FULL_STATE
