"""Liveness for every order of messages, every clock of an agent and every break in listening."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.liveness import age, beat, deadline, health
from tidegate.model.heartbeat import AgentHealth, AgentStatus, Heartbeat, Listening, Pulse
from tidegate.model.release import AgentKey

numbers = st.floats(-1e12, 1e12)
times = st.floats(0, 1e10)
messages = st.builds(
    Heartbeat,
    key=st.just(AgentKey("a", "b")),
    instance=st.just("a.b.r1.1"),
    revision=st.just(1),
    version=st.just("1"),
    status=st.sampled_from(AgentStatus),
    sequence=st.integers(1, 40),
    sent_at=numbers,
    interval_s=st.floats(0.01, 1000),
    message=st.just(""),
    metrics=st.just({}),
    completed=st.just(()),
)
heard = st.lists(st.tuples(messages, times), min_size=1, max_size=20)


def pulse_of(given: list[tuple[Heartbeat, float]]) -> Pulse:
    pulse = None
    for message, now in given:
        pulse = beat(pulse, message, now)
    assert pulse is not None
    return pulse


@given(heard)
def test_times_never_run_backwards(given: list[tuple[Heartbeat, float]]) -> None:
    pulse = pulse_of(given)
    assert pulse.first_at <= pulse.run_at <= pulse.last_at == max(now for _, now in given)
    assert pulse.gaps >= 0
    assert 1 <= pulse.runs <= len(given)


@given(heard, times, st.none() | times)
def test_the_agents_clock_never_matters(given: list[tuple[Heartbeat, float]], at: float, since: float | None) -> None:
    """The same messages from a clock that is wrong by any constant give the same health."""
    listening = Listening(since, at)
    wrong = [(replace(message, sent_at=message.sent_at + 2.0**40), now) for message, now in given]
    assert health(pulse_of(given), listening) is health(pulse_of(wrong), listening) or not _exact(given)


def _exact(given: list[tuple[Heartbeat, float]]) -> bool:
    """Whether adding to the clock kept the order of the messages' times (floats round)."""
    before = [message.sent_at for message, _ in given]
    after = [sent + 2.0**40 for sent in before]
    return all(
        (a < b) == (c < d) for a, c in zip(before, after, strict=True) for b, d in zip(before, after, strict=True)
    )


@given(heard, times, times)
def test_nobody_is_gone_before_somebody_listened_long_enough(
    given: list[tuple[Heartbeat, float]], since: float, at: float
) -> None:
    pulse = pulse_of(given)
    verdict = health(pulse, Listening(since, at))
    if at - since <= deadline(pulse.interval_s):
        assert verdict is not AgentHealth.GONE
    if at - pulse.last_at <= deadline(pulse.interval_s):
        assert verdict is not AgentHealth.GONE


@given(heard, times, times)
def test_long_silence_is_gone_unless_it_was_on_purpose(
    given: list[tuple[Heartbeat, float]], since: float, longer: float
) -> None:
    pulse = pulse_of(given)
    at = max(since, pulse.last_at) + deadline(pulse.interval_s) + 1.0 + longer
    stopping = pulse.status is AgentStatus.STOPPING
    assert health(pulse, Listening(since, at)) is (AgentHealth.STOPPED if stopping else AgentHealth.GONE)


@given(heard, times, st.none() | times)
def test_silence_is_never_negative_and_unknown_only_while_nobody_listens(
    given: list[tuple[Heartbeat, float]], at: float, since: float | None
) -> None:
    silence = age(pulse_of(given), Listening(since, at))
    assert (silence is None) == (since is None)
    assert silence is None or silence >= 0
