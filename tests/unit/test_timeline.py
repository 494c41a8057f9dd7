from scripts import timeline
from scripts.load import Plan, Record, Report


def report(*records: tuple[float, int, str]) -> Report:
    made = [Record(n, "GET", at, at, at, status, version, "") for n, (at, status, version) in enumerate(records)]
    return Report(Plan("http://x"), 1000.0, made)


BAD = report((1.0, 200, "1.1.0"), (2.0, 200, "1.2.0"), (3.0, 500, "1.2.0"), (4.5, 200, "1.2.0"), (5.0, 200, "1.1.0"))
EVENTS = [
    {"kind": "phase", "revision": 2, "at": 900.0, "because": "an older story", "data": {"to": "reverting"}},
    {"kind": "phase", "revision": 3, "at": 1000.5, "because": "ready", "data": {"to": "progressing"}},
    {"kind": "phase", "revision": 3, "at": 1004.0, "because": "errors 5 % > 2 %", "data": {"to": "reverting"}},
    {"kind": "phase", "revision": 3, "at": 1006.0, "because": "done", "data": {"to": "rolled_back"}},
]


def test_both_sides_make_one_story_in_order() -> None:
    story = timeline.of(BAD, EVENTS, "1.2.0", 3)
    assert story.problems() == []
    assert (story.requests, story.faults, story.lost) == (3, 1, 0)
    assert [at for at, _ in story.lines()] == [1002.0, 1003.0, 1004.0, 1004.5]
    assert story.lines()[2][1] == "decided to take it back: errors 5 % > 2 %"


def test_what_is_not_as_promised_is_said() -> None:
    silent = timeline.of(report((1.0, 200, "1.1.0"), (2.0, 0, ""), (3.0, 503, "")), [], "1.2.0", 3)
    assert [problem.split()[0] for problem in silent.problems()] == ["the", "no", "2"]
    assert silent.lines() == []
