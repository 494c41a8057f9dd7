"""What stands around a fleet: locks, quarantine, holds, what waits, hooks and notices, told as stories."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.fleets import KEY, LIMITS, QUICK_DISK, Fleet, ended, in_phase, waves
from tests.memory import release
from tidegate.adapters.platform.memory.clock import MemoryClock
from tidegate.adapters.platform.memory.world import Behaviour, Deed
from tidegate.controller.outbox import Books, Teller
from tidegate.model import intent as intents
from tidegate.model.event import Event
from tidegate.model.fleet import FleetState
from tidegate.model.policy import Channel, Endpoint, OnNew, Policy
from tidegate.model.rollout import Phase
from tidegate.model.spec import Hook, Hooks, InPlace

NEVER = {"2.0.0": Behaviour(ready_after_s=None)}
MIGRATE = Hooks(pre=(Hook("migrate", ("migrate",)),), post=(Hook("smoke", ("smoke",)),))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """On a quick disk."""
    with tempfile.TemporaryDirectory(dir=QUICK_DISK) as folder:
        yield Path(folder)


async def to_the_end(fleet: Fleet, version: str, **more: object) -> FleetState:
    await fleet.deploy(version, **more)
    await fleet.turn()
    return await fleet.play(ended)


def phase(state: FleetState) -> Phase:
    assert state.rollout is not None
    return state.rollout.phase


async def test_what_one_host_rejected_is_kept_from_all_of_them(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1"), {"h2": NEVER})
    await fleet.deployed("1.0.0")
    assert phase(await fleet.deployed("2.0.0")) is Phase.ROLLED_BACK
    refused = await fleet.answered(await fleet.deploy("2.0.0"))
    assert not refused.accepted
    assert "2.0.0 is in quarantine since revision 2 went back" in refused.because
    assert set((await fleet.versions()).values()) == {"1.0.0"}
    assert not (await fleet.answered(await fleet.ask(intents.LiftQuarantine(2)))).accepted, "without a reason"
    assert (await fleet.answered(await fleet.ask(intents.LiftQuarantine(2), reason="h2 is mended"))).accepted
    fleet.worlds["h2"].behaviours = {}
    assert phase(await fleet.deployed("2.0.0")) is Phase.PROMOTED
    assert set((await fleet.versions()).values()) == {"2.0.0"}


async def test_automatic_deliveries_are_held_after_a_fleet_went_back(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("1"), {"h1": NEVER})
    await fleet.deployed("1.0.0")
    await fleet.deployed("2.0.0")
    refused = await fleet.answered(await fleet.deploy("3.0.0", automatic=True))
    assert "automatic deliveries are held: revision 2 (2.0.0) went back" in refused.because
    await fleet.ask(intents.Acknowledge())
    assert phase(await to_the_end(fleet, "3.0.0", automatic=True)) is Phase.PROMOTED


async def test_a_lock_keeps_everybody_else_from_the_whole_fleet(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("1"))
    await fleet.deployed("1.0.0")
    taken = await fleet.answered(await fleet.ask(intents.TakeLock(600.0), reason="load test", by="grace"))
    assert taken.because.startswith("lock 1: grace alone deploys until")
    refused = await fleet.answered(await fleet.deploy("2.0.0"))
    assert "locked by grace" in refused.because
    assert (await fleet.answered(await fleet.ask(intents.Unlock(), by="grace"))).accepted
    assert phase(await fleet.deployed("2.0.0")) is Phase.PROMOTED


@pytest.mark.parametrize("on_new", [OnNew.QUEUE, OnNew.SUPERSEDE])
async def test_a_new_release_waits_or_takes_the_place(tmp_path: Path, on_new: OnNew) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("1"))
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.turn()
    await fleet.play(in_phase(Phase.BAKING))
    assert (await fleet.answered(await fleet.deploy("2.0.0"))).because.endswith("under way already; carrying on")
    waits = await fleet.answered(await fleet.deploy("3.0.0", policy=Policy(on_new=on_new)))
    assert waits.because.startswith("3.0.0 waits until")
    state = await fleet.play(lambda state: state.stable is not None and state.stable.release.version == "3.0.0")
    assert set((await fleet.versions()).values()) == {"3.0.0"}
    served = [revision.release.version for revision in state.history]
    assert served == (["1.0.0", "2.0.0", "3.0.0"] if on_new is OnNew.QUEUE else ["1.0.0", "3.0.0"])
    assert all(world.lost == 0 for world in fleet.worlds.values())


async def test_a_migration_runs_on_one_host_and_nothing_begins_before_it_is_done(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("100%"))
    await fleet.deployed("1.0.0")
    for world in fleet.worlds.values():
        world.deeds = {"migrate": Deed(seconds=5.0)}
    await fleet.deploy("2.0.0", hooks=MIGRATE)
    await fleet.play_for(4.0)
    assert set((await fleet.versions()).values()) == {"1.0.0"}, "the migration still runs"
    assert phase(await fleet.play(ended)) is Phase.PROMOTED
    assert {name: world.runs for name, world in fleet.worlds.items()} == {
        "h1": ["migrate", "smoke"],
        "h2": ["smoke"],
        "h3": ["smoke"],
    }


async def test_a_migration_that_fails_changes_no_host_and_runs_anew_only_by_a_persons_word(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("100%", limits=replace(LIMITS, failed_minimum=3)))
    await fleet.deployed("1.0.0")
    fleet.worlds["h1"].deeds = {"migrate": Deed(exit_code=1, log=("no such column",))}
    state = await to_the_end(fleet, "2.0.0", hooks=MIGRATE)
    assert phase(state) is Phase.ROLLED_BACK
    assert state.rollout is not None
    assert state.rollout.fault.startswith("the pre hooks did not succeed on h1: hook migrate failed")
    assert [world.runs for world in fleet.worlds.values()] == [["migrate"], [], []]
    fleet.worlds["h1"].deeds = {}
    await fleet.ask(intents.Retry())
    await fleet.turn()
    assert phase(await fleet.play(ended)) is Phase.PROMOTED


async def test_a_carrier_cut_off_in_mid_migration_is_waited_for(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("100%"))
    await fleet.deployed("1.0.0")
    fleet.worlds["h1"].deeds = {"migrate": Deed(seconds=3.0)}
    await fleet.deploy("2.0.0", hooks=MIGRATE)
    await fleet.play_for(1.5)
    fleet.worlds["h1"].reachable = False
    await fleet.play_for(20.0)
    assert fleet.worlds["h2"].runs == []
    assert (await fleet.versions())["h2"] == "1.0.0"
    fleet.worlds["h1"].reachable = True
    assert phase(await fleet.play(ended)) is Phase.PROMOTED
    assert [world.runs.count("migrate") for world in fleet.worlds.values()] == [1, 0]


async def test_a_breaking_release_in_place_is_accepted_once_for_all_hosts(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("1"), strategy=InPlace(bake_s=4.0))
    await fleet.deployed("1.0.0")
    state = await to_the_end(fleet, "2.0.0")
    assert phase(state) is Phase.ROLLED_BACK
    assert state.rollout is not None
    assert "1.0.0 -> 2.0.0 is a breaking step" in state.rollout.fault
    state = await to_the_end(fleet, "2.0.0", accept_breaking=True)
    assert state.rollout is not None
    assert state.rollout.phase is Phase.PROMOTED, state.rollout.fault


@dataclass
class Heard:
    """ports.Notifier that remembers."""

    told: list[tuple[str, Event]] = field(default_factory=list)

    async def deliver(self, endpoint: Endpoint, sequence: int, event: Event) -> None:
        self.told.append((endpoint.name, event))

    async def close(self) -> None:
        pass


async def test_the_end_is_told_once_by_the_fleet_and_not_by_every_host(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1"), {"h3": NEVER})
    policy = Policy(notify=(Endpoint("ops", Channel.SLACK, url="http://ops.example"),))
    await to_the_end(fleet, "1.0.0", policy=policy)
    await to_the_end(fleet, "2.0.0", policy=policy)
    heard = Heard()
    state, clock = fleet.state, MemoryClock(fleet.worlds["h1"])
    teller = Teller(Books(state.store, state.journal, state.outbox, clock, state.fleets), heard)
    await teller.finish(20.0)
    assert [event.data["end"] for _, event in heard.told] == [Phase.PROMOTED, Phase.ROLLED_BACK]
    assert all(event.key == KEY for _, event in heard.told)
    last = heard.told[-1][1]
    assert (last.data["version"], last.data["former"]) == ("2.0.0", "1.0.0")
    assert release("2.0.0", fleet.base).image.reference == last.data["image"]
