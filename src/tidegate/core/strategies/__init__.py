"""One small pure module a strategy, and one place that picks it.

A strategy answers these questions from a View, and never touches anything:

- `progress`: what now (stay, take the next step, wait for somebody, every step is done)?
- `shape`: how many instances should each track have in this phase?
- `needed_to_begin`: how many instances must be ready before the first step?
- `retreat`: on the way back, how much traffic may the candidate still have to keep?
- `works`: which tasks of its own should be ready or running?
"""

from collections.abc import Iterable

from tidegate.core.strategies import blue_green, canary, in_place, rolling
from tidegate.core.strategies.answers import Advance, Done, Progress, Shape, Stay, Wait
from tidegate.core.tasks import Work
from tidegate.core.view import View
from tidegate.model.rollout import Phase
from tidegate.model.spec import BlueGreen, Canary, InPlace, Rolling


def progress(view: View) -> Progress:
    """What the strategy asks for now."""
    if view.rollout.fast and not isinstance(view.rollout.strategy, Rolling):
        return Done("it goes back to what has proven itself here: no steps")
    match view.rollout.strategy:
        case Canary() as strategy:
            return canary.progress(strategy, view)
        case Rolling() as strategy:
            return rolling.progress(strategy, view)
        case BlueGreen() as strategy:
            return blue_green.progress(strategy, view)
        case InPlace():
            return Done("in_place has no steps")


def shape(view: View, phase: Phase) -> Shape:
    """How many instances each track should have in a phase."""
    match view.rollout.strategy:
        case Canary() as strategy:
            return canary.shape(strategy, view, phase)
        case Rolling() as strategy:
            return rolling.shape(strategy, view, phase)
        case BlueGreen() as strategy:
            return blue_green.shape(strategy, view, phase)
        case InPlace() as strategy:
            return in_place.shape(strategy, view, phase)


def needed_to_begin(view: View) -> int:
    """How many of the candidate's instances must be ready before the first step."""
    if view.first or (view.rollout.fast and not isinstance(view.rollout.strategy, Rolling)):
        return view.state.replicas
    match view.rollout.strategy:
        case Canary() as strategy:
            return canary.count(strategy, view, canary.steps_weight(strategy, view))
        case Rolling() | InPlace():
            return 1
        case BlueGreen():
            return view.state.replicas


def needed_by_hand(view: View, weight: int) -> int:
    """How many must be ready for a weight that a person asked for."""
    strategy = view.rollout.strategy
    if not weight:
        return 0
    return canary.count(strategy, view, weight) if isinstance(strategy, Canary) else view.wanted(weight)


def may_wait(view: View) -> bool:
    """Whether the rollout may be held where it is: nothing that serves is away because of it."""
    return not isinstance(view.rollout.strategy, InPlace) or view.rollout.swap.down_since is None


def watched(view: View) -> bool:
    """Whether the metrics are watched now."""
    strategy = view.rollout.strategy
    return not isinstance(strategy, Canary) or canary.watched(strategy, view.rollout.cursor)


def retreat(view: View) -> int:
    """The weight that the candidate keeps on the way back: none, as soon as stable can take it."""
    if not view.takes_traffic:
        return 0
    match view.rollout.strategy:
        case Rolling():
            return rolling.retreat(view)
        case InPlace():
            return 0
    return 0 if view.stable_serving else view.rollout.weight


def works(view: View, phase: Phase) -> Iterable[Work]:
    """The strategy's own tasks."""
    match view.rollout.strategy:
        case InPlace() as strategy:
            return in_place.works(strategy, view, phase)
        case _:
            return ()


__all__ = [
    "Advance",
    "Done",
    "Progress",
    "Shape",
    "Stay",
    "Wait",
    "may_wait",
    "needed_by_hand",
    "needed_to_begin",
    "progress",
    "retreat",
    "shape",
    "watched",
    "works",
]
