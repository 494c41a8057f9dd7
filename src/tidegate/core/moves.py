"""What a phase answers: a move to another phase, or a note about what it waits for."""

from dataclasses import dataclass, replace

from tidegate.core.changes import changed
from tidegate.core.view import View
from tidegate.model.event import Event, EventKind
from tidegate.model.rollout import Hold, Phase, Rollout, Swap


@dataclass(frozen=True)
class Move:
    """A move to another phase, with the fields of the rollout that change with it."""

    to: Phase
    because: str
    fault: str = ""
    hold: Hold | None = None
    weight: int | None = None
    aborted_by: str = ""
    swap: Swap | None = None


@dataclass(frozen=True)
class Note:
    """No move: the phase stays, and this is what it waits for. `rollout` carries what changed within the phase."""

    rollout: Rollout
    event: Event | None = None


def note(view: View, because: str) -> Note:
    """Stay, and say what is waited for."""
    return Note(changed(view.rollout, because=because))


def shift(view: View, weight: int, because: str) -> Note:
    """Change the candidate's weight within the phase: that is progress."""
    after = replace(view.rollout, weight=weight, cursor_since=view.now, because=because)
    return Note(after, weight_event(view, after, because))


def weight_event(view: View, after: Rollout, because: str) -> Event:
    """The log's line about a changed weight."""
    data = {"from": view.rollout.weight, "to": after.weight}
    return Event(view.now, view.state.key, EventKind.WEIGHT, because, after.candidate.number, data)
