"""A delivery's loop: look, decide, persist, act. It begins the work of stages and asks for the rollout by an intent."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tidegate.controller.lease import Lease
from tidegate.controller.stagework import StageWork
from tidegate.core.delivery import could_begin, decide_delivery, rollout_intent
from tidegate.core.journey import rollout_seen
from tidegate.model.delivery import (
    Budget,
    Delivery,
    DeliveryDecision,
    DeliveryFacts,
    DeliveryKey,
    Inputs,
    RolloutSeen,
    StageRecord,
    StageState,
)
from tidegate.model.errors import TidegateError
from tidegate.model.evidence import Evidence
from tidegate.model.release import AgentKey, Revision
from tidegate.model.stages import StageName
from tidegate.pipeline.registry import STAGES, key_of
from tidegate.pipeline.stage import Candidate, Stage
from tidegate.ports import Clock, Deliveries, Fleets, Papers, Store, Workshop

LOOK_S = 0.5
"""How often is looked for a cancellation, and for the rollout's end; the end of a stage's work is noticed at once."""


@dataclass(frozen=True)
class Pipeline:
    """What deliveries need beside the loop's own ports. `versions` are of Tidegate and of the tools of stages."""

    deliveries: Deliveries
    workshop: Workshop
    papers: Papers
    environment: str
    versions: Callable[[], dict[str, str]] = dict
    budget: Budget = field(default_factory=Budget)
    stages: dict[StageName, Stage] = field(default_factory=lambda: STAGES)


@dataclass(frozen=True)
class Around:
    """The environment that a delivery ends in. `wake`: something was asked of it."""

    store: Store
    clock: Clock
    fleets: Fleets | None = None
    wake: Callable[[AgentKey], None] = lambda key: None


class DeliveryLoop:
    """look -> decide -> persist -> act, for one delivery until its end."""

    def __init__(self, key: DeliveryKey, pipeline: Pipeline, around: Around, lease: Lease) -> None:
        self.key = key
        self._pipeline = pipeline
        self._around = around
        self._lease = lease
        self._state: Delivery | None = None
        self._evidence: dict[StageName, Evidence] = {}
        self._inputs: dict[tuple[StageName, int], Inputs] = {}
        self._works: dict[StageName, asyncio.Task[Evidence]] = {}
        self._begun_here: set[tuple[StageName, int]] = set()
        self._running: Revision | None = None
        self._nudged = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until the delivery is over, or until told to stop. Raises LeaseLostError, StoreError."""
        try:
            while not stop.is_set():
                decision, moved = await self.turn()
                if decision.state.phase.ended:
                    await self._leave()
                    return
                if not moved:
                    await self._rest(decision.wake_at)
        finally:
            for work in self._works.values():
                work.cancel()
            await asyncio.gather(*self._works.values(), return_exceptions=True)

    async def turn(self) -> tuple[DeliveryDecision, bool]:
        """One turn; whether anything was decided."""
        state = self._state or await self._load()
        decision = decide_delivery(state, await self._look(state))
        moved = decision.state != state
        if moved or decision.events:
            await self._pipeline.deliveries.save_delivery(decision, self._lease.epoch)
        self._state = decision.state
        for intent in decision.intents:
            self._around.wake(intent.key)
        await self._act(decision.state)
        return decision, moved

    async def _load(self) -> Delivery:
        state = await self._pipeline.deliveries.load_delivery(self.key)
        assert state is not None
        for record in state.stages:
            if record.state is StageState.PASSED and record.name is not StageName.ROLLOUT:
                found = await self._pipeline.deliveries.find_evidence(self.key.agent.agent, record.name, record.key)
                if found is not None:
                    self._evidence[record.name] = found
        current = await self._around.store.load(self.key.agent)
        self._running = current.stable if current is not None else None
        return state

    async def _look(self, state: Delivery) -> DeliveryFacts:
        done = {name: work.result() for name, work in self._works.items() if work.done()}
        for name, evidence in done.items():
            del self._works[name]
            self._evidence[name] = evidence
        inputs: dict[StageName, Inputs] = {}
        for name in could_begin(state):
            if name is not StageName.ROLLOUT:
                inputs[name] = await self._input(state, name)
        by = await self._pipeline.deliveries.cancelled_by(self.key)
        seen, now = await self._rollout(state), self._around.clock.now()
        return DeliveryFacts(now, inputs, done, seen, by, self._pipeline.budget)

    async def _input(self, state: Delivery, name: StageName) -> Inputs:
        """The key of a stage that could begin, and evidence under it, as long as what it speaks of is still there."""
        record, stage = state.stage(name), self._pipeline.stages[name]
        assert record is not None
        if (name, record.attempt) not in self._inputs:
            key = key_of(stage, self._candidate(state))
            known = await self._pipeline.deliveries.find_evidence(self.key.agent.agent, name, key)
            if known is not None and known.image is not None and not await self._held(known):
                known = None
            self._inputs[name, record.attempt] = Inputs(key, known)
            if known is not None:
                self._evidence[name] = known
        return self._inputs[name, record.attempt]

    async def _held(self, known: Evidence) -> bool:
        assert known.image is not None
        with suppress(TidegateError):
            return await self._pipeline.workshop.holds(known.image)
        return False

    def _candidate(self, state: Delivery) -> Candidate:
        return Candidate(
            state.key,
            state.spec,
            state.reference,
            state.commit,
            state.image,
            self._running,
            dict(self._evidence),
            self._pipeline.versions(),
            self._around.clock.now(),
        )

    async def _rollout(self, state: Delivery) -> RolloutSeen:
        record = state.stage(StageName.ROLLOUT)
        if record is None or record.state is not StageState.RUNNING:
            return RolloutSeen()
        answer = await self._around.store.answer(rollout_intent(state))
        fleet = await self._around.fleets.load_fleet(self.key.agent) if self._around.fleets is not None else None
        return rollout_seen(state, answer, fleet or await self._around.store.load(self.key.agent))

    async def _act(self, state: Delivery) -> None:
        """Begin the work of stages that run and that nobody in this process works at; end that of the others."""
        running = {one.name: one for one in state.stages if one.state is StageState.RUNNING}
        for name in [name for name in self._works if name not in running]:
            work = self._works.pop(name)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        for name, record in running.items():
            if name is not StageName.ROLLOUT and name not in self._works:
                self._begin(state, record)

    def _begin(self, state: Delivery, record: StageRecord) -> None:
        resumed = (record.name, record.attempt) not in self._inputs
        spent = self._around.clock.now() - record.started_at
        left = replace(record.bounds, timeout_s=max(1.0, record.bounds.timeout_s - spent))
        work = StageWork(
            self._pipeline.stages[record.name], self._candidate(state), replace(record, bounds=left), resumed
        )
        task = asyncio.create_task(work.run(self._pipeline.workshop, self._pipeline.papers))
        task.add_done_callback(lambda _: self._nudged.set())
        self._works[record.name] = task

    async def _leave(self) -> None:
        with suppress(TidegateError):
            await self._pipeline.workshop.clean(self.key)

    async def _rest(self, wake_at: float | None) -> None:
        pause = LOOK_S if wake_at is None else max(0.01, min(LOOK_S, wake_at - self._around.clock.now()))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._nudged.wait()
        self._nudged.clear()

    def nudge(self) -> None:
        """There is something to look at: take the next turn now."""
        self._nudged.set()

    def forget(self) -> None:
        """Start the next turn from the stored state."""
        self._state = None

    @property
    def rolling(self) -> bool:
        """Whether it waits for its rollout."""
        record = self._state.stage(StageName.ROLLOUT) if self._state is not None else None
        return record is not None and record.state is StageState.RUNNING

    @property
    def over(self) -> bool:
        """Whether the delivery is."""
        return self._state is not None and self._state.phase.ended
