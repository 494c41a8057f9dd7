"""One small pure module a strategy: where a rollout goes next, and what shape the world should have meanwhile.

A strategy answers two questions from a View: `progress` (what now: stay, next step, wait for somebody, all steps done)
and `shape` (how many instances and which weight each track should have). It never touches anything.
"""

from dataclasses import dataclass

from tidegate.core.view import View
from tidegate.model.rollout import Hold


@dataclass(frozen=True)
class Stay:
    """Nothing to do yet; `because` says what is waited for, `until` when time alone changes it."""

    because: str
    until: float | None = None


@dataclass(frozen=True)
class Advance:
    """The step under way is done. `weight` is the candidate's from now on."""

    because: str
    weight: int


@dataclass(frozen=True)
class Wait:
    """Pause the rollout."""

    hold: Hold


@dataclass(frozen=True)
class Done:
    """Every step is done: promote."""

    because: str


Progress = Stay | Advance | Wait | Done


@dataclass(frozen=True)
class Shape:
    """How many instances each track should have running, and how many of stable are kept stopped meanwhile."""

    stable: int
    candidate: int
    stable_stopped: int = 0


__all__ = ["Advance", "Done", "Progress", "Shape", "Stay", "View", "Wait"]
