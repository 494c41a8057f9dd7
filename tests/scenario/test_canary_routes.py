"""Canaries beyond weights, told as stories: requests by rule, sticky users, mirrors, scale, weights by hand."""

from pathlib import Path

import pytest

from tests.memory import KEY, QUICK, Tidegate, in_phase, phase_of, workload
from tidegate.adapters.platform.memory.requests import Request
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.controller.loop import Turn
from tidegate.model import intent
from tidegate.model.event import EventKind
from tidegate.model.rollout import Phase
from tidegate.model.spec import Analyse, Canary, Pause, SetMirror, SetRoute, SetScale, SetWeight
from tidegate.model.traffic import Match, MatchKind, MatchOn, Sticky

USERS = [f"user-{n}" for n in range(1000)]
GROUP = "x-user-group"


def canary(*steps: object, **more: object) -> Canary:
    return Canary(steps=steps, bake_s=2.0, drain_s=2.0, **more)  # type: ignore[arg-type]


async def paused_at(tide: Tidegate, version: str = "2.0-beta") -> Turn:
    """A first release, then a candidate until its first pause, applied."""
    await tide.deployed("1.0.0")
    await tide.deploy(version)
    await tide.play(in_phase(Phase.PAUSED))
    return await tide.play(lambda turn: turn.settled, limit_s=5)


@pytest.mark.parametrize(
    ("match", "inside", "outside"),
    [
        (Match(MatchOn.HEADER, "yes", "x-test"), Request(headers={"x-test": "yes"}), Request(headers={"x-test": "no"})),
        (Match(MatchOn.PATH, "/new", kind=MatchKind.PREFIX), Request("/new/a?b=c"), Request("/old?x=/new")),
        (Match(MatchOn.PATH, r"/v[23]/.*", kind=MatchKind.REGEX), Request("/v2/x"), Request("/v4/x")),
        (Match(MatchOn.COOKIE, "b", "lane"), Request(cookies={"lane": "b"}), Request(cookies={"lane": "bb"})),
        (
            Match(MatchOn.GROUP, "beta", GROUP),
            Request(headers={GROUP: "a, beta"}),
            Request(headers={GROUP: "betas"}),
        ),
    ],
)
async def test_requests_that_match_reach_the_canary(
    tmp_path: Path, match: Match, inside: Request, outside: Request
) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(SetRoute((match,)), Pause()))
    await paused_at(tide)
    assert (tide.world.ask(KEY, inside), tide.world.ask(KEY, outside)) == (2, 1)
    await tide.ask(intent.Abort())
    await tide.play()
    assert tide.world.ask(KEY, inside) == 1
    assert tide.world.lost == 0


async def test_a_version_in_a_header_reaches_the_revision_of_that_version(tmp_path: Path) -> None:
    steps = (SetRoute(version_header="x-version"), SetWeight(10), Pause(), SetWeight(60), Pause())
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(*steps))
    await paused_at(tide, "2.0-beta")

    def asked(version: str) -> int | None:
        return tide.world.ask(KEY, Request(headers={"x-version": version}))

    assert (asked("v2.0-beta"), asked("2.0-beta"), asked("1.0.0"), asked("3"), asked("v2x0-beta")) == (2, 2, 1, 1, 1)
    await tide.ask(intent.Resume())
    await tide.play(lambda turn: tide.world.ask(KEY) == 2)
    assert asked("1.0.0") == 1, "whoever names stable's version gets it until the end"


async def test_an_empty_set_route_takes_the_rules_back(tmp_path: Path) -> None:
    match = Match(MatchOn.HEADER, "yes", "x-test")
    steps = (SetRoute((match,)), Pause(), SetRoute(), SetWeight(1), Pause())
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(*steps))
    await paused_at(tide)
    await tide.ask(intent.Resume())
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.weight == 1))
    await tide.play(lambda turn: turn.settled, limit_s=5)
    assert tide.world.ask(KEY, Request(headers={"x-test": "yes"})) == 1


async def test_a_user_never_goes_back_and_forth(tmp_path: Path) -> None:
    steps = tuple(step for weight in (5, 20, 50, 80) for step in (SetWeight(weight), Analyse(2.0)))
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(*steps, sticky=Sticky(header="x-user")))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    moved: set[str] = set()
    shares: set[int] = set()

    def watch(turn: Turn) -> bool:
        now = {user for user in USERS if tide.world.ask(KEY, Request(headers={"x-user": user})) == 2}
        assert moved <= now, "nobody goes back"
        moved.update(now)
        shares.add(len(now))
        return in_phase(Phase.PROMOTED)(turn) and turn.settled

    await tide.play(watch)
    assert len(shares) == 6
    assert len(moved) == len(USERS)


async def test_abort_takes_sticky_users_back_once_and_keeps_them(tmp_path: Path) -> None:
    strategy = canary(SetWeight(50), Pause(), sticky=Sticky(cookie="session"))
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy)
    await paused_at(tide)
    await tide.ask(intent.Abort())
    await tide.play()
    assert {tide.world.ask(KEY, Request(cookies={"session": user})) for user in USERS} == {1}
    assert tide.world.lost == 0


async def test_a_mirror_is_evidence_and_ends_with_the_first_weight(tmp_path: Path) -> None:
    strategy = canary(SetMirror(10), Analyse(3.0), SetWeight(20), Analyse(3.0))
    tide = await Tidegate.begin(tmp_path / "t.db", {"bad": Behaviour(error_share=0.5)}, strategy=strategy)
    await tide.deployed("1.0.0")
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert not [e for e in await tide.events() if e.kind is EventKind.WEIGHT and e.revision == 2], "no user saw it"
    mirrors: list[tuple[int, bool]] = []

    def watch(turn: Turn) -> bool:
        goals = tide.world.routes[KEY]
        weights = {b.revision: b.weight for b in goals[0].backends}
        mirrors.append((weights.get(3, 0), goals[0].mirror is not None))
        return in_phase(Phase.PROMOTED)(turn)

    await tide.deploy("1.1.0")
    await tide.play(watch)
    assert (0, True) in mirrors
    assert not [weight for weight, mirrored in mirrors if weight and mirrored]


async def test_the_canary_runs_as_many_instances_as_set_scale_says(tmp_path: Path) -> None:
    steps = (SetScale("2"), SetWeight(1), Pause(), SetScale(), Pause(), SetScale("100%"), Pause())
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(*steps), base=workload(4))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    counts = []
    for _ in range(3):
        await tide.play(in_phase(Phase.PAUSED))
        await tide.play(lambda turn: turn.settled, limit_s=5)
        counts.append(len([name for name in tide.world.containers if ".r2." in name]))
        await tide.ask(intent.Resume())
        await tide.play(lambda turn: not in_phase(Phase.PAUSED)(turn))
    assert counts == [2, 1, 4]


async def test_the_background_analysis_begins_with_the_step_that_says_so(tmp_path: Path) -> None:
    late = Canary((SetWeight(20), Pause(8.0), Analyse(None), Pause(20.0), SetWeight(60)), bake_s=5.0)
    tide = await Tidegate.begin(tmp_path / "t.db", {"bad": Behaviour(error_share=0.3)}, strategy=late)
    await tide.deployed("1.0.0")
    await tide.deploy("bad")
    turn = await tide.play(in_phase(Phase.PAUSED))
    began = tide.world.now
    turn = await tide.play()
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert rollout.decided_at is not None
    assert 8.0 <= rollout.decided_at - began < 20.0, "not in the first pause: in the second, before its end"


async def test_a_weight_by_hand_says_who_and_why_and_the_steps_go_on_from_there(tmp_path: Path) -> None:
    strategy = canary(SetWeight(10), Pause(), SetWeight(30), SetWeight(70), Pause())
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy)
    await paused_at(tide)
    await tide.ask(intent.SetWeight(45), by="grace", reason="half of Europe")
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.weight == 45))
    event = [e for e in await tide.events() if e.kind is EventKind.WEIGHT][-1]
    assert (event.data["by"], event.data["reason"], event.data["to"]) == ("grace", "half of Europe", 45)
    assert event.because == "45 % set by grace: half of Europe"
    assert len([name for name in tide.world.containers if ".r2." in name]) == 2, "as many as 45 % of 3 need"
    await tide.ask(intent.Resume(), by="grace")
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.weight == 70))
    weights = [e.data["to"] for e in await tide.events() if e.kind is EventKind.WEIGHT and e.revision == 2]
    assert weights == [10, 45, 70]
    assert tide.world.lost == 0


async def test_a_weight_by_hand_while_baking_pauses_the_promotion(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=QUICK)
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.BAKING))
    await tide.ask(intent.SetWeight(20), by="grace")
    turn = await tide.play(lambda turn: False, limit_s=20)
    assert phase_of(turn.decision.state) is Phase.PAUSED
    assert turn.decision.state.active is not None
    assert turn.decision.state.active.weight == 20
    await tide.ask(intent.Resume())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED


@pytest.mark.parametrize("weight", [-1, 101])
async def test_a_weight_that_is_none_is_refused(tmp_path: Path, weight: int) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(SetWeight(10), Pause()))
    await paused_at(tide)
    asked = await tide.ask(intent.SetWeight(weight))
    await tide.loop.turn()
    answer = await tide.state.store.answer(asked)
    assert answer is not None
    assert not answer.accepted


async def test_no_weight_by_hand_on_the_way_back(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(SetWeight(10), Pause()))
    await paused_at(tide)
    await tide.ask(intent.Abort())
    asked = await tide.ask(intent.SetWeight(50))
    turn = await tide.play()
    answer = await tide.state.store.answer(asked)
    assert answer is not None
    assert not answer.accepted
    assert phase_of(turn.decision.state) is Phase.ABORTED


async def test_promote_full_past_an_approval(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(SetWeight(10), Pause(), SetWeight(50), Pause()))
    await paused_at(tide)
    await tide.ask(intent.Promote(full=True), by="grace")
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert any(e.because == "every step that is left is skipped, by grace" for e in await tide.events())


async def test_a_canary_may_keep_its_former_side_warm_too(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary(SetWeight(50), Analyse(2.0), keep_s=30.0))
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    before = tide.world.now
    await tide.ask(intent.Undo())
    turn = await tide.play(in_phase(Phase.PROMOTED))
    assert tide.world.now - before < 1.0
    assert turn.decision.state.stable is not None
    assert turn.decision.state.stable.warm == 1
