"""Reading the journal whole."""

from tidegate.model.event import Event
from tidegate.model.release import AgentKey
from tidegate.ports import Journal

BATCH = 1000


async def all_events(journal: Journal, key: AgentKey, after: int = 0) -> list[tuple[int, Event]]:
    """Every event about an agent after a sequence number, oldest first."""
    result: list[tuple[int, Event]] = []
    while batch := await journal.events(key, after=after, limit=BATCH):
        result += batch
        after = batch[-1][0]
    return result
