"""The only loop: observe, decide, persist, act. One a agent in one environment.

A controller killed at any point starts again from the stored state and a new observation; it never replays operations.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from tidegate.controller.alarming import Alarming
from tidegate.controller.delivery import Pipeline
from tidegate.controller.executor import Done, Executor
from tidegate.controller.hearing import Hearing
from tidegate.controller.lease import Lease
from tidegate.controller.logwatch import LogWatch
from tidegate.controller.metering import Metering
from tidegate.controller.meters import Metered
from tidegate.controller.planning import OnInstances, found_here, plan
from tidegate.controller.sampler import Sampler
from tidegate.core import cleanup, monitor
from tidegate.core.rollout import decide
from tidegate.model.alerting import named_signal
from tidegate.model.decision import Decision, Facts
from tidegate.model.desired import Desired
from tidegate.model.errors import LeaseLostError, StoreError, TidegateError
from tidegate.model.event import Event, EventKind
from tidegate.model.monitor import LogCount
from tidegate.model.observation import Block, InstanceState, Observation, ObservedTask
from tidegate.model.operation import (
    GatewayOperation,
    Operation,
    StartGateway,
    describe,
)
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState, Phase
from tidegate.model.spec import InPlace
from tidegate.model.standing import PausedAll
from tidegate.ports import (
    Audit,
    Clock,
    Fleets,
    Gateway,
    Heartbeats,
    Journal,
    Notifier,
    OpenSource,
    Outbox,
    Platform,
    Store,
    Switches,
    Tasks,
)

QUICK_S = 0.1
BUSY_S = 0.5
IDLE_S = 5.0
"""Changes are told: by the engine, by probes, by whoever asks. Looking again is for what nobody told."""
STORE_PAUSE_S = 1.0
PAST_S = 900.0


class Places(Protocol):
    """Where fleets are kept, and the way to each of their hosts."""

    fleets: Fleets

    async def ports(self, key: AgentKey) -> "Ports":
        """The ports of one host, connected when they are used first. Raises NotFoundError for an unknown host."""


@dataclass(frozen=True)
class Ports:
    """Everything that the loop of one host needs.

    `places` leads to the hosts of fleets, `pipeline` to what deliveries need, where there are any.
    """

    platform: Platform
    gateway: Gateway
    store: Store
    journal: Journal
    clock: Clock
    heartbeats: Heartbeats | None = None
    switches: Switches | None = None
    outbox: Outbox | None = None
    notifier: Notifier | None = None
    tasks: Tasks | None = None
    sources: OpenSource | None = None
    places: Places | None = None
    audit: Audit | None = None
    pipeline: Pipeline | None = None


@dataclass(frozen=True)
class Turn:
    """What one turn of the loop did."""

    decision: Decision
    plan: tuple[Operation, ...]
    done: tuple[Done, ...]
    saved: bool

    @property
    def settled(self) -> bool:
        """Whether nothing was left to do."""
        return not self.plan


class AgentLoop:
    """observe -> decide -> persist -> act, for one agent in one environment."""

    def __init__(self, key: AgentKey, ports: Ports, lease: Lease) -> None:
        self.key = key
        self.sampler = Sampler(key, ports.gateway, ports.journal, ports.clock)
        self.metering = Metering(key, ports.sources, ports.clock)
        self.alarming = Alarming(key, ports.sources, ports.clock)
        self._ports = ports
        self._lease = lease
        self._executor = Executor(ports.platform, ports.gateway, ports.tasks, ports.clock, lease)
        self._state: AgentState | None = None
        self._desired = Desired(key)
        self._hearing = Hearing(ports.heartbeats)
        self._logs = LogWatch(ports.platform)
        self._history: tuple[str, tuple[Block, ...]] = ("", ())
        self._told: dict[str, str] = {}
        self._telling: asyncio.Task[None] | None = None
        self._nudged = asyncio.Event()
        self._news = asyncio.Event()
        self._former_plan: tuple[Operation, ...] = ()
        self.decided: Callable[[], None] = lambda: None
        self.settled = False

    async def turn(self) -> Turn:
        """One turn. Raises LeaseLostError; a store that cannot be written shows in `saved`."""
        turn = await self._turn()
        await self._all_told()
        return turn

    async def _turn(self) -> Turn:
        """One turn; what was done is logged while the next one looks already."""
        state = self._state or await self._ports.store.load(self.key) or AgentState(self.key)
        intents, observed, paused, _ = await asyncio.gather(
            self._ports.store.pending(self.key), self.observe(), self._paused(), self._all_told()
        )
        blocks = self.sampler.fresh()
        past = await self._remembered(state, blocks)
        facts = Facts(self._ports.clock.now(), observed, blocks, intents, self._executor.failures(), past, paused)
        await self.alarming.follow(state, self._ports.journal, facts.now)
        self.alarming.see(state, observed)
        facts = replace(facts, resumed=self._state is None, signals=self.alarming.signals(blocks, facts.now))
        facts = await self._surroundings(state, facts)
        decision = decide(state, facts)
        if not set(decision.desired.images) <= set(self._desired.images):
            # Nobody has looked for this image yet: absent and unknown are two things.
            self._desired = decision.desired
            again = await self._ports.platform.observe(self._desired)
            again = replace(again, gateway=observed.gateway, tasks=observed.tasks)
            observed = self._hearing.attach(self.key, again)
            decision = decide(state, replace(facts, now=self._ports.clock.now(), observation=observed))
        ports = self._ports
        traffic, instances = plan(decision, observed, ports.gateway, ports.platform, ports.tasks)
        if traffic or instances or decision.state.retiring:
            self.settled = False  # before it is saved: who reads the new state must not take us for done
        saved = await self._persist(state, decision, blocks)
        if saved:
            self._state, self._desired = decision.state, decision.desired
            self.metering.follow(decision.state, observed)
            if decision.state != state:
                self.decided()
            done = await self._act(traffic, instances)
            self._telling = asyncio.create_task(self._tell(done))
        else:
            done = await self._rescue(state, decision, traffic)
        operations = (*traffic, *instances)
        before = self.settled
        more = decision.state != state and (decision.state.retiring or cleanup.surplus(decision.state))
        done_with = saved and not more and not decision.state.draining(facts.now)
        self.settled = done_with and self._executor.hopeless(operations)
        if operations or self.settled != before:
            self._news.set()
        return Turn(decision, operations, tuple(done), saved)

    async def _remembered(self, state: AgentState, fresh: tuple[Block, ...]) -> tuple[Block, ...]:
        """What was measured before the rollout, until its analysis has begun: how stable is when nothing is wrong."""
        rollout = state.active
        if rollout is None:
            return ()
        if isinstance(rollout.strategy, InPlace):  # nothing runs beside it: its control is the past, to the end
            if self._history[0] != rollout.id:
                await self.sampler.save()
                before = await self._ports.journal.blocks(self.key, rollout.started_at - PAST_S, rollout.started_at)
                self._history = (rollout.id, tuple(before))
            return self._history[1]
        if rollout.phase not in (Phase.PREPARING, Phase.STARTING):
            return ()
        compares = rollout.analysis.sequential is not None or rollout.analysis.streams
        if not compares or rollout.evidence or rollout.streams:  # thresholds look at nothing that was before
            return ()
        await self.sampler.save()
        until = fresh[0].at - 1e-6 if fresh else self._ports.clock.now()
        return tuple(await self._ports.journal.blocks(self.key, rollout.started_at - PAST_S, until))

    async def _surroundings(self, state: AgentState, facts: Facts) -> Facts:
        """What a decision looks at only now and then."""
        return replace(
            facts,
            logs=await self._count_logs(state, facts.observation),
            needed_images=await self._needed_elsewhere() if cleanup.surplus(state) or state.cleaning else None,
            found=await found_here(state, self._ports.platform) if facts.observation.reachable else None,
        )

    async def _paused(self) -> PausedAll | None:
        return await self._ports.switches.paused() if self._ports.switches is not None else None

    async def _count_logs(self, state: AgentState, observed: Observation) -> LogCount | None:
        if state.stable is None or not monitor.under_way(state):
            self._logs.forget()
            return None
        running = [one.name for one in observed.of_revision(state.stable.runs_as) if one.state is InstanceState.RUNNING]
        return await self._logs.count(running)

    async def _needed_elsewhere(self) -> frozenset[str]:
        """References of the images that other agents and environments of this state need."""
        store = self._ports.store
        others = [await store.load(key) for key in await store.keys() if key != self.key]
        return frozenset(name for other in others if other is not None for name in cleanup.needed(other))

    async def observe(self) -> Observation:
        """What the platform and the gateway see, at once, and what was heard of the instances."""
        observed, gateway, tasks = await asyncio.gather(
            self._ports.platform.observe(self._desired), self._ports.gateway.observe(self.key), self._observe_tasks()
        )
        if isinstance(tasks, TidegateError):
            return replace(observed, gateway=gateway, reachable=False, detail=observed.detail or tasks.message)
        return self._hearing.attach(self.key, replace(observed, gateway=gateway, tasks=tasks))

    async def _observe_tasks(self) -> tuple[ObservedTask, ...] | TidegateError:
        """What became of the tasks; when that cannot be asked, nothing is known at all."""
        if self._ports.tasks is None:
            return ()
        try:
            return await self._ports.tasks.observe(self.key)
        except TidegateError as error:
            return error

    async def _act(self, traffic: tuple[GatewayOperation, ...], instances: OnInstances) -> list[Done]:
        """Traffic first. Where the gateway has yet to be started there is no traffic, and instances do not wait."""
        if any(isinstance(operation, StartGateway) for operation in traffic):
            both = await asyncio.gather(self._executor.traffic(traffic), self._executor.instances(instances))
            return both[0] + both[1]
        return await self._executor.traffic(traffic) + await self._executor.instances(instances)

    async def _persist(self, before: AgentState, decision: Decision, blocks: tuple[Block, ...]) -> bool:
        """Write the decision down before anything is touched; only when something changed."""
        if decision.state == before and not decision.events and not decision.answers:
            return True
        try:
            await self._ports.store.save(decision, self._lease.epoch)
        except LeaseLostError:
            raise
        except StoreError:
            self.sampler.put_back(blocks)
            return False
        self._news.set()
        return True

    async def _rescue(
        self, before: AgentState, decision: Decision, traffic: tuple[GatewayOperation, ...]
    ) -> list[Done]:
        """The one exception to persist-before-act: traffic back to stable, when the store cannot be written."""
        after = decision.state.active
        back = after is not None and after.phase is Phase.REVERTING and not after.weight and before.stable is not None
        if after is None or not back or not traffic:
            return []
        with suppress(StoreError):
            await self._ports.store.save_in_reserve(decision, self._lease.epoch)
            self._state = decision.state
        return await self._executor.traffic(traffic)

    async def _all_told(self) -> None:
        if self._telling is not None:
            await asyncio.shield(self._telling)

    async def _tell(self, done: list[Done]) -> None:
        """Log each operation; the same failure only once."""
        now = self._ports.clock.now()
        events = []
        for one in done:
            text = describe(one.operation)
            if one.error and self._told.get(text) == one.error:
                continue
            kind = EventKind.OPERATION_FAILED if one.error else EventKind.OPERATION
            because = f"{text}: {one.error}" if one.error else text
            events.append(Event(now, self.key, kind, because, data={"took_s": round(one.took_s, 4)}))
            if one.error:
                self._told[text] = one.error
            else:
                self._told.pop(text, None)
        if not events:
            return
        try:
            await self._ports.journal.append(events)
        except StoreError:
            return

    async def run(self, stop: asyncio.Event) -> None:
        """Turn until told to stop or until the lease is lost (LeaseLostError)."""
        try:
            while not stop.is_set():
                turn = await self._turn()
                if self._moved(turn):
                    await asyncio.sleep(0)
                else:
                    await self._wait(self._pause(turn))
                self._former_plan = turn.plan
        finally:
            await self._all_told()

    def _moved(self, turn: Turn) -> bool:
        """Whether something was just done that was not done the turn before: what follows need not wait."""
        return turn.plan != self._former_plan and any(not one.error for one in turn.done)

    async def _wait(self, seconds: float) -> None:
        """Until the platform saw a change or somebody nudged, at most these seconds."""
        changed = asyncio.ensure_future(self._ports.platform.changed(self.key, seconds))
        nudged = asyncio.ensure_future(self._nudged.wait())
        try:
            await asyncio.wait({changed, nudged}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            nudged.cancel()
        self._nudged.clear()

    async def news(self, seconds: float) -> bool:
        """Wait until something was saved or done, at most these seconds; whether there was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        heard = self._news.is_set()
        self._news.clear()
        return heard

    def _heard(self, block: Block) -> None:
        """A block was measured: take the next turn now where it can change the decision."""
        rollout = self._state.active if self._state else None
        measured = any(named_signal(name) is None for name in block.values)
        silent = not block.missing and not measured and not any(one.requests for one in block.traffic.values())
        if rollout is not None and not (silent and rollout.phase is Phase.PAUSED):
            self.nudge()

    def nudge(self) -> None:
        """There is something to look at: take the next turn now."""
        self._nudged.set()

    def forget(self) -> None:
        """Start the next turn from the stored state."""
        self._state = None

    @property
    def state(self) -> AgentState | None:
        """The state last saved, as far as this loop knows it."""
        return self._state

    @property
    def measures(self) -> bool:
        """Whether there is anything to sample."""
        return bool(self._desired.routes) or self.metering.active or self.alarming.active

    def metered(self) -> Metered:
        """What other sources than the gateway say at this moment, for the rollout and for alerts."""
        return self.metering.now().plus(self.alarming.now())

    async def close(self) -> None:
        """Keep what was sampled, and let go of the sources."""
        await self.sampler.save()
        await self.metering.end()
        await self.alarming.end()

    async def sample(self) -> None:
        """Take one block of what there is to measure now."""
        self._heard(await self.sampler.sample(self.metered(), routed=bool(self._desired.routes)))

    def _pause(self, turn: Turn) -> float:
        """How long to wait at most before looking again."""
        if not turn.saved:
            return STORE_PAUSE_S
        if _hurry(turn):
            return 0.0
        if turn.plan or turn.decision.events:
            return QUICK_S
        rollout = turn.decision.state.active
        pause = BUSY_S if rollout and rollout.phase is not Phase.PAUSED else IDLE_S
        wake = turn.decision.wake_at
        return pause if wake is None else max(QUICK_S, min(pause, wake - self._ports.clock.now()))


def _hurry(turn: Turn) -> bool:
    """Whether nothing serves and something was just done: what follows must not wait for a tick."""
    rollout = turn.decision.state.active
    down = rollout is not None and rollout.swap.down_since is not None
    return down and any(not one.error for one in turn.done)
