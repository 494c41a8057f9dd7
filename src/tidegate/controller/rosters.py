"""Who runs what, read from the state: agents that Tidegate delivers, and those that only report."""

from tidegate.controller.site import Books
from tidegate.core.roster import Known, RosterRow, roster
from tidegate.model.heartbeat import Listening
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState

Roster = tuple[AgentState, tuple[RosterRow, ...]]


async def read_rosters(books: Books, listening: Listening, whose: tuple[str, str] = ("", "")) -> list[Roster]:
    """Of an agent and an environment (empty: of any). Who only reports has an empty state."""
    orders = await books.orders.open_orders()
    found = []
    for key in await _keys(books):
        if whose[0] not in ("", key.agent) or whose[1] not in ("", key.environment):
            continue
        state = await books.store.load(key)
        pulses = {pulse.instance: pulse for pulse in await books.pulses.pulses(key)}
        if state is None and not pulses:
            continue
        records = {record.instance: record for record in await books.records.records(key)}
        found.append((state or AgentState(key), pulses, records))
    return [(s, roster(s, pulses, listening, Known(records, orders))) for s, pulses, records in found]


async def _keys(books: Books) -> list[AgentKey]:
    """Every agent that has a state, then those that only report."""
    known = list(await books.store.keys())
    return [*known, *sorted(set(await books.pulses.reporting()) - set(known), key=str)]
