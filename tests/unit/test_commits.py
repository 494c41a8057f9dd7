"""A change in numbers and as release notes."""

from dataclasses import replace

import pytest

from tidegate.core.commits import entropy, measure, notes, release_notes
from tidegate.model.changes import Change, FileChange, Message

FILES = (
    FileChange("src/a.py", 10, 10, ("ann", "bob"), 0.0),
    FileChange("src/deep/b.py", 20, 0, ("ann",), 86400.0),
    FileChange("logo.png", 0, 0),
)
MESSAGES = (
    Message("c1" * 20, "feat(api)!: drop /v1"),
    Message("c2" * 20, "fix: mend a leak", "It leaked.\n\nBREAKING CHANGE: the pool is\nclosed at once\n\nRefs: 7"),
    Message("c3" * 20, "Merge branch 'x'"),
    Message("c4" * 20, "Tidy up"),
    Message("c5" * 20, "feat: count requests"),
)
CHANGE = Change("b" * 40, FILES, MESSAGES, ("## 2.0", "- all new"), experience=3)


def test_the_numbers_of_a_change() -> None:
    assert measure(CHANGE, 3 * 86400.0) == {
        "lines_added": 30.0,
        "lines_deleted": 10.0,
        "files": 3.0,
        "directories": 3.0,
        "subsystems": 2.0,
        "entropy": 1.0,
        "authors": 2.0,
        "age_days": 2.0,
        "experience": 3.0,
        "commits": 5.0,
    }
    assert measure(Change(), 0.0)["lines_added"] == 0.0


@pytest.mark.parametrize(("lines", "expected"), [((), 0.0), ((5,), 0.0), ((5, 5, 5, 5), 1.0), ((97, 1, 1, 1), 0.1210)])
def test_entropy_says_how_spread_out_a_change_is(lines: tuple[int, ...], expected: float) -> None:
    files = [FileChange(str(index), count, 0) for index, count in enumerate(lines)]
    assert entropy(files) == pytest.approx(expected, abs=1e-3)


def test_notes_call_breaking_changes_out_and_leave_merges_out() -> None:
    told = [(note.title, note.text, note.breaking) for note in notes(CHANGE)]
    assert told == [
        ("Features", "api: drop /v1", "drop /v1"),
        ("Fixes", "mend a leak", "the pool is closed at once"),
        ("Features", "count requests", ""),
        ("Other changes", "Tidy up", ""),
    ]


def test_release_notes_as_markdown() -> None:
    text = release_notes(replace(CHANGE, cut=True), "2.0.0", "1.4.0")
    assert text.splitlines()[:5] == [
        "# 2.0.0 (since 1.4.0)",
        "",
        "## Breaking changes",
        "",
        "- drop /v1 (c1c1c1c1c1c1)",
    ]
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Breaking changes",
        "## Features",
        "## Fixes",
        "## Other changes",
        "## From the project's changelog",
        "## 2.0",
    ]
    assert "more than is shown" in text
    assert release_notes(Change(), "1.0.0", "") == "# 1.0.0\n"
