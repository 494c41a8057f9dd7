"""Who goes quiet: noticed at the deadline, alone or with its host, told once; and nobody for whom nobody listened."""

from collections.abc import Sequence

import pytest

from tests.unit.test_liveness import FIRST
from tests.unit.test_registry import Hand, Memory
from tidegate.control import registry as registry_module
from tidegate.control.attendance import Missed
from tidegate.control.registry import Registry
from tidegate.core import absence
from tidegate.core.absence import FLAPS, TOGETHER
from tidegate.model.event import EventKind
from tidegate.model.heartbeat import AgentHealth, AgentStatus, Heartbeat
from tidegate.model.release import AgentKey

KEY = AgentKey("collector", "prod")
INTERVAL_S = 10.0
DEADLINE_S = 3 * INTERVAL_S


class Place:
    """A registry on a clock that is moved by hand; every second somebody looks."""

    def __init__(self) -> None:
        self.clock = Hand()
        self.registry = Registry(Memory(), self.clock)
        self.registry.open()
        self.sequences: dict[str, int] = {}
        self.missed: list[Missed] = []
        self.told: list[str] = []
        self.kinds: list[EventKind] = []

    def report(self, *names: str, host: str = "", skew_s: float = 0.0, status: AgentStatus = AgentStatus.OK) -> None:
        for name in names:
            self.sequences[name] = self.sequences.get(name, 0) + 1
            attributes = {"host.name": host} if host else None
            sent = self.clock.at + skew_s
            self.registry.hear(
                Heartbeat(KEY, name, 0, "1", status, self.sequences[name], sent, INTERVAL_S, attributes=attributes)
            )

    def wait(self, seconds: float, reporting: Sequence[str] = ()) -> None:
        """Seconds pass, in steps of one; those named report every interval."""
        for second in range(int(seconds)):
            self.clock.at += 1.0
            if second % INTERVAL_S == 0:
                self.report(*reporting)
            self.look()

    def look(self) -> None:
        self.missed += self.registry.look()
        events = self.registry.attendance.take_events()
        self.told += [event.because for event in events]
        self.kinds += [event.kind for event in events]

    @property
    def gone(self) -> list[str]:
        return [missed.name[1] for missed in self.missed]


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_silence_is_noticed_right_after_its_deadline_and_told_once(place: Place) -> None:
    place.report("a", "b")
    at = place.clock.at
    place.wait(4 * DEADLINE_S, ["b"])
    (missed,) = place.missed
    assert (missed.name, missed.health, missed.due) == ((KEY, "a"), AgentHealth.GONE, at + DEADLINE_S)
    assert 0 <= missed.at - missed.due <= 1.0
    assert place.told == ["no heartbeat of a for 30.0 s: 3 missed in a row, one was due every 10 s"]
    place.report("a")
    place.look()
    assert place.told[1:] == ["a reports again, after 120 s"]
    place.wait(2 * DEADLINE_S, ["b"])
    assert place.gone == ["a", "a"]


def test_whoever_stops_on_purpose_is_not_missed(place: Place) -> None:
    place.report("a", status=AgentStatus.STOPPING)
    place.wait(5 * DEADLINE_S)
    assert (place.missed, place.told) == ([], [])


def test_while_nobody_listens_nobody_is_missed_and_afterwards_there_is_time_to_report(place: Place) -> None:
    place.report("a", "b")
    place.registry.shut()
    place.wait(10 * DEADLINE_S)
    assert not place.missed
    place.registry.open()
    place.wait(DEADLINE_S - 2)
    place.report("b")
    assert not place.missed
    place.wait(3)
    assert place.gone == ["a"]  # it had its whole deadline again


async def test_after_the_centres_own_restart_all_have_time_to_come_back(place: Place) -> None:
    place.report(*"abc")
    await place.registry.save()
    place.clock.at += 5 * DEADLINE_S
    registry = Registry(place.registry._store, place.clock)
    await registry.load()
    registry.open()
    place.registry = registry
    place.wait(DEADLINE_S - 1)
    assert not place.missed
    place.report("a", "b")
    place.wait(DEADLINE_S - 1)
    assert place.gone == ["c"]


def test_who_was_turned_away_for_overload_is_not_missed(place: Place) -> None:
    place.report("a")
    for _ in range(5):
        place.wait(DEADLINE_S - 1)
        place.registry.deafened()
    assert not place.missed
    place.wait(DEADLINE_S + 1)
    assert place.gone == ["a"]


def test_one_agents_silence_says_nothing_of_its_host_and_that_of_all_does(place: Place) -> None:
    place.report("a1", "a2", "a3", host="north")
    place.report("b1", host="south")
    place.wait(DEADLINE_S + 2, ["a2", "a3"])
    assert [(one.name[1], one.health) for one in place.missed] == [("a1", AgentHealth.GONE), ("b1", AgentHealth.GONE)]
    assert set(place.kinds) == {EventKind.HEARTBEAT}
    place.wait(2 * DEADLINE_S)
    assert [(one.name[1], one.health) for one in place.missed[2:]] == [
        ("a2", AgentHealth.UNREACHABLE),
        ("a3", AgentHealth.UNREACHABLE),
    ]
    assert place.kinds.count(EventKind.UNREACHABLE) == 1
    assert place.told[-1].startswith("nothing from host north for 30.0 s: 3 missed in a row")
    assert place.registry.attendance.is_gone((KEY, "a1")) is AgentHealth.UNREACHABLE


def test_many_at_once_are_told_in_one_line(place: Place) -> None:
    names = [f"i{number:03}" for number in range(TOGETHER * 3)]
    place.report(*names)
    place.wait(DEADLINE_S + 2)
    assert len(place.missed) == len(names)
    (line,) = place.told
    assert line.startswith("30 instances went quiet together, i000 to i029; for 30.0 s")


def test_whoever_flaps_is_told_of_as_such_and_then_not_every_time(place: Place) -> None:
    for _ in range(FLAPS + 2):
        place.report("a")
        place.look()
        place.wait(DEADLINE_S + 2)
    assert len(place.missed) == FLAPS + 2
    assert "it flaps: 3 times in 10 min" in place.told[-1]
    before = len(place.told)
    place.wait(absence.FLAPPING_S)
    place.report("a")
    place.wait(DEADLINE_S + 2)
    assert len(place.told) == before + 2  # back, and gone: it was steady for long enough


def test_a_clock_that_jumps_is_told_and_nothing_else_follows(place: Place) -> None:
    place.report("a")
    place.report("a", skew_s=-20.0)  # held up on its way: not a clock
    place.report("a")
    place.look()
    assert not place.told
    for _ in range(3):
        place.report("a", skew_s=3600.0)
    place.look()
    assert place.told == ["the clock of a is 3600 s ahead (+3600 s against before); it reports as usual"]
    for _ in range(3):
        place.report("a", skew_s=-1.0)
    place.look()
    assert place.told[1:] == ["the clock of a is 1 s behind (-3601 s against before); it reports as usual"]
    assert not place.missed


def test_instances_of_our_own_are_the_loops_to_tell(place: Place) -> None:
    place.report("collector.prod.r3.1")
    place.wait(DEADLINE_S + 2)
    assert place.gone == ["collector.prod.r3.1"]
    assert not place.told


async def test_the_forgotten_are_not_missed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "FORGET_S", 5.0)
    place.report("a")
    place.wait(6)
    await place.registry.forget()
    place.wait(3 * DEADLINE_S)
    assert not place.missed
    assert FIRST.key not in (name[0] for name in place.sequences)
