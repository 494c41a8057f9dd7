"""The switch for everything, turned: the switch itself, a line in every agent's log, and one in the audit log."""

from tidegate.controller.site import Books
from tidegate.model.audit import Act
from tidegate.model.event import Event, EventKind
from tidegate.model.release import AgentKey
from tidegate.model.standing import PausedAll


async def turn(books: Books, act: Act, on: bool) -> tuple[str, tuple[AgentKey, ...]]:
    """Pause everything, or let it go on, as `act` says who and why; what was told, and to which agents."""
    paused = PausedAll(act.by, act.at, act.because)
    text = paused.because if on else f"everything may go on again, by {act.by}"
    await books.switches.pause(paused if on else None)
    await books.audit.record(act)
    keys = await books.store.keys()
    await books.journal.append([Event(act.at, key, EventKind.GATE, text, data={"by": act.by}) for key in keys])
    return text, keys
