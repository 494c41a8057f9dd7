"""The registry: what it answers, what it keeps, and when it hears."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.unit.test_liveness import FIRST
from tidegate.control import registry as registry_module
from tidegate.control.registry import BURST, DEAF_S, FORGET_S, Registry, TooManyError
from tidegate.model.errors import StoreError
from tidegate.model.heartbeat import Action, Ask, Heartbeat, Listening, Pulse
from tidegate.model.release import AgentKey


class Hand:
    """A clock that is moved by hand."""

    at = 1000.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


class Memory:
    """ports.Pulses in a dict; `broken` refuses to save."""

    def __init__(self) -> None:
        self.kept: dict[str, Pulse] = {}
        self.heard = Listening(None, 0.0)
        self.broken = False

    async def save_pulses(self, pulses: Sequence[Pulse], listening: Listening) -> None:
        if self.broken:
            raise StoreError("the disk is full")
        self.kept |= {pulse.instance: pulse for pulse in pulses}
        self.heard = listening

    async def pulses(self, key: AgentKey | None) -> list[Pulse]:
        return list(self.kept.values())

    async def reporting(self) -> tuple[AgentKey, ...]:
        return tuple({pulse.key for pulse in self.kept.values()})

    async def last_listening(self) -> Listening:
        return self.heard

    async def forget_pulses(self, before: float) -> None:
        self.kept = {name: pulse for name, pulse in self.kept.items() if pulse.last_at >= before}


def message(sequence: int, **changes: object) -> Heartbeat:
    return replace(FIRST, sequence=sequence, **changes)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def store() -> Memory:
    return Memory()


@pytest.fixture
def registry(store: Memory, clock: Hand) -> Registry:
    return Registry(store, clock)


def test_whoever_is_known_goes_on_and_a_stranger_is_asked_for_everything(registry: Registry) -> None:
    assert registry.hear(message(7)).next == (Action(Ask.REPORT_STATE),)
    assert registry.hear(message(8)).next == (Action(Ask.CONTINUE),)
    assert registry.hear(message(1, instance="another")).next == (Action(Ask.CONTINUE),)


@pytest.mark.parametrize(("asked", "told"), [(5.0, 5.0), (0.01, 1.0), (9000.0, 300.0)])
def test_the_interval_to_keep_is_within_bounds(registry: Registry, asked: float, told: float) -> None:
    reply = registry.hear(message(1, interval_s=asked))
    assert (reply.interval_s, reply.received_at) == (told, 1000.0)


def test_more_than_anybody_needs_is_refused_and_time_makes_good(registry: Registry, clock: Hand) -> None:
    for sequence in range(1, int(BURST) + 1):
        registry.hear(message(sequence))
    with pytest.raises(TooManyError) as caught:
        registry.hear(message(99))
    assert caught.value.retry_after_s > 0
    registry.hear(message(1, instance="another"))
    clock.at += 1.0
    registry.hear(message(100))


def test_the_number_of_instances_is_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MOST_INSTANCES", 3)
    for name in "abc":
        registry.hear(message(1, instance=name))
    with pytest.raises(TooManyError):
        registry.hear(message(1, instance="d"))
    registry.hear(message(2, instance="a"))
    assert sorted(registry.pulses_of(FIRST.key)) == ["a", "b", "c"]


def test_a_break_in_looking_begins_to_listen_anew(registry: Registry, clock: Hand) -> None:
    assert registry.listening() == Listening(None, 1000.0)
    registry.open()
    clock.at += DEAF_S
    registry.open()
    assert registry.listening() == Listening(1000.0, 1000.0 + DEAF_S)
    clock.at += DEAF_S + 0.1
    assert registry.listening() == Listening(clock.at, clock.at)
    clock.at -= 3600.0  # the clock was set back
    assert registry.listening() == Listening(clock.at, clock.at)
    registry.shut()
    assert registry.listening().since is None


async def test_what_could_not_be_saved_is_saved_with_the_next_batch(registry: Registry, store: Memory) -> None:
    store.broken = True
    registry.hear(message(1))
    registry.hear(message(1, instance="another"))
    await registry.save()
    registry.hear(message(2))
    store.broken = False
    await registry.save()
    assert {name: pulse.sequence for name, pulse in store.kept.items()} == {FIRST.instance: 2, "another": 1}


async def test_a_new_registry_takes_over_what_is_newer(registry: Registry, store: Memory, clock: Hand) -> None:
    registry.hear(message(1))
    registry.hear(message(1, instance="another"))
    await registry.save()
    clock.at += 10
    second = Registry(store, clock)
    second.hear(message(5))
    await second.load()
    assert {name: pulse.sequence for name, pulse in second.pulses_of(FIRST.key).items()} == {
        FIRST.instance: 5,
        "another": 1,
    }
    assert second.hear(message(2, instance="another")).next == (Action(Ask.CONTINUE),)


async def test_the_long_silent_are_forgotten_everywhere(registry: Registry, store: Memory, clock: Hand) -> None:
    registry.hear(message(1))
    await registry.save()
    clock.at += FORGET_S + 1
    registry.hear(message(1, instance="another"))
    await registry.save()
    await registry.forget()
    assert list(registry.pulses_of(FIRST.key)) == ["another"]
    assert list(store.kept) == ["another"]
