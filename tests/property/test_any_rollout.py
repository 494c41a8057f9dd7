"""Any spec, fault and word, a controller killed at any operation, a clock that jumps: promises hold, every run ends.

A state machine over the memory platform and a real SQLite store. While it runs, every operation is checked as it is
made; at the end people stop meddling, and in time everything must be at rest: one revision, all of it, serving.
"""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.fleets import QUICK_DISK
from tests.memory import KEY, Tidegate, workload
from tests.property.test_crash import PREVIEW, Assassin, Killed
from tidegate.adapters.platform.memory.world import Behaviour, Deed, World
from tidegate.controller.loop import Turn
from tidegate.core.strategies.rolling import limits
from tidegate.model import intent
from tidegate.model.alerting import ALERTMANAGER, Alerting, AlertRule, OnAlert
from tidegate.model.observation import InstanceState
from tidegate.model.operation import Operation, StartInstance
from tidegate.model.policy import Gate, OnNew, Policy
from tidegate.model.rollout import AgentState, PauseKind, Phase, Rollout
from tidegate.model.spec import (
    Analyse,
    BackedUp,
    BlueGreen,
    Canary,
    Hook,
    Hooks,
    InPlace,
    Pause,
    Rollback,
    Rolling,
    SetMirror,
    SetRoute,
    SetScale,
    SetWeight,
    Strategy,
)
from tidegate.model.traffic import Match, MatchOn, Preview, Sticky
from tidegate.model.verdict import Outcome

BEHAVIOURS = {
    "good": Behaviour(),
    "slow": Behaviour(ready_after_s=4.0),
    "late-errors": Behaviour(error_share=0.3, fault_after_s=6.0),
    "errors": Behaviour(error_share=0.2),
    "crash-loop": Behaviour(exits_after_s=0.4),
    "dies-late": Behaviour(oom_after_s=9.0),
    "never-ready": Behaviour(ready_after_s=None),
    "no-image": Behaviour(image="manifest unknown"),
    "refused": Behaviour(refused="no space left on device"),
}
ALERTS = Alerting(
    (
        AlertRule("slow", "gateway", "error_share", above=0.25, over_s=5.0, for_s=1.0, on_alert=OnAlert.PAUSE),
        AlertRule("Back", ALERTMANAGER, on_alert=OnAlert.ROLLBACK),
        AlertRule("Hold", ALERTMANAGER, on_alert=OnAlert.PAUSE),
    ),
    within_s=30.0,
)
END_S = 400.0
"""The longest that a run may take once nobody meddles any more: the deadlines of these specs, one after the other."""

seconds = st.sampled_from([0.0, 1.0, 3.0])
sizes = st.sampled_from(["0", "1", "50%"])
steps = st.one_of(
    st.builds(SetWeight, st.integers(0, 100)),
    st.builds(Pause, st.sampled_from([None, 1.0])),
    st.builds(Analyse, st.sampled_from([1.0, 4.0])),
    st.builds(SetMirror, st.sampled_from([0, 30])),
    st.builds(SetScale, st.sampled_from(["", "2", "50%"])),
    st.just(SetRoute((Match(MatchOn.HEADER, "yes", "x-test"),))),
    st.just(SetRoute()),
    st.builds(Gate, st.just("half"), expires_s=st.just(5.0)),
)
PATIENCE_S = 40.0
strategies = st.one_of(
    st.builds(
        Canary,
        st.lists(steps, max_size=5).map(tuple),
        st.sampled_from([None, Sticky(cookie="lane")]),
        bake_s=seconds,
        keep_s=seconds,
        drain_s=seconds,
    ),
    st.builds(Rolling, sizes, sizes, seconds, seconds, seconds),
    st.builds(
        BlueGreen,
        st.sampled_from([None, Preview(PREVIEW)]),
        st.sampled_from([0, 20]),
        seconds,
        st.booleans(),
        seconds,
        seconds,
        seconds,
    ),
    st.builds(InPlace, st.sampled_from([(), (BackedUp("data"),), (BackedUp("data", restore=True),)]), bake_s=seconds),
)
hooks = st.sampled_from(
    [Hooks(), Hooks(pre=(Hook("migrate", ("migrate",)),)), Hooks(post=(Hook("smoke", ("smoke",)),))]
)


class Watch(Assassin):
    """Every operation, as it is made; kills the controller at the points that are set."""

    def __init__(self, world: World, rollout: Callable[[], Rollout | None]) -> None:
        super().__init__(world, [])
        self.rollout = rollout

    def arm(self, call: int, when: str) -> None:
        """Die at the n-th call from now."""
        self.first, self.points = self.world.calls, {(call, when)}

    def keeps_promises(self, operation: Operation) -> None:
        super().keeps_promises(operation)
        rollout = self.rollout()
        if isinstance(operation, StartInstance) and rollout is not None and isinstance(rollout.strategy, InPlace):
            up = {name for name, c in self.world.containers.items() if c.state is InstanceState.RUNNING}
            assert up <= {operation.name}, f"in place, {operation.name} would run beside {up}"


def may_serve_nothing(strategy: Strategy, replicas: int) -> bool:
    """Whether the spec itself allows a moment in which nothing serves."""
    match strategy:
        case InPlace():
            return True
        case Rolling():
            return limits(strategy, replicas)[1] >= replicas
    return False


class AnyRollout(RuleBasedStateMachine):
    """One agent in one environment, and everything that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(dir=QUICK_DISK)
        self.harmed = False
        self.number = 0
        self.former: AgentState | None = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(replicas=st.integers(1, 3), routes=st.booleans())
    def begin(self, replicas: int, routes: bool) -> None:
        path = Path(self.folder.name) / "t.db"
        base = workload(replicas, routes)
        rollback = Rollback(ready_deadline_s=8.0, switch_deadline_s=8.0, hold=False)
        versions = {f"{name}-{n}": behaviour for name, behaviour in BEHAVIOURS.items() for n in range(60)}
        self.tide: Tidegate = self.run(Tidegate.begin(path, versions, base=base, rollback=rollback))
        self.tide.world.rates[PREVIEW] = 5.0
        self.watch = self.tide.world.on_call = Watch(self.tide.world, self.under_way)
        self.run(self.tide.deployed("1.0.0"))

    def under_way(self) -> Rollout | None:
        state = self.tide.loop.state
        return state.active if state is not None else None

    async def turns(self, seconds: float) -> Turn:
        """Turn for a time, through kills."""
        end = self.tide.world.now + seconds
        while True:
            try:
                turn = await self.tide.play(self.look, limit_s=max(0.0, end - self.tide.world.now))
            except Killed:
                await self.tide.restart()
                continue
            if self.tide.world.now >= end:
                return turn

    def look(self, turn: Turn) -> bool:
        """What must hold after every turn; never the end of it."""
        state, former = turn.decision.state, self.former
        self.former = state
        rollout = state.rollout
        if rollout is not None and may_serve_nothing(rollout.strategy, state.replicas):
            self.harmed = True
        lost = self.tide.world.lost
        assert self.harmed or lost == 0, f"{lost:.0f} requests lost: {rollout and rollout.because}; {self.seen()}"
        if former is None or former.rollout is None or rollout is None or former.rollout.id != rollout.id:
            return False
        before = former.rollout
        if before.phase is not Phase.REVERTING and rollout.fault.startswith("alert "):
            speaks = [one for one in state.alerts if one.acted and one.on_alert is OnAlert.ROLLBACK]
            assert any(one.since >= rollout.started_at for one in speaks), rollout.fault
        if before.phase is Phase.REVERTING:
            assert rollout.phase in (Phase.REVERTING, Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED)
            assert rollout.weight <= before.weight
        if before.verdict is not None and before.verdict.outcome is Outcome.FAIL and not rollout.approved_by:
            assert rollout.weight <= before.weight, f"{before.weight} -> {rollout.weight} % on {before.verdict.because}"
        return False

    # What people ask.

    @rule(
        kind=st.sampled_from(sorted(BEHAVIOURS)),
        strategy=strategies,
        hooks=hooks,
        on_new=st.sampled_from(OnNew),
        gate=st.sampled_from([None, None, Gate("board", expires_s=5.0)]),
    )
    def deploy(self, kind: str, strategy: Any, hooks: Hooks, on_new: OnNew, gate: Gate | None) -> None:
        self.number += 1
        self.tide.strategy = replace(strategy, progress_deadline_s=PATIENCE_S)
        self.tide.policy = Policy(gate=gate, on_new=on_new, alerts=ALERTS)
        self.run(self.tide.deploy(f"{kind}-{self.number}", hooks=hooks, accept_breaking=True))
        self.run(self.turns(0.3))

    @rule(
        action=st.sampled_from(
            [
                intent.Pause(),
                intent.Resume(),
                intent.Promote(),
                intent.Promote(True),
                intent.Abort(),
                intent.Undo(),
                intent.Retry(),
                intent.Restart(),
                intent.Approve(),
                intent.Reject(),
                intent.SetWeight(0),
                intent.SetWeight(60),
                intent.SetWeight(100),
                intent.Scale(1),
                intent.Scale(3),
            ]
        )
    )
    def ask(self, action: intent.Action) -> None:
        self.run(self.tide.ask(action, reason="because"))
        self.run(self.turns(0.3))

    @rule(
        name=st.sampled_from(["Back", "Hold", "Unknown"]),
        firing=st.booleans(),
        age=st.sampled_from([0.0, 0.0, 1.0, 60.0]),
        revision=st.sampled_from([None, None, 1, 2, 3]),
    )
    def an_alertmanager_tells(self, name: str, firing: bool, age: float, revision: int | None) -> None:
        told = intent.TellAlert(name, name, firing, self.tide.world.now - age, "because", revision=revision)
        self.run(self.tide.ask(told))
        self.run(self.turns(0.3))

    # What happens.

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 15.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(self.turns(seconds))

    @rule(call=st.integers(1, 8), when=st.sampled_from(["before", "after"]))
    def the_controller_is_killed(self, call: int, when: str) -> None:
        self.watch.arm(call, when)

    @rule(seconds=st.sampled_from([-3600.0, -20.0, 20.0, 3600.0]))
    def the_clock_jumps(self, seconds: float) -> None:
        """The wall's clock alone: what runs does not get older by it."""
        world = self.tide.world
        world.now += seconds
        for container in world.containers.values():
            container.started_at += seconds
        for job in world.jobs.values():
            job.started_at = None if job.started_at is None else job.started_at + seconds
        self.run(self.turns(0.3))

    @rule(seconds=st.sampled_from([1.0, 20.0]))
    def the_engine_is_away(self, seconds: float) -> None:
        self.tide.world.reachable = False
        self.run(self.turns(seconds))
        self.tide.world.reachable = True

    @rule(which=st.integers(0, 5))
    def somebody_removes_a_container(self, which: int) -> None:
        names = sorted(self.tide.world.containers)
        if names:
            self.harmed = True
            del self.tide.world.containers[names[which % len(names)]]

    @rule(which=st.integers(0, 5))
    def a_container_exits(self, which: int) -> None:
        running = [c for c in self.tide.world.containers.values() if c.state is InstanceState.RUNNING]
        if running:
            self.harmed = True
            container = running[which % len(running)]
            container.state, container.exit_code = InstanceState.EXITED, 1

    @rule()
    def the_gateway_ends(self) -> None:
        self.harmed = True
        self.tide.world.gateway_running = False

    @rule(seconds=st.sampled_from([0.2, 3.0]), exit_code=st.sampled_from([0, 1]), vanishes=st.booleans())
    def tasks_turn_out(self, seconds: float, exit_code: int, vanishes: bool) -> None:
        deed = Deed(seconds, exit_code, vanishes=vanishes)
        self.tide.world.deeds = dict.fromkeys(("migrate", "smoke", "measure", "backup", "put-back"), deed)

    # The end.

    def teardown(self) -> None:
        try:
            if hasattr(self, "tide"):
                self.run(self.comes_to_rest())
        finally:
            if hasattr(self, "tide"):
                self.run(self.tide.state.close())
            self.loop.close()
            self.folder.cleanup()

    async def comes_to_rest(self) -> None:
        world = self.tide.world
        world.deeds, end = {}, world.now + END_S
        while True:
            state = (await self.turns(2.0)).decision.state
            rollout = state.active
            if rollout is None and state.queued is None and not state.retiring and not self.left_over(state):
                break
            assert world.now < end, f"still {rollout and rollout.phase}: {rollout and rollout.because}; {self.seen()}"
            if rollout is not None and rollout.hold is not None and rollout.hold.until is None:
                await self.tide.ask(intent.Abort())  # whoever it waits for says no
            elif rollout is not None and rollout.hold is not None and rollout.hold.kind is PauseKind.GATE:
                await self.tide.ask(intent.Abort())

    def left_over(self, state: AgentState) -> bool:
        """Whether what is there differs from what a rest looks like."""
        if state.stable is None:
            return bool(self.tide.world.containers)
        wanted = {f"{KEY}.r{state.stable.runs_as}.{i}" for i in range(1, state.replicas + 1)}
        up = {name for name, c in self.tide.world.containers.items() if c.state is InstanceState.RUNNING}
        return up != wanted or set(self.tide.world.containers) != wanted or bool(self.tide.world.jobs)

    def seen(self) -> str:
        return ", ".join(f"{name} {c.state}" for name, c in sorted(self.tide.world.containers.items()))


pytestmark = pytest.mark.timeout(600)
TestAnyRollout = AnyRollout.TestCase
TestAnyRollout.settings = settings(
    max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
