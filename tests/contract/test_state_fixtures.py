"""A state written by any tagged version in mid-rollout is carried on by this one."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tidegate.adapters.store.opening import open_state
from tidegate.adapters.store.upgrades import DOCUMENT_VERSION, UPGRADES
from tidegate.model.decision import Decision
from tidegate.model.desired import Desired

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "state"
FIXTURES = sorted(FOLDER.glob("*/*.db"))


def test_there_is_a_fixture() -> None:
    assert FIXTURES


def test_every_older_form_has_an_upgrade() -> None:
    assert set(UPGRADES) == set(range(1, DOCUMENT_VERSION))


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_captured_state_is_carried_on(fixture: Path, tmp_path: Path) -> None:
    file = tmp_path / "tidegate.db"
    shutil.copy(fixture, file)
    with sqlite3.connect(file) as raw:
        written = {
            (a, e): json.loads(text) for a, e, text in raw.execute("SELECT agent, environment, document FROM states")
        }
        events = raw.execute("SELECT count(*) FROM events").fetchone()[0]
        revisions = raw.execute("SELECT count(*) FROM revisions").fetchone()[0]
        open_intents = raw.execute("SELECT count(*) FROM intents WHERE NOT answered").fetchone()[0]
    opened = await open_state(str(file))
    epoch = await opened.lease.acquire("newer", 10.0, 1e12)
    assert epoch is not None
    assert len(await opened.journal.events(None, limit=10**6)) == events
    found_revisions = found_intents = 0
    for key in await opened.store.keys():
        found_intents += len(await opened.store.pending(key))
        found_revisions += len(await opened.journal.revisions(key))
        await opened.journal.releases(key.agent)
        await opened.journal.blocks(key, 0.0, 1e12)
        state = await opened.store.load(key)
        if (key.agent, key.environment) not in written:
            assert state is None
            continue
        assert state is not None
        before = written[key.agent, key.environment]
        assert state.next_revision == before["next_revision"]
        if before["rollout"]:
            assert state.rollout is not None
            assert state.rollout.phase == before["rollout"]["phase"]
            assert state.rollout.weight == before["rollout"]["weight"]
            assert len(state.rollout.strategy.steps) == len(before["rollout"]["strategy"]["steps"])
        await opened.store.save(Decision(state, Desired(key)), epoch)
        assert await opened.store.load(key) == state
    assert (found_revisions, found_intents) == (revisions, open_intents)
    await opened.close()
