"""A fleet's loop: look at the hosts' rollouts, decide, persist. It acts only by the intents that it saves.

Every host has a loop of its own; this one never waits for any of them.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from tidegate.controller.lease import Lease
from tidegate.core.fleet import decide_fleet, open_intent
from tidegate.model.fleet import Child, FleetDecision, FleetFacts, FleetState
from tidegate.model.intent import DeployFleet, Intent
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.ports import Clock, Fleets, Store

BUSY_S = 0.5
IDLE_S = 2.0


@dataclass(frozen=True)
class FleetPorts:
    """What a fleet's loop needs. `known` is what a host's own loop holds in this process, which spares a read."""

    fleets: Fleets
    store: Store
    clock: Clock
    known: Callable[[AgentKey], AgentState | None] = lambda key: None
    wake: Callable[[AgentKey], None] = lambda key: None


class FleetLoop:
    """look -> decide -> persist, for one agent on all hosts of one environment."""

    def __init__(self, key: AgentKey, ports: FleetPorts, lease: Lease) -> None:
        self.key = key
        self._ports = ports
        self._lease = lease
        self._state: FleetState | None = None
        self._nudged = asyncio.Event()

    async def turn(self) -> FleetDecision:
        """One turn. Raises LeaseLostError, StoreError."""
        state = self._state or await self._ports.fleets.load_fleet(self.key) or FleetState(self.key)
        intents = await self._ports.store.pending(self.key)
        children = await self._children(state, intents)
        facts = FleetFacts(self._ports.clock.now(), children, intents, resumed=self._state is None)
        if state.rollout is None and intents:
            alone = await self._ports.store.load(self.key)
            facts = replace(facts, single=alone is not None and alone.stable is not None)
        decision = decide_fleet(state, facts)
        if decision.state != state or decision.events or decision.answers:
            await self._ports.fleets.save_fleet(decision, self._lease.epoch)
        self._state = decision.state
        for intent in decision.intents:
            self._ports.wake(intent.key)
        return decision

    async def _children(self, state: FleetState, intents: tuple[Intent, ...]) -> dict[str, Child]:
        """What is known of every host. The answer is read before the state that it led to."""
        hosts = dict(state.rollout.hosts) if state.rollout is not None else {}
        names = {*hosts, *(host.name for host in state.hosts)}
        for intent in intents:
            if isinstance(intent.action, DeployFleet):
                names |= {host.name for host in intent.action.hosts}
        found = {}
        for name in sorted(names):
            answer, host = None, hosts.get(name)
            if host is not None and host.asked and state.rollout is not None:
                answer = await self._ports.store.answer(open_intent(state.rollout, host))
            key = self.key.on(name)
            found[name] = Child(self._ports.known(key) or await self._ports.store.load(key), answer)
        return found

    async def run(self, stop: asyncio.Event) -> None:
        """Turn until told to stop or until the lease is lost (LeaseLostError)."""
        while not stop.is_set():
            decision = await self.turn()
            pause = BUSY_S if decision.state.active else IDLE_S
            if decision.wake_at is not None:
                pause = max(0.05, min(pause, decision.wake_at - self._ports.clock.now()))
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
    def state(self) -> FleetState | None:
        """The state last saved, as far as this loop knows it."""
        return self._state

    @property
    def settled(self) -> bool:
        """Whether no rollout is under way."""
        return self._state is not None and self._state.active is None
