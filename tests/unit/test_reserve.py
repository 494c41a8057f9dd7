"""The reserve: slots in order, torn ones ignored, emptied ones used again."""

from pathlib import Path

import pytest

from tidegate.adapters.store.reserve import FIRST, HEAD, SLOT, SLOTS, Reserve
from tidegate.model.errors import StoreError


@pytest.fixture
def reserve(tmp_path: Path) -> Reserve:
    made = Reserve(tmp_path / "reserve")
    made.prepare()
    return made


def test_what_was_written_is_read_back_in_order(reserve: Reserve) -> None:
    for number in range(3):
        reserve.record({"n": number})
    reserve.prepare()
    assert [record.content for record in Reserve(reserve.path).records()] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert reserve.path.stat().st_mode & 0o777 == 0o600


def test_space_is_taken_when_it_is_made(reserve: Reserve) -> None:
    before = reserve.path.stat()
    reserve.record({"because": "traffic moved to stable"})
    after = reserve.path.stat()
    assert before.st_blocks * 512 >= SLOT * SLOTS
    assert (after.st_blocks, after.st_size) == (before.st_blocks, before.st_size)


def test_emptied_slots_are_used_again_and_numbers_grow(reserve: Reserve) -> None:
    first = [reserve.record({"n": n}) for n in range(SLOTS)]
    with pytest.raises(StoreError, match="slots of the reserve are taken"):
        reserve.record({})
    reserve.empty([first[0].number])
    again = reserve.record({"n": "again"})
    assert again.number == SLOTS + 1
    assert again.id not in {record.id for record in first}
    assert reserve.records()[-1].content == {"n": "again"}


def test_a_torn_record_is_as_if_it_was_not_written(reserve: Reserve) -> None:
    reserve.record({"n": 0})
    reserve.record({"n": 1})
    with reserve.path.open("r+b") as file:
        file.seek(FIRST + SLOT + HEAD.size + 3)
        file.write(b"\xff\xff")
    assert [record.content for record in reserve.records()] == [{"n": 0}]


def test_what_does_not_fit_is_refused(reserve: Reserve) -> None:
    import secrets

    with pytest.raises(StoreError, match="do not fit"):
        reserve.record({"n": secrets.token_hex(SLOT)})
    assert reserve.records() == []


def test_without_a_file_there_is_nothing_to_read_and_writing_says_why(tmp_path: Path) -> None:
    absent = Reserve(tmp_path / "absent")
    assert absent.records() == []
    with pytest.raises(StoreError, match="cannot be used"):
        absent.record({})
