"""The state under faults: killed writers, two processes, locks, damage, newer versions, a disk that is really full."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.adapters.store import database
from tidegate.adapters.store.opening import State, open_state
from tidegate.model.decision import Decision
from tidegate.model.desired import Desired
from tidegate.model.errors import LeaseLostError, StoreError
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Answer, Intent, Scale
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState

KEY = AgentKey("logship", "prod")
SOURCES = Path(__file__).resolve().parents[2] / "src"


def decision(number: int, padding: str = "", answers: tuple[Answer, ...] = ()) -> Decision:
    event = Event(float(number), KEY, EventKind.NOTICE, f"decision {number}{padding}", data={"n": number})
    return Decision(AgentState(KEY, replicas=number), Desired(KEY), (event,), answers)


async def held(state: State, holder: str = "a") -> int:
    epoch = await state.lease.acquire(holder, 10.0, 0.0)
    assert epoch is not None
    return epoch


def run(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        text=True,
    )


PREAMBLE = """
import asyncio, sys
from tidegate.adapters.store.opening import open_state
from tidegate.model.decision import Decision
from tidegate.model.desired import Desired
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Intent, Scale
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
KEY = AgentKey("logship", "prod")
"""

SAVES_FOR_EVER = (
    PREAMBLE
    + """
async def main():
    state = await open_state(sys.argv[1])
    epoch = await state.lease.acquire("writer", 1e9, 0.0)
    for n in range(10**9):
        event = Event(float(n), KEY, EventKind.NOTICE, "x" * 3000, data={"n": n})
        await state.store.save(Decision(AgentState(KEY, replicas=n), Desired(KEY), (event,)), epoch)
        print(n, flush=True)
asyncio.run(main())
"""
)

SUBMITS = (
    PREAMBLE
    + """
async def main():
    state = await open_state(sys.argv[1])
    for n in range(int(sys.argv[3])):
        await state.store.submit(Intent(f"{sys.argv[2]}-{n}", KEY, Scale(n), sys.argv[2], float(n)))
    await state.close()
asyncio.run(main())
"""
)


async def test_every_acknowledged_save_survives_kill_9(tmp_path: Path) -> None:
    location = str(tmp_path / "tidegate.db")
    acknowledged = -1
    for round_number in range(3):
        writer = run(SAVES_FOR_EVER, location)
        assert writer.stdout is not None
        for _ in range(15 + 7 * round_number):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.wait(10)
        acknowledged = int(rest[-1]) if rest else acknowledged
        state = await open_state(location)
        loaded = await state.store.load(KEY)
        last = (await state.journal.events(KEY, limit=100_000))[-1][1]
        await state.close()
        assert loaded is not None
        # The one under way may be there too; state and event always belong together.
        assert loaded.replicas in (acknowledged, acknowledged + 1)
        assert last.data["n"] == loaded.replicas


async def test_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    location = str(tmp_path / "tidegate.db")
    clients = [run(SUBMITS, location, name, "40") for name in ("alice", "bob")]
    state = await open_state(location)
    epoch = await held(state)
    answered: set[str] = set()
    deadline = asyncio.get_running_loop().time() + 60
    saves = 0
    while len(answered) < 80 and asyncio.get_running_loop().time() < deadline:
        opened = await state.store.pending(KEY)
        assert not answered & {intent.id for intent in opened}
        answers = tuple(Answer(intent.id, True, "done") for intent in opened)
        saves += 1
        await state.store.save(decision(saves, answers=answers), epoch)
        answered |= {answer.intent for answer in answers}
    assert [client.wait(10) for client in clients] == [0, 0]
    assert answered == {f"{name}-{n}" for name in ("alice", "bob") for n in range(40)}
    assert len(await state.journal.events(KEY, limit=100_000)) == saves
    await state.close()


async def test_a_lock_that_stays_is_named_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.2)
    location = str(tmp_path / "tidegate.db")
    state = await open_state(location)
    epoch = await held(state)
    blocker = sqlite3.connect(location, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another process"):
        await state.store.save(decision(1), epoch)
    assert await state.store.load(KEY) is None
    blocker.execute("ROLLBACK")
    await state.store.save(decision(1), epoch)
    assert (await state.store.load(KEY)) == AgentState(KEY, replicas=1)
    await state.close()


async def test_the_loop_goes_on_while_a_write_waits(tmp_path: Path) -> None:
    location = str(tmp_path / "tidegate.db")
    state = await open_state(location)
    epoch = await held(state)
    blocker = sqlite3.connect(location, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    saving = asyncio.create_task(state.store.save(decision(1), epoch))
    for _ in range(20):
        await asyncio.sleep(0.005)
        assert await state.store.load(KEY) is None
    assert not saving.done()
    blocker.execute("ROLLBACK")
    await asyncio.wait_for(saving, 10)
    await state.close()


@pytest.mark.parametrize("content", [b"this is no database at all, but long enough to be looked at" * 40, b"\0" * 8192])
async def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tidegate.db"
    file.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        await open_state(str(file))
    assert str(file) in caught.value.message
    assert caught.value.hint
    assert file.read_bytes() == content


async def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StoreError, match=r"something else \(tables recipes"):
        await open_state(str(file))


async def test_the_state_of_a_newer_tidegate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.db"
    await (await open_state(str(file))).close()
    with sqlite3.connect(file) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"newer Tidegate \(tables 9999"):
        await open_state(str(file))


async def test_a_document_of_a_newer_tidegate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.db"
    state = await open_state(str(file))
    await state.store.save(decision(1), await held(state))
    with sqlite3.connect(file) as newer:
        newer.execute("UPDATE states SET version = 99")
    with pytest.raises(StoreError, match=r"newer Tidegate \(form 99"):
        await state.store.load(KEY)
    await state.close()


async def test_many_open_a_fresh_state_at_once(tmp_path: Path) -> None:
    location = str(tmp_path / "tidegate.db")
    processes = [run(SUBMITS, location, f"p{n}", "1") for n in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    state = await open_state(location)
    assert len(await state.store.pending(KEY)) == 4
    await state.close()


def test_an_up_to_date_state_opens_without_alembic(tmp_path: Path) -> None:
    location = str(tmp_path / "tidegate.db")
    program = PREAMBLE + "asyncio.run(open_state(sys.argv[1])); print('alembic' in sys.modules)"
    for expected in ("True", "False"):
        process = run(program, location)
        assert process.communicate(timeout=60)[0].strip() == expected


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


async def save_much(state: State, epoch: int) -> None:
    """Save until the pages that the log holds already are used up."""
    for _ in range(50):
        await state.store.save(decision(2, "x" * 100_000), epoch)


async def test_a_full_disk_is_named_and_the_reserve_takes_the_way_back(small_disk: Path) -> None:
    location = str(small_disk / "tidegate.db")
    state = await open_state(location)
    epoch = await held(state)
    await state.store.save(decision(1), epoch)
    ballast = fill(small_disk)
    with pytest.raises(StoreError, match="full"):
        await save_much(state, epoch)
    saved = await state.store.load(KEY)
    await state.store.save_in_reserve(decision(7), epoch)
    assert await state.store.load(KEY) == saved
    await state.close()

    # Another one opens while the disk is still full (reads go on), and once more after there is room.
    still_full = await open_state(location)
    assert await still_full.store.load(KEY) == saved
    await still_full.close()
    ballast.unlink()
    again = await open_state(location)
    assert await again.store.load(KEY) == AgentState(KEY, replicas=7)
    told = [event.because for _, event in await again.journal.events(KEY)]
    assert told[0] == "decision 1"
    assert told[-1] == "decision 7"
    await again.close()


async def test_the_reserve_is_folded_in_before_the_next_save(tmp_path: Path) -> None:
    state = await open_state(str(tmp_path / "tidegate.db"))
    epoch = await held(state)
    await state.store.save(decision(1), epoch)
    await state.store.save_in_reserve(decision(2), epoch)
    await state.store.save(decision(3), epoch)
    await state.store.save(decision(4), epoch)
    assert [event.data["n"] for _, event in await state.journal.events(KEY)] == [1, 2, 3, 4]
    assert await state.store.load(KEY) == AgentState(KEY, replicas=4)
    await state.close()


async def test_whoever_takes_the_lease_decides_on_what_the_reserve_holds(tmp_path: Path) -> None:
    location = str(tmp_path / "tidegate.db")
    standby = await open_state(location)
    state = await open_state(location)
    epoch = await held(state)
    await state.store.save_in_reserve(decision(2), epoch)
    assert await standby.lease.acquire("b", 10.0, 100.0) == epoch + 1
    assert await standby.store.load(KEY) == AgentState(KEY, replicas=2)
    # What the former holder still writes is told, but changes no state.
    await state.store.save_in_reserve(decision(9), epoch)
    with pytest.raises(LeaseLostError):
        await state.store.save(decision(9), epoch)
    await standby.store.save(decision(3), epoch + 1)
    assert await standby.store.load(KEY) == AgentState(KEY, replicas=3)
    assert [event.data["n"] for _, event in await standby.journal.events(KEY)] == [2, 9, 3]
    await state.close()
    await standby.close()


async def test_intents_of_others_wait_through_a_full_disk(small_disk: Path) -> None:
    state = await open_state(str(small_disk / "tidegate.db"))
    intent = Intent("a", KEY, Scale(1), "alice", 0.0, "r" * 300_000)
    ballast = fill(small_disk)
    with pytest.raises(StoreError, match="full"):
        await state.store.submit(intent)
    ballast.unlink()
    await state.store.submit(intent)
    assert await state.store.pending(KEY) == (intent,)
    await state.close()
