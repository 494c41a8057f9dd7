"""Locks, quarantine, the hold after a rollback, what waits, and images that nothing needs, told as stories."""

from dataclasses import replace
from pathlib import Path

from tests.memory import QUICK, Tidegate, finished, in_phase, phase_of
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.controller.loop import Turn
from tidegate.model import intent
from tidegate.model.event import EventKind
from tidegate.model.monitor import Check, Grade, Item, Stage
from tidegate.model.policy import OnNew, Policy
from tidegate.model.release import Image, Provenance
from tidegate.model.rollout import Phase
from tidegate.model.spec import Rollback

BAD = {"1.1.0": Behaviour(error_share=0.3)}


def version(turn: Turn) -> str:
    stable = turn.decision.state.stable
    return stable.release.version if stable else ""


def shifted(turn: Turn) -> bool:
    rollout = turn.decision.state.active
    return rollout is not None and rollout.weight > 0


async def test_a_rejected_release_stays_out_until_somebody_says_otherwise(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", BAD)
    await tide.deployed("1.0.0")
    turn = await tide.deployed("1.1.0")
    assert [(q.version, q.revision) for q in turn.decision.state.quarantine] == [("1.1.0", 2)]
    again = await tide.answer(await tide.deploy("1.1.0"))
    assert not again.accepted
    assert "in quarantine since revision 2 went back: " in again.because
    assert not (await tide.answer(await tide.ask(intent.Retry()))).accepted
    assert not (await tide.answer(await tide.deploy("1.1.0", override_quarantine=True))).accepted, "a reason is needed"
    other = await tide.answer(await tide.deploy("1.1.0", replace(tide.base, environment={"MODE": "safe"})))
    assert other.accepted, "another configuration is another release"
    await tide.play()
    assert not (await tide.answer(await tide.ask(intent.LiftQuarantine(9), reason="x"))).accepted
    await tide.restart()
    assert (await tide.answer(await tide.ask(intent.LiftQuarantine(2), reason="it was the disk"))).accepted
    tide.world.behaviours = {}
    await tide.deploy("1.1.0")
    turn = await tide.play()
    assert version(turn) == "1.1.0"


async def test_what_was_promoted_in_spite_of_the_quarantine_leaves_it(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", BAD)
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    tide.world.behaviours = {}
    await tide.ask(intent.Retry(override_quarantine=True), by="grace", reason="the database was full")
    turn = await tide.play()
    assert version(turn) == "1.1.0"
    assert turn.decision.state.quarantine == ()


async def test_an_abort_and_a_missing_image_are_no_rejection(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(shifted)
    await tide.ask(intent.Abort())
    turn = await tide.play()
    assert (turn.decision.state.quarantine, turn.decision.state.held) == ((), None)
    tide.world.images["agent:1.2.0"] = "the registry does not answer"
    turn = await tide.deployed("1.2.0")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert turn.decision.state.quarantine == ()


async def test_automatic_deliveries_are_held_after_a_rollback_until_acknowledged(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", BAD, policy=Policy(on_new=OnNew.QUEUE))
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    queued = await tide.answer(await tide.deploy("1.2.0", automatic=True))
    assert queued.because.startswith("1.2.0 waits until somebody acknowledges: revision 2 (1.1.0) went back")
    turn = await tide.play(lambda turn: False, limit_s=30)
    assert version(turn) == "1.0.0"
    tide.policy = Policy()
    refused = await tide.answer(await tide.deploy("1.3.0", automatic=True))
    assert "automatic deliveries are held" in refused.because
    await tide.ask(intent.Acknowledge(), by="grace")
    turn = await tide.play(lambda turn: version(turn) == "1.2.0" and finished(turn), limit_s=300)
    assert version(turn) == "1.2.0"


async def test_the_hold_is_a_matter_of_policy(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", BAD, rollback=Rollback(hold=False))
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    assert (await tide.answer(await tide.deploy("1.2.0", automatic=True))).accepted


async def test_of_those_that_wait_only_the_newest_comes(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", policy=Policy(on_new=OnNew.QUEUE))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(shifted)
    first = await tide.answer(await tide.deploy("1.2.0"))
    assert first.because == "1.2.0 waits for the end of revision 2 (1.1.0)"
    second = await tide.answer(await tide.deploy("1.3.0"))
    assert second.because.endswith("1.2.0 no longer waits")
    await tide.restart()
    await tide.ask(intent.Promote(full=True), reason="nobody watched for a while")
    turn = await tide.play(lambda turn: version(turn) == "1.3.0" and finished(turn), limit_s=300)
    assert version(turn) == "1.3.0"
    versions = [r.release.version for r in await tide.state.journal.revisions(turn.decision.state.key)]
    assert versions == ["1.0.0", "1.1.0", "1.3.0"]


async def test_a_newer_release_supersedes_traffic_back_to_stable_first(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", policy=Policy(on_new=OnNew.SUPERSEDE))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(shifted)
    await tide.deploy("1.2.0", by="grace")
    turn = await tide.play(lambda turn: version(turn) == "1.2.0" and finished(turn), limit_s=300)
    assert version(turn) == "1.2.0"
    weights = [(e.revision, e.data["to"]) for e in await tide.events() if e.kind is EventKind.WEIGHT]
    assert weights.index((2, 0)) < weights.index((3, 10))
    assert tide.world.lost == 0


async def test_a_way_back_is_not_superseded(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", BAD, policy=Policy(on_new=OnNew.SUPERSEDE))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.REVERTING))
    answer = await tide.answer(await tide.deploy("1.2.0"))
    assert answer.because == "1.2.0 waits for the end of revision 2 (1.1.0)"
    turn = await tide.play(lambda turn: version(turn) == "1.2.0" and finished(turn), limit_s=300)
    ends = [(e.revision, e.data["to"]) for e in await tide.events() if e.kind is EventKind.PHASE]
    assert ends.index((2, Phase.ROLLED_BACK)) < ends.index((3, Phase.STARTING))
    assert version(turn) == "1.2.0"


async def test_nobody_but_its_owner_deploys_while_a_lock_lasts(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    assert not (await tide.answer(await tide.ask(intent.TakeLock(60.0), by="ada"))).accepted, "a reason is needed"
    taken = await tide.answer(await tide.ask(intent.TakeLock(60.0), by="ada", reason="load test"))
    assert taken.because.startswith("lock 1: ada alone deploys until ")
    refused = await tide.answer(await tide.deploy("1.1.0", by="grace"))
    assert "locked by ada until" in refused.because
    assert not (await tide.answer(await tide.ask(intent.TakeLock(9.0), by="grace", reason="me too"))).accepted
    assert not (await tide.answer(await tide.ask(intent.Unlock(), by="grace"))).accepted
    assert not (await tide.answer(await tide.ask(intent.Unlock(force=True), by="grace"))).accepted, "a reason is needed"
    assert (await tide.answer(await tide.deploy("1.1.0", by="ada", lock_epoch=1))).accepted
    await tide.ask(intent.Abort(), by="grace", reason="the way back is never locked")
    assert phase_of((await tide.play()).decision.state) is Phase.ABORTED
    await tide.play(lambda turn: False, limit_s=70)
    await tide.ask(intent.TakeLock(60.0), by="grace", reason="after it expired")
    late = await tide.answer(await tide.deploy("1.1.0", by="grace", lock_epoch=1))
    assert "lock 1 is over: lock 2 of grace holds" in late.because
    assert (await tide.answer(await tide.deploy("1.1.0", by="grace", lock_epoch=2))).accepted


async def test_the_monitor_table_is_filled_while_it_goes_back_and_kept(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", BAD)
    await tide.deployed("1.0.0")
    turn = await tide.deployed("1.1.0")
    assert turn.decision.state.rollout is not None
    grades = [row.grade for row in turn.decision.state.rollout.monitor]
    assert grades == [Grade.PASS, Grade.PASS, Grade.RUNNING], "verifying does not hold up the end"
    await tide.restart()
    turn = await tide.play(lambda turn: False, limit_s=20)
    assert turn.decision.state.rollout is not None
    last = turn.decision.state.rollout.monitor[-1]
    assert last.grade is Grade.PASS
    assert last.because.startswith("a silent log; 0 of ")
    told = [e.because for e in await tide.events() if e.kind is EventKind.MONITOR]
    assert [text.partition(":")[0] for text in told] == [
        "precheck / probe ready / 30 s",
        "execute / instances switched / 60 s",
        "verify / log error rate / 45 s",
    ]


async def test_a_way_back_that_does_not_help_is_told_and_not_rolled_back(tmp_path: Path) -> None:
    table = (Check(Stage.VERIFY, Item.LOG_ERROR_RATE, 12.0, 0.02),)
    tide = await Tidegate.begin(tmp_path / "t.db", dict(BAD), rollback=Rollback(monitor=table))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.REVERTING))
    tide.world.behaviours = {"1.0.0": Behaviour(error_share=0.5)}
    turn = await tide.play(lambda turn: False, limit_s=30)
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    notice = [e for e in await tide.events() if e.kind is EventKind.NOTICE][-1]
    assert notice.data["end"] == "unverified"
    assert version(turn) == "1.0.0"


async def test_images_of_ours_that_fell_out_of_the_history_are_removed(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", rollback=Rollback(history=2))

    async def deployed(name: str, commit: str) -> Turn:
        base = tide.base
        made = intent.Release(f"id-{name}", "agent", name, Image(f"agent:{name}"), base, Provenance(commit))
        action = intent.Deploy(made, base, QUICK, tide.analysis, tide.rollback)
        await tide.ask(action)
        return await tide.play()

    for name, commit in (("1", "c1"), ("2", ""), ("3", "c3"), ("4", "c4")):
        turn = await deployed(name, commit)
    turn = await tide.play(lambda turn: False, limit_s=10)
    assert tide.world.removed == {"agent:1"}, "2 was not brought by us, 3 is needed for undo"
    assert [own.image.reference for own in turn.decision.state.images] == ["agent:3", "agent:4"]
    await tide.ask(intent.Undo())
    assert version(await tide.play()) == "3"


async def test_what_went_back_can_be_decommissioned_while_its_monitor_table_is_open(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", BAD)
    await tide.deployed("1.0.0")
    turn = await tide.deployed("1.1.0")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert any(row.grade.open for row in rollout.monitor), "its last check looks for a while yet"
    await tide.ask(intent.Decommission())
    await tide.play(lambda turn: turn.settled and not tide.world.containers, limit_s=10)
    assert not tide.world.containers
