"""A state that was lost in a running world: the new one takes over what runs, and nobody notices."""

from pathlib import Path

import pytest

from tests.memory import KEY, Tidegate, in_phase, workload
from tidegate.model.event import EventKind
from tidegate.model.intent import Acknowledge
from tidegate.model.rollout import Phase


async def with_a_new_state(tide: Tidegate, folder: Path) -> Tidegate:
    """The same world, and a controller whose state is empty."""
    await tide.state.close()
    world, fresh = tide.world, await Tidegate.begin(folder / "new.db", base=tide.base)
    fresh.path, fresh.world = folder / "new.db", world
    await fresh.restart()
    return fresh


async def test_what_serves_is_taken_over_and_the_next_release_follows_it(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "old.db", base=workload(replicas=2))
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    before = tide.world.lost
    tide = await with_a_new_state(tide, tmp_path)
    started = {name: one.started for name, one in tide.world.containers.items()}
    await tide.ask(Acknowledge())
    turn = await tide.play(lambda turn: turn.settled and turn.decision.state.stable is not None)
    state = turn.decision.state
    assert state.stable is not None
    assert (state.stable.title, state.replicas, state.next_revision) == ("2 (1.1.0)", 2, 3)
    assert {name: one.started for name, one in tide.world.containers.items()} == started, "nothing was touched"
    [told] = [event for event in await tide.events() if event.kind is EventKind.REPAIR]
    assert "revision 2 (1.1.0) is taken over as it is, 2 instances" in told.because
    await tide.deployed("1.2.0")
    assert sorted(tide.world.containers) == ["agent.prod.r3.1", "agent.prod.r3.2"]
    assert tide.world.lost == before == 0


async def test_of_a_canary_half_way_stable_stays_and_the_canary_goes(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "old.db", base=workload(replicas=2))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PROGRESSING))
    await tide.play(lambda turn: any(b.revision == 2 and b.weight for b in tide.world.routes[KEY][0].backends))
    tide = await with_a_new_state(tide, tmp_path)
    await tide.ask(Acknowledge())
    turn = await tide.play(lambda turn: turn.settled and not turn.decision.state.retiring)
    assert turn.decision.state.stable is not None
    assert turn.decision.state.stable.title == "1 (1.0.0)"
    assert sorted(tide.world.containers) == ["agent.prod.r1.1", "agent.prod.r1.2"]
    assert tide.world.lost == 0


async def test_the_same_release_again_is_nothing_to_do(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "old.db")
    await tide.deployed("1.0.0")
    tide = await with_a_new_state(tide, tmp_path)
    answer = await tide.answer(await tide.deploy("1.0.0"))
    assert answer.because == "revision 1 (1.0.0) already runs exactly this; nothing to do"


async def test_an_engine_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """What runs there is not known yet, so a first release may not begin."""
    tide = await Tidegate.begin(tmp_path / "old.db")
    await tide.deployed("1.0.0")
    tide = await with_a_new_state(tide, tmp_path)
    tide.world.reachable = False
    asked = await tide.deploy("1.1.0")
    await tide.play(lambda turn: False, limit_s=3.0)
    assert await tide.state.store.answer(asked) is None
    tide.world.reachable = True
    assert (await tide.answer(asked)).because == "revision 2 (1.1.0) begins"


async def test_what_says_nothing_of_itself_is_not_displaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tide = await Tidegate.begin(tmp_path / "old.db")
    await tide.deployed("1.0.0")
    tide = await with_a_new_state(tide, tmp_path)
    name = next(iter(tide.world.containers))

    async def nothing(platform: object, key: object) -> tuple[()]:
        return ()

    monkeypatch.setattr("tidegate.adapters.platform.memory.platform.MemoryPlatform.found", nothing)
    answer = await tide.answer(await tide.deploy("1.1.0"))
    assert not answer.accepted
    assert f"{name}" in answer.because
    assert "tidegate adopt" in answer.because
    await tide.play(lambda turn: False, limit_s=3.0)
    assert name in tide.world.containers, "what nobody knows is not touched"
    assert tide.world.routes[KEY][0].backends
