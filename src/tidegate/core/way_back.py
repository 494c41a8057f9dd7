"""Going back to what ran before: when a switch is enough, when steps are skipped, and when neither.

- Its instances still run (kept warm): the new revision takes them over. No start, no new analysis.
- It is one of the latest `rollback.window` revisions that served: it has proven itself here. No steps, no new analysis,
  but never faster than its instances are ready.
- Further back: a rollout like any other.
"""

from dataclasses import dataclass, replace

from tidegate.model.release import Release, Revision
from tidegate.model.rollout import AgentState
from tidegate.model.workload import Workload


@dataclass(frozen=True)
class WayBack:
    """What is known about going to a revision that served before. `warm` is the number that its instances carry."""

    of: Revision
    fast: bool
    because: str
    warm: int | None = None

    @property
    def undo_of(self) -> int:
        """The number that the undo refers to: where the release was first delivered."""
        return self.of.number if self.of.undo_of is None else self.of.undo_of


def to(state: AgentState, goal: Revision, window: int, now: float) -> WayBack:
    """The way back to a revision of the history."""
    for leaving in state.retiring:
        if leaving.is_warm(now) and same(leaving.revision, goal.release, goal.workload):
            return WayBack(goal, True, "it still runs: a switch is enough", leaving.revision.runs_as)
    earlier = state.history[:-1]
    if window and goal in earlier[-window:]:
        return WayBack(goal, True, f"it is one of the last {window} that served: no steps, no new analysis")
    return WayBack(goal, False, f"it is not one of the last {window} that served: step by step")


def by_release(state: AgentState, release: Release, workload: Workload, window: int, now: float) -> WayBack | None:
    """The fast way to a release that is delivered again; None when it is new here, too old, or was undone.

    Only a person's undo goes back fast to what a person has undone.
    """
    for goal, successor in reversed(list(zip(state.history, state.history[1:], strict=False))):
        if same(goal, release, workload):
            way = to(state, goal, window, now)
            return way if way.fast and successor.undo_of is None else None
    return None


def same(revision: Revision, release: Release, workload: Workload) -> bool:
    """Whether a revision is exactly this: image and configuration."""
    return revision.release.id == release.id and revision.workload == workload


def taken_over(state: AgentState, way: WayBack) -> AgentState:
    """The instances that the new revision takes over no longer retire."""
    if way.warm is None:
        return state
    return replace(state, retiring=tuple(left for left in state.retiring if left.revision.runs_as != way.warm))
