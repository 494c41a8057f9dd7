"""Who runs what, read from the state: agents that Tidegate delivers, and those that only report."""

from tidegate.controller.site import Books
from tidegate.core.roster import Known, RosterRow, roster
from tidegate.model.heartbeat import Listening
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.views.roster import as_of

Roster = tuple[AgentState, tuple[RosterRow, ...]]


async def read_rosters(books: Books, whose: tuple[str, str], now: float) -> tuple[Listening, list[Roster]]:
    """Of an agent and an environment (empty: of any), as of now."""
    listening = as_of(await books.pulses.last_listening(), now)
    orders = await books.orders.open_orders()
    found = []
    for key in await _keys(books):
        if whose[0] not in ("", key.agent) or whose[1] not in ("", key.environment):
            continue
        state = await books.store.load(key)
        pulses = {pulse.instance: pulse for pulse in await books.pulses.pulses(key)}
        records = {record.instance: record for record in await books.records.records(key)}
        if state is None and not pulses:
            continue
        # Who only reports has no state: nothing of it should be there, so its instances are shown as they are.
        found.append((state or AgentState(key), pulses, records))
    rows = [(s, roster(s, pulses, listening, Known(records, orders))) for s, pulses, records in found]
    return listening, rows


async def _keys(books: Books) -> list[AgentKey]:
    """Every agent that has a state, then those that only report."""
    known = list(await books.store.keys())
    report = {pulse.key for pulse in await books.pulses.pulses(None)}
    return [*known, *sorted(report - set(known), key=str)]
