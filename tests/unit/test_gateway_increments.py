"""Increments that tolerate counters beginning anew."""

from tidegate.adapters.gateway.increments import add, increments, since
from tidegate.model.observation import Traffic


def test_what_happened_between_two_readings() -> None:
    before, after = Traffic(10, 1, (4, 6)), Traffic(15, 3, (5, 10))
    assert since(before, after) == Traffic(5, 2, (1, 4))


def test_a_reset_counts_from_nothing() -> None:
    assert since(Traffic(10, 1, (4, 6)), Traffic(3, 1, (2, 1))) == Traffic(3, 1, (2, 1))
    assert since(Traffic(10, 5), Traffic(11, 0)) == Traffic(11, 0), "errors fell: the cluster is another one"
    assert since(Traffic(10, 0, (10, 0)), Traffic(10, 0, (1, 9))) == Traffic(10, 0, (1, 9))


def test_a_histogram_that_appears_later() -> None:
    assert since(Traffic(1, 0), Traffic(2, 0, (2, 0))) == Traffic(1, 0, (2, 0))


def test_revisions_come_and_go() -> None:
    before, after = {1: Traffic(5), 2: Traffic(7)}, {2: Traffic(9), 3: Traffic(4, 4)}
    assert increments(before, after) == {2: Traffic(2), 3: Traffic(4, 4)}


def test_nothing_happened() -> None:
    same = {1: Traffic(5, 1, (2, 3))}
    assert increments(same, same) == {1: Traffic(0, 0, (0, 0))}


def test_together() -> None:
    assert add(Traffic(1, 1, (1,)), Traffic(2, 0, (1, 1))) == Traffic(3, 1, (2, 1))
