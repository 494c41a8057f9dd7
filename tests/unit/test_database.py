"""What is asked many times a second is read only when somebody has committed something."""

from pathlib import Path

from sqlalchemy import event

from tidegate.adapters.store.opening import open_state
from tidegate.model.event import Event, EventKind
from tidegate.model.release import AgentKey

KEY = AgentKey("web", "prod")


async def test_nothing_is_read_again_while_nobody_commits(tmp_path: Path) -> None:
    state = await open_state(str(tmp_path / "tidegate.db"))
    statements: list[str] = []
    event.listen(state.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    try:
        for _ in range(10):
            assert await state.store.asked() == ()
            assert await state.journal.events(KEY, after=0) == []
        assert len([one for one in statements if one.startswith("SELECT")]) == 2
        await state.journal.append([Event(1.0, KEY, EventKind.NOTICE, "now")])
        assert len(await state.journal.events(KEY, after=0)) == 1
    finally:
        await state.close()


async def test_a_connection_that_was_opened_anew_is_no_proof_that_nothing_happened(tmp_path: Path) -> None:
    state = await open_state(str(tmp_path / "tidegate.db"))
    try:
        before = await state.database.version()
        assert before == await state.database.version()
        state.database._reader._forget()
        assert before != await state.database.version()
    finally:
        await state.close()
