"""What is asked of an agent between rollouts: scale, restart, decommission, quarantine, hold."""

from dataclasses import replace

from tidegate.core import admission, healing, quarantine
from tidegate.core.admission import Standing
from tidegate.core.refusal import RefusedError
from tidegate.model.decision import Facts
from tidegate.model.intent import Adopt, Intent
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState
from tidegate.model.spec import InPlace

MOST_REPLICAS = 1000


def scale(state: AgentState, intent: Intent, replicas: int) -> tuple[AgentState, str]:
    if not 1 <= replicas <= MOST_REPLICAS:
        raise RefusedError(
            f"{replicas} instances: a number from 1 to {MOST_REPLICAS} is needed (decommission ends an agent)"
        )
    if state.stable is None and state.rollout is None:
        raise RefusedError("nothing was deployed here yet")
    if replicas > 1 and state.rollout is not None and isinstance(state.rollout.strategy, InPlace):
        raise RefusedError("in_place is for an agent that cannot run twice; deploy with another strategy, then scale")
    rollout = replace(state.rollout, replicas=None, replicas_before=None) if state.rollout else None
    because = f"{state.replicas} -> {replicas} instances, by {intent.by}"
    return replace(state, replicas=replicas, rollout=rollout), because


def adopt(state: AgentState, intent: Intent, action: Adopt, now: float) -> tuple[AgentState, str]:
    """What a person started by hand becomes stable as it runs: nothing is started, nothing is moved."""
    if state.stable is not None or state.active is not None:
        raise RefusedError(f"{state.key} runs under Tidegate already; a container is adopted where nothing does")
    number = state.next_revision
    revision = Revision(
        number,
        state.key.environment,
        action.release,
        action.workload,
        created_at=now,
        by=intent.by,
        reason=intent.reason,
    )
    state = replace(state, stable=revision, history=(revision,), next_revision=number + 1, replicas=1)
    return replace(state, decommissioned=False), f"revision {revision.title} is what was started by hand"


def restart(state: AgentState, intent: Intent, facts: Facts) -> tuple[AgentState, str]:
    if state.stable is None:
        raise RefusedError("nothing serves here yet")
    instances = facts.observation.of_revision(state.stable.runs_as)
    wanted = healing.ask_for_all(instances)
    return replace(state, restart_of=wanted), f"{len(wanted)} instances are restarted one after the other"


def decommission(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    nothing_under_way(state, "abort it first")
    admission.unlocked(state, intent.by, now)
    state = replace(state, queued=None, lock=None, held=None)
    return replace(state, decommissioned=True, stable=None, history=(), retiring=()), f"decommissioned by {intent.by}"


def lift(state: Standing, intent: Intent, revision: int) -> tuple[Standing, str]:
    state, entry = quarantine.lift(state, revision)
    if entry is None:
        known = ", ".join(one.id for one in state.quarantine) or "nothing"
        raise RefusedError(f"r{revision} is not in quarantine; there is: {known}")
    if not intent.reason:
        raise RefusedError(f"{entry.version} was rejected ({entry.because}); say why it may come again (--reason)")
    return state, f"{entry.version} is out of quarantine, by {intent.by}: {intent.reason}"


def acknowledge(state: Standing, intent: Intent) -> tuple[Standing, str]:
    if state.held is None:
        return state, "nothing is held; nothing to do"
    return replace(state, held=None), f"acknowledged by {intent.by}: automatic deliveries may go on"


def nothing_under_way(state: AgentState, mend: str) -> None:
    if state.active is not None:
        raise RefusedError(
            f"the rollout of revision {state.active.candidate.title} is under way ({state.active.phase}); {mend}"
        )
