"""Counters that go up, are reset, and come from gateways with other bucket counts."""

from tidegate.model.observation import Traffic


def test_between_two_readings() -> None:
    assert Traffic(12, 2, (10, 2)).since(Traffic(10, 1, (9, 1))) == Traffic(2, 1, (1, 1))


def test_a_reset_counts_from_nothing() -> None:
    assert Traffic(3, 0, (3, 0)).since(Traffic(10, 1, (9, 1))) == Traffic(3, 0, (3, 0))


def test_a_reset_that_only_the_histogram_shows() -> None:
    assert Traffic(10, 1, (0, 10)).since(Traffic(10, 1, (9, 1))) == Traffic(10, 1, (0, 10))


def test_a_first_reading_with_buckets_after_one_without() -> None:
    assert Traffic(2, 0, (2, 0)).since(Traffic()) == Traffic(2, 0, (2, 0))
    assert Traffic(1, 0, (1,)).plus(Traffic(2, 1)) == Traffic(3, 1, (1,))
