"""One agent's conversation: what each message changes, what it is asked, and what stays as it was."""

import pytest

from tidegate.control.opamp.decoding import EffectiveConfig, Report
from tidegate.control.opamp.session import DEFAULT_INTERVAL_S, Heard, Moment, Session, hear, resumed, same_agent
from tidegate.core import liveness
from tidegate.model.heartbeat import AgentStatus, Pulse
from tidegate.model.record import ComponentHealth, ConfigFile, ConfigStatus, Protocol, RemoteConfig
from tidegate.model.release import AgentKey

KEY = AgentKey("collector", "prod")
UID = bytes(range(16))
NAME = "00010203-0405-0607-0809-0a0b0c0d0e0f"
HOST = {"service.name": "collector", "service.version": "1.0.0", "host.name": "north"}


class Talk:
    """A conversation, a message at a time; each arrives 30 s after the one before."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = session
        self.now = 1000.0
        self.pulse: Pulse | None = None

    def say(self, sequence: int, after_s: float = 30.0, **fields: object) -> Heard:
        self.now += after_s
        report = Report(UID, sequence, 8193, **fields)  # type: ignore[arg-type]
        heard = hear(self.session, report, Moment(KEY, Protocol.OPAMP, self.now))
        self.session = heard.session
        if heard.counts:
            self.pulse = liveness.beat(self.pulse, heard.session.heartbeat, self.now)
        return heard

    @property
    def seen(self) -> Pulse:
        assert self.pulse is not None
        return self.pulse


@pytest.mark.parametrize("first", [0, 1, 7])
def test_whoever_says_who_it_is_counts_and_is_asked_nothing(first: int) -> None:
    talk = Talk()
    heard = talk.say(first, attributes=HOST)
    assert (heard.counts, heard.ask, heard.changed) == (True, False, True)
    for step in range(1, 5):
        assert talk.say(first + step).ask is False
    assert (talk.seen.instance, talk.seen.version, talk.seen.gaps, talk.seen.runs) == (NAME, "1.0.0", 0, 1)


def test_a_stranger_is_asked_first_and_counted_when_it_goes_on_without_an_answer() -> None:
    talk = Talk()
    heard = talk.say(9)
    assert (heard.counts, heard.ask) == (False, True)
    heard = talk.say(10)
    assert (heard.counts, heard.ask) == (True, True)
    assert talk.seen.instance == NAME


def test_a_gap_is_counted_and_asked_about_until_the_full_state_comes() -> None:
    talk = Talk()
    talk.say(0, attributes=HOST)
    heard = talk.say(4)
    assert heard.ask
    assert talk.seen.gaps == 3
    assert not talk.say(5, attributes=HOST).ask
    assert talk.seen.gaps == 3
    assert not talk.say(99, attributes=HOST).ask  # a gap, but this is the full state already: asking would never end


def test_the_same_message_again_is_answered_and_is_no_new_process() -> None:
    talk = Talk()
    talk.say(0, attributes=HOST)
    talk.say(1)
    heard = talk.say(1, 1.0)
    assert (heard.counts, heard.ask) == (True, False)
    assert (talk.seen.runs, talk.seen.gaps, talk.seen.last_at) == (1, 0, talk.now)


def test_a_message_that_was_overtaken_changes_no_number() -> None:
    talk = Talk()
    for sequence in range(6):
        talk.say(sequence, attributes=HOST if sequence == 0 else None)
    heard = talk.say(4, 0.1)
    assert heard.ask
    assert talk.seen.runs == 1
    assert not talk.say(6).ask


def test_a_new_process_begins_to_count_again() -> None:
    talk = Talk()
    for sequence in range(3):
        talk.say(sequence, attributes=HOST if sequence == 0 else None)
    assert not talk.say(0, attributes=HOST).ask
    assert (talk.seen.runs, talk.seen.run_at) == (2, talk.now)
    for sequence in range(1, 9):
        talk.say(sequence)
    assert talk.say(2).ask  # far back, without a description: a new process, which is asked who it is
    assert talk.seen.runs == 3


def test_what_a_message_leaves_out_is_as_it_was() -> None:
    talk = Talk()
    effective = EffectiveConfig((ConfigFile("a.yaml", "text/yaml", "ab" * 32, 7),), {"ab" * 32: b"a: 1234"})
    health, parts = ComponentHealth(True, "running"), {"receivers/otlp": ComponentHealth(False)}
    heard = talk.say(0, attributes=HOST, health=health, components=parts, effective=effective)
    assert heard.contents == {"ab" * 32: b"a: 1234"}
    assert not talk.say(1).changed
    heard = talk.say(2, remote=RemoteConfig("cd" * 32, ConfigStatus.FAILED, "no such key"))
    record = heard.session.record
    assert heard.changed
    assert (record.attributes, record.health, record.effective) == (HOST, health, effective.files)
    assert record.components == parts
    assert record.history[-1].what == f"offered configuration {'cd' * 4} is failed: no such key"
    heard = talk.say(3, effective=EffectiveConfig((), {}))
    assert heard.session.record.effective == ()


def test_after_a_disconnect_a_bare_message_brings_nobody_back() -> None:
    talk = Talk()
    talk.say(0, attributes=HOST)
    assert talk.say(1, leaving=True).counts
    assert talk.seen.status is AgentStatus.STOPPING
    heard = talk.say(2)
    assert (heard.counts, heard.ask) == (False, False)
    assert talk.say(3).ask  # it goes on: it may have come back, and is asked
    assert talk.seen.status is AgentStatus.STOPPING
    assert talk.say(4, attributes=HOST).counts
    assert talk.seen.status is AgentStatus.OK


@pytest.mark.parametrize(
    ("health", "status"),
    [
        (ComponentHealth(True), AgentStatus.OK),
        (ComponentHealth(False), AgentStatus.DEGRADED),
        (ComponentHealth(False, started_at=5.0), AgentStatus.FAILING),
        (ComponentHealth(False, error="no route"), AgentStatus.FAILING),
    ],
)
def test_health_becomes_a_status(health: ComponentHealth, status: AgentStatus) -> None:
    talk = Talk()
    talk.say(0, attributes=HOST, health=health)
    assert (talk.seen.status, talk.seen.message) == (status, health.error)


def test_an_instance_of_ours_is_known_by_its_name_and_carries_its_revision() -> None:
    talk = Talk()
    talk.say(0, attributes={**HOST, "service.instance.id": "collector.prod.r12.1"})
    assert (talk.seen.instance, talk.seen.revision) == ("collector.prod.r12.1", 12)
    talk.say(1, attributes={**HOST, "service.instance.id": "billing.prod.r12.1"})
    assert (talk.seen.instance, talk.seen.revision) == ("billing.prod.r12.1", 0)


def test_the_interval_is_the_offered_one_until_the_agent_shows_which_it_keeps() -> None:
    talk = Talk()
    talk.say(0, attributes=HOST)
    for sequence in range(1, 5):
        talk.say(sequence, 2.0)
        assert talk.seen.interval_s == DEFAULT_INTERVAL_S
    talk.say(5, 2.0)
    assert talk.seen.interval_s == 2.0
    for sequence in range(6, 10):
        talk.say(sequence, 0.6, health=ComponentHealth(True, str(sequence)))  # news come when they come
    assert talk.seen.interval_s == 2.0
    talk.say(10, 120.0)
    assert talk.seen.interval_s == pytest.approx(122.4)
    talk.say(19, 500.0)  # with messages missing it shows nothing
    assert talk.seen.interval_s == pytest.approx(122.4)
    for sequence in range(20, 26):
        talk.say(sequence, 45.0)
    assert talk.seen.interval_s == 45.0


def test_after_our_own_restart_the_conversation_is_taken_up_without_a_gap() -> None:
    talk = Talk()
    talk.say(0, attributes=HOST)
    talk.say(1)
    assert talk.session is not None
    before = talk.seen
    talk.session = resumed(talk.session.record, talk.session.heartbeat)
    heard = talk.say(40)
    assert (heard.counts, heard.ask, heard.changed) == (True, True, False)
    assert (talk.seen.gaps, talk.seen.runs, talk.seen.sequence) == (0, 1, before.sequence + 1)
    talk.say(41, leaving=True)
    talk.session = resumed(talk.session.record, talk.session.heartbeat)
    assert not talk.say(42).counts  # it had left


def test_a_new_uid_goes_on_with_the_state() -> None:
    talk = Talk()
    talk.say(0, attributes=HOST)
    assert talk.session is not None
    talk.session = talk.session.renamed(b"n" * 16)
    heard = talk.say(1)
    assert not heard.ask
    assert heard.session.record.attributes == HOST


def test_history_is_bounded() -> None:
    talk = Talk()
    for number in range(50):
        talk.say(number, attributes={**HOST, "service.version": f"1.{number}"})
    assert talk.session is not None
    assert [change.what for change in talk.session.record.history][-1] == "version 1.48 became 1.49"
    assert len(talk.session.record.history) == 20


def test_two_agents_with_one_uid_differ_in_where_they_are() -> None:
    talk = Talk()
    talk.say(0, attributes=HOST)
    assert talk.session is not None
    assert same_agent(talk.session.record, HOST | {"service.version": "2"})
    assert same_agent(talk.session.record, {"service.name": "collector"})
    assert not same_agent(talk.session.record, HOST | {"host.name": "south"})
