import pytest

from tidegate.sdk import tasks
from tidegate.sdk.wire import TaskResult


def test_a_return_value_and_an_exception_are_both_results() -> None:
    good = tasks.run("t1", lambda n: f"{n} removed", {"n": 3})
    bad = tasks.run("t2", lambda: 1 / 0)
    assert (good.task, good.ok, good.detail) == ("t1", True, "3 removed")
    assert (bad.ok, bad.detail) == (False, "ZeroDivisionError: division by zero")
    assert good.started_at <= good.ended_at


def test_an_id_runs_once_and_a_repeated_question_gets_the_same_result() -> None:
    results = tasks.Results()
    assert results.claim("t1")
    assert not results.claim("t1")
    assert results.peek() == ()
    done = TaskResult("t1", True, "", 1.0, 2.0)
    results.add(done)
    results.reported(results.peek())
    assert results.peek() == ()
    assert not results.claim("t1")
    assert results.peek() == (done,)


def test_what_is_reported_goes_and_what_came_meanwhile_stays() -> None:
    results = tasks.Results()
    first, second = (TaskResult("t", True, "", 1.0, 2.0) for _ in range(2))
    results.add(first)
    carried = results.peek()
    results.add(second)
    results.reported(carried)
    assert results.peek() == (second,)
    assert results.peek()[0] is second


def test_a_long_outage_keeps_the_newest_results() -> None:
    results = tasks.Results()
    for number in range(tasks.MOST_RESULTS + 5):
        results.add(TaskResult(str(number), True, "", 1.0, 2.0))
    assert results.peek(1)[0].task == "5"


@pytest.mark.parametrize(("now", "due"), [(10.0, 15.0), (14.9, 15.0), (15.0, 20.0), (31.0, 35.0)])
def test_the_schedule_keeps_its_grid(now: float, due: float) -> None:
    assert tasks.next_due(10.0, 5.0, now) == due


@pytest.mark.parametrize(("now", "late"), [(11.0, 0.0), (15.0, 0.0), (22.0, 7.0)])
def test_how_late_the_next_run_is(now: float, late: float) -> None:
    assert tasks.delay(10.0, 5.0, now) == late
