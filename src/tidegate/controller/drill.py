"""Plays a drill through whoever decides: three rollouts, one after the other, and what they left is put away."""

from collections.abc import Awaitable, Callable, Sequence

from tidegate.core import drill
from tidegate.core.drill import DrillRow
from tidegate.model.event import Event
from tidegate.model.intent import Action, LiftQuarantine, Undo
from tidegate.model.rollout import AgentState, Rollout

Until = Callable[[AgentState], bool]
Ask = Callable[[Action, Until], Awaitable[AgentState]]
"""Ask for something and wait until the state is as wanted. Raises TidegateError when it is refused, TimeoutError."""

Log = Callable[[], Awaitable[Sequence[Event]]]


async def rehearse(state: AgentState, ask: Ask, log: Log) -> tuple[DrillRow, ...]:
    """Release something broken, then something sound, and undo it; the measured rows."""
    number = state.next_revision
    state = await ask(drill.broken(state), lambda after: drill.settled(after, number))
    rows = drill.of_rollback(_last(state))
    if any(one.revision == number for one in state.quarantine):
        lifted = number
        state = await ask(LiftQuarantine(lifted), lambda after: all(q.revision != lifted for q in after.quarantine))
    following = state.next_revision
    state = await ask(drill.sound(state), lambda after: drill.settled(after, following))
    last = state.next_revision
    state = await ask(Undo(), lambda after: drill.settled(after, last))
    undone = _last(state)
    return (*rows, *drill.of_undo(undone, await log(), undone.rollback.switch_deadline_s))


def _last(state: AgentState) -> Rollout:
    assert state.rollout is not None
    return state.rollout
