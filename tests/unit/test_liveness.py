"""Pulses and what they say, told in small."""

from dataclasses import replace

import pytest

from tidegate.core.liveness import age, beat, deadline, health
from tidegate.model.heartbeat import AgentHealth, AgentStatus, Heartbeat, Listening, Pulse
from tidegate.model.release import AgentKey

FIRST = Heartbeat(AgentKey("mailer", "prod"), "mailer.prod.r1.1", 1, "1.0.0", AgentStatus.OK, 1, 5000.0, 5.0)


def message(sequence: int, **changes: object) -> Heartbeat:
    return replace(FIRST, sequence=sequence, sent_at=5000.0 + sequence, **changes)  # type: ignore[arg-type]


def heard(*messages: Heartbeat) -> Pulse:
    """A message a second from second 100 on."""
    pulse = None
    for second, each in enumerate(messages):
        pulse = beat(pulse, each, 100.0 + second)
    assert pulse is not None
    return pulse


def test_in_order_nothing_is_missed() -> None:
    pulse = heard(*(message(n) for n in range(1, 5)))
    assert (pulse.gaps, pulse.runs, pulse.first_at, pulse.run_at, pulse.last_at) == (0, 1, 100.0, 100.0, 103.0)


def test_what_was_sent_and_never_arrived_is_a_gap() -> None:
    assert heard(message(1), message(4), message(6)).gaps == 3


def test_a_sequence_that_starts_again_is_a_new_process() -> None:
    pulse = heard(message(8), message(9), replace(message(1), sent_at=5100.0))
    assert (pulse.runs, pulse.run_at, pulse.first_at, pulse.gaps, pulse.sequence) == (2, 102.0, 100.0, 0, 1)


def test_an_overtaken_message_changes_nothing_but_the_time() -> None:
    pulse = heard(message(1), message(3, status=AgentStatus.FAILING), message(2))
    assert (pulse.status, pulse.sequence, pulse.last_at, pulse.runs) == (AgentStatus.FAILING, 3, 102.0, 1)
    assert heard(message(3), message(3)).runs == 1


def test_the_agents_clock_shows_as_skew_and_nowhere_else() -> None:
    pulse = heard(replace(message(1), sent_at=-1e9))
    assert pulse.skew_s == -1e9 - 100.0
    assert health(pulse, Listening(0.0, 101.0)) is AgentHealth.ALIVE


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (100.0, AgentHealth.ALIVE),
        (107.5, AgentHealth.ALIVE),
        (107.6, AgentHealth.LATE),
        (115.0, AgentHealth.LATE),
        (115.1, AgentHealth.GONE),
        (50.0, AgentHealth.ALIVE),
    ],
)
def test_three_intervals(at: float, expected: AgentHealth) -> None:
    assert health(heard(message(1)), Listening(0.0, at)) is expected


def test_silence_counts_only_while_somebody_listens() -> None:
    pulse = heard(message(1))
    assert age(pulse, Listening(None, 500.0)) is None
    assert health(pulse, Listening(None, 500.0)) is AgentHealth.UNKNOWN
    assert age(pulse, Listening(490.0, 500.0)) == 10.0
    assert health(pulse, Listening(490.0, 500.0)) is AgentHealth.UNKNOWN
    assert health(pulse, Listening(490.0, 505.1)) is AgentHealth.GONE
    assert health(None, Listening(0.0, 500.0)) is AgentHealth.UNKNOWN


def test_stopped_on_purpose_is_not_gone() -> None:
    pulse = heard(message(1), message(2, status=AgentStatus.STOPPING))
    assert health(pulse, Listening(0.0, 1e6)) is AgentHealth.STOPPED


def test_the_deadline_is_configured_or_three_intervals_and_never_tiny() -> None:
    assert deadline(5.0) == 15.0
    assert deadline(5.0, 2.0) == 2.0
    assert deadline(0.001) == 3.0
