"""Which hosts make which wave."""

import pytest

from tidegate.core.fleet import layout
from tidegate.model.waves import Exponential, Host, WavePlan, Waves

HOSTS = tuple(Host(f"h{n}", labels={"ring": "canary"} if n == 3 else {"site": "north"}) for n in range(1, 11))


def names(waves: Waves, away: tuple[str, ...] = ()) -> list[list[int]]:
    return [[int(name[1:]) for name in wave.hosts] for wave in layout(waves, HOSTS, away)]


def test_without_plans_waves_double() -> None:
    assert [len(wave) for wave in names(Waves())] == [1, 2, 4, 3]


@pytest.mark.parametrize(("first", "factor", "sizes"), [(3, 1.0, [3, 3, 3, 1]), (2, 1.5, [2, 3, 4, 1]), (99, 2, [10])])
def test_waves_grow_as_told(first: int, factor: float, sizes: list[int]) -> None:
    assert [len(wave) for wave in names(Waves(exponential=Exponential(first, factor)))] == sizes


def test_labels_choose_and_what_is_left_forms_the_last_wave() -> None:
    plans = (WavePlan({"ring": "canary"}), WavePlan({"site": "north"}, "2"))
    assert names(Waves(plans)) == [[3], [1, 2], [4, 5, 6, 7, 8, 9, 10]]


@pytest.mark.parametrize(("size", "count"), [("1", 1), ("25%", 3), ("1%", 1), ("100%", 10), ("50", 10)])
def test_sizes_are_of_the_whole_fleet_rounded_up(size: str, count: int) -> None:
    assert len(names(Waves((WavePlan(size=size),)))[0]) == count


def test_a_plan_that_finds_no_host_makes_no_wave() -> None:
    assert names(Waves((WavePlan({"ring": "none"}), WavePlan(size="100%")))) == [list(range(1, 11))]


def test_hosts_that_are_away_come_last() -> None:
    assert names(Waves((WavePlan(size="2"),)), ("h1", "h2")) == [[3, 4], [5, 6, 7, 8, 9, 10, 1, 2]]


@pytest.mark.parametrize("sizes", [("1", "30%"), ("100%",), (), ("3", "3", "3", "3")])
def test_every_host_is_in_exactly_one_wave(sizes: tuple[str, ...]) -> None:
    waves = names(Waves(tuple(WavePlan(size=size) for size in sizes)))
    assert sorted(number for wave in waves for number in wave) == list(range(1, 11))
