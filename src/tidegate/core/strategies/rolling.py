"""Rolling: instances replaced a few at a time; the weight follows the instances that are ready.

Nothing is remembered: how far it is follows from what is there. At every moment at most `replicas + surge` instances
exist and at least `replicas - unavailable` are ready, the candidate's counted once they were ready for `min_ready_s`.
"""

import math

from tidegate.core.strategies.answers import Advance, Done, Progress, Shape, Stay
from tidegate.core.view import View
from tidegate.model.rollout import Phase
from tidegate.model.spec import Rolling


def limits(rolling: Rolling, replicas: int) -> tuple[int, int]:
    """Surge and unavailable as numbers; never both 0, for then nothing could move."""
    surge = math.ceil(_count(rolling.max_surge, replicas))
    unavailable = min(math.floor(_count(rolling.max_unavailable, replicas)), replicas)
    return (surge, unavailable) if surge or unavailable else (1, 0)


def _count(value: str, replicas: int) -> float:
    return float(value[:-1]) * replicas / 100 if value.endswith("%") else float(value)


def progress(rolling: Rolling, view: View) -> Progress:
    """Move the weight with the ready instances; done when all of them are the candidate's."""
    if view.first:
        return Done("there is nothing to replace")
    replicas = view.state.replicas
    ready = view.ready_candidates
    weight = _weight(view)
    if weight != view.rollout.weight:
        return Advance(f"{ready} of {replicas} instances are the candidate's", weight)
    if ready >= replicas and not _stable_left(view) and view.share_applied(100):
        return Done(f"all {replicas} instances are the candidate's")
    return Stay(f"{ready} of {replicas} instances replaced")


def _weight(view: View) -> int:
    """The candidate's part of the ready instances, in percent; 100 only when stable has none."""
    candidate, stable = min(view.ready_candidates, view.state.replicas), _stable_wanted(view)
    if not candidate:
        return 0
    share = 100 * candidate // (candidate + stable)
    return min(share, 99) if stable else 100


def _stable_wanted(view: View) -> int:
    strategy = view.rollout.strategy
    assert isinstance(strategy, Rolling)
    return shape(strategy, view, Phase.PROGRESSING).stable


def _stable_left(view: View) -> int:
    stable = view.state.stable
    return len(view.facts.observation.of_revision(stable.runs_as)) if stable else 0


def shape(rolling: Rolling, view: View, phase: Phase) -> Shape:
    """As many of stable as availability asks for, as many of the candidate as the surge allows."""
    replicas = view.state.replicas
    if view.first:
        return Shape(0, 0 if phase is Phase.PREPARING else replicas)
    if phase is Phase.PREPARING:
        return Shape(replicas, 0)
    if phase in (Phase.PROMOTING, Phase.BAKING):
        return Shape(0, replicas)
    if view.rollout.phase is Phase.PAUSED:
        # Held as it is: nothing more is replaced, and together they stay as many as there should be.
        candidate = len(view.candidates)
        return Shape(max(0, replicas - candidate, min(_stable_left(view), replicas)), candidate)
    surge, unavailable = limits(rolling, replicas)
    ready = min(view.settled_candidates(rolling.min_ready_s), replicas)
    stable = max(0, replicas - unavailable - ready)
    candidate = min(replicas, replicas + surge - max(stable, _stable_left(view)))
    return Shape(stable, max(candidate, len(view.candidates)))


def retreat(view: View) -> int:
    """Stable was scaled down: it takes back as much as its ready instances can carry, all of it when all are ready."""
    replicas = view.state.replicas
    if view.stable_serving >= replicas:
        return 0
    carried = 100 * view.stable_serving // replicas
    return min(view.rollout.weight, 100 - carried)
