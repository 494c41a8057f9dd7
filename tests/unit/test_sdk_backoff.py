from tidegate.sdk.backoff import Backoff


def test_it_doubles_up_to_its_ceiling_and_begins_again() -> None:
    backoff = Backoff(first_s=1.0, most_s=5.0, uniform=lambda low, high: high)
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next() == 1.0


def test_half_of_the_wait_is_random_and_retry_after_is_a_floor() -> None:
    backoff = Backoff(first_s=1.0, uniform=lambda low, high: low)
    assert backoff.next() == 0.5
    assert backoff.next(at_least_s=7.0) == 7.0


def test_a_long_outage_keeps_its_ceiling() -> None:
    backoff = Backoff(first_s=1.0, most_s=30.0)
    waits = [backoff.next() for _ in range(5000)]
    assert all(15.0 <= wait <= 30.0 for wait in waits[10:])
    assert len(set(waits[10:])) > 100
