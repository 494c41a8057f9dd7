"""A dry turn: observe and decide as the loop would, save nothing and touch nothing. For plan, status and waiting."""

import asyncio
from dataclasses import dataclass, replace

from tidegate.controller.loop import Ports
from tidegate.controller.planning import found_here, plan
from tidegate.core.rollout import decide
from tidegate.model.decision import Decision, Facts
from tidegate.model.intent import Intent
from tidegate.model.observation import InstanceState, Observation
from tidegate.model.operation import Operation
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState

ASK_AGAIN_S = 0.1


@dataclass(frozen=True)
class Preview:
    """What was seen, what would be decided, and which operations would follow."""

    state: AgentState
    observation: Observation
    decision: Decision
    plan: tuple[Operation, ...]

    @property
    def settled(self) -> bool:
        """Whether the world is as it should be: nothing left to do, nothing left to drain."""
        return self.observation.reachable and not self.plan and not self.decision.state.draining(self.observation.at)


async def preview(key: AgentKey, ports: Ports, intents: tuple[Intent, ...] = (), probes_s: float = 0.0) -> Preview:
    """One dry turn, as if these intents were asked too. Waits at most `probes_s` for probes that have not answered."""
    state = await ports.store.load(key) or AgentState(key)
    found = await found_here(state, ports.platform)
    away = Facts(ports.clock.now(), Observation(ports.clock.now(), reachable=False), intents=intents, found=found or ())
    wanted = decide(state, away).desired
    end = asyncio.get_running_loop().time() + probes_s
    while True:
        observed, gateway = await asyncio.gather(ports.platform.observe(wanted), ports.gateway.observe(key))
        observed = replace(observed, gateway=gateway)
        if _asked(observed, state) or asyncio.get_running_loop().time() >= end:
            break
        await asyncio.sleep(ASK_AGAIN_S)
    paused = await ports.switches.paused() if ports.switches is not None else None
    decision = decide(state, Facts(ports.clock.now(), observed, intents=intents, paused=paused, found=found))
    traffic, instances = plan(decision, observed, ports.gateway, ports.platform)
    return Preview(state, observed, decision, (*traffic, *instances))


def _asked(observed: Observation, state: AgentState) -> bool:
    """Whether every instance that runs has been asked whether it is ready."""
    running = [i for i in observed.instances if i.state is InstanceState.RUNNING]
    return not observed.reachable or all(i.ready is not None for i in running)
