"""A state that was lost: what runs here is taken over as it is, and the next release begins beside it. Pure.

Every instance carries the revision that it was made from, and the gateway knows whom its requests reach. So a new state
begins where the lost one was, but for its history. A canary that was under way goes back: nobody knows its evidence.
"""

from collections.abc import Iterable
from dataclasses import replace

from tidegate.core.refusal import RefusedError
from tidegate.model.decision import Facts
from tidegate.model.diff import UP
from tidegate.model.event import Event, EventKind
from tidegate.model.observation import Observation, ObservedInstance
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Retiring

DRAIN_S = 30.0
"""How long a revision that is not taken over may finish the requests it has; its own strategy is not known."""


def is_blank(state: AgentState) -> bool:
    """Whether nothing was ever decided here, as far as this state knows."""
    return state.next_revision == 1 and state.stable is None and state.rollout is None and not state.decommissioned


def take_over(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    """The state with what runs here as stable, and what else runs here on its way out. Nothing is known: unchanged."""
    if not is_blank(state) or not facts.found:
        return state, ()
    observed, found = facts.observation, {revision.runs_as: revision for revision in facts.found}
    stable = found[max(found, key=lambda number: _claim(observed, number))]
    retiring = tuple(
        Retiring(other, _names(observed.of_revision(number)), facts.now + DRAIN_S)
        for number, other in sorted(found.items())
        if other is not stable
    )
    numbers = {*(revision.number for revision in facts.found), *(one.revision for one in observed.instances)}
    replicas = _replicas(stable, observed)
    state = replace(
        state,
        stable=stable,
        history=(stable,),
        retiring=retiring,
        replicas=replicas,
        next_revision=max(numbers) + 1,
    )
    others = ", ".join(f"revision {one.revision.title}" for one in retiring)
    because = (
        f"this state knew nothing of what runs here: revision {stable.title} is taken over as it is, "
        f"{replicas} instance{'' if replicas == 1 else 's'}"
        + (f"; {others} goes: nothing is known of its rollout" if others else "")
    )
    return state, (Event(facts.now, state.key, EventKind.REPAIR, because, stable.number),)


def refuse_unknown(state: AgentState, facts: Facts) -> None:
    """A first release beside what nobody knows would take that out of the routes. Raises RefusedError."""
    running = _names(one for one in facts.observation.instances if one.state in UP)
    if is_blank(state) and running:
        raise RefusedError(
            f"{', '.join(running)} runs here already, and neither this state nor its labels say what it is: tidegate "
            "adopt takes a container over; a backup of the state knows it; docker rm -f gives it up"
        )


def recovered(state: AgentState) -> str:
    """What a person who asked for it is told. Raises RefusedError where nothing was there to take over."""
    if state.stable is None:
        raise RefusedError("nothing of Tidegate's runs here, so there is nothing to take over")
    count = f"{state.replicas} instance{'' if state.replicas == 1 else 's'}"
    return f"revision {state.stable.title} is what runs here, with {count}; nothing was touched"


def _claim(observed: Observation, number: int) -> tuple[int, int, int]:
    """How much speaks for a revision: its share of the requests, its instances that run, and that it came first."""
    weights = (b.weight for goal in observed.gateway.routes for b in goal.backends if b.revision == number)
    running = sum(1 for one in observed.of_revision(number) if one.state in UP)
    return sum(weights), running, -number


def _replicas(stable: Revision, observed: Observation) -> int:
    """As many instances as there were: the highest number in a name, for one in the middle may be missing."""
    names = {one.name for one in observed.of_revision(stable.runs_as)}
    most = max((int(name.rpartition(".")[2]) for name in names if name.rpartition(".")[2].isdigit()), default=1)
    return max(most, 1)


def _names(instances: Iterable[ObservedInstance]) -> tuple[str, ...]:
    return tuple(sorted(one.name for one in instances))
