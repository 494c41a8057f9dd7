"""A fresh baseline: instances of stable's release that start with the canary, as many as it has, with as much traffic.

What is old in stable (warm caches, grown memory) and what is new in every instance are then the same on both sides:
what is left is the version. It is a revision of its own, so that it is counted apart, and is gone at the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tidegate.core import strategies
from tidegate.core.routing import Share
from tidegate.core.view import View, effective_phase
from tidegate.model.desired import InstanceGoal, instance_name
from tidegate.model.diff import UP
from tidegate.model.observation import Block
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Canary

GROWING = (Phase.STARTING, Phase.PROGRESSING)


def of(state: AgentState, rollout: Rollout, now: float) -> Revision | None:
    """The baseline's revision, numbered behind the candidate; None where the strategy wants none, or nothing serves."""
    wanted = isinstance(rollout.strategy, Canary) and rollout.strategy.baseline
    if not wanted or rollout.fast or state.stable is None:
        return None
    return replace(
        state.stable,
        number=rollout.candidate.number + 1,
        undo_of=None,
        warm=None,
        created_at=now,
        by=rollout.asked_by,
        reason=f"fresh baseline for revision {rollout.candidate.title}",
    )


def goals(view: View) -> Iterator[InstanceGoal]:
    """As many as the candidate has while it grows; later those that are left, until the end."""
    baseline, phase = view.rollout.baseline, effective_phase(view.rollout)
    if baseline is None or phase is Phase.PREPARING:
        return
    seen = view.facts.observation.of_revision(baseline.runs_as)
    names = [instance.name for instance in seen if instance.state in UP]
    if phase in GROWING:
        count = strategies.shape(view, phase).candidate
        names = [instance_name(view.state.key, baseline.runs_as, index) for index in range(1, count + 1)]
    for name in names:
        yield InstanceGoal(name, baseline, because=baseline.reason)


def shares(rollout: Rollout) -> list[Share]:
    """The candidate's weight, or half of what it leaves: stable keeps some."""
    if rollout.baseline is None:
        return []
    weight = weight_of(rollout)
    return [Share(rollout.baseline, weight, proven=weight > 0)]


def weight_of(rollout: Rollout) -> int:
    """The baseline's weight in percent; 0 without one."""
    return min(rollout.weight, (100 - rollout.weight) // 2) if rollout.baseline is not None else 0


def control(state: AgentState, rollout: Rollout) -> int | None:
    """The number that the candidate is compared with: the baseline's, else stable's."""
    if rollout.baseline is not None:
        return rollout.baseline.runs_as
    return state.stable.runs_as if state.stable is not None else None


def past(blocks: Sequence[Block], state: AgentState, rollout: Rollout) -> Sequence[Block]:
    """Stable's past as the baseline's: the release is the same."""
    baseline, stable = rollout.baseline, state.stable
    if baseline is None or stable is None:
        return blocks
    return [_renamed(block, stable.runs_as, baseline.runs_as) for block in blocks]


def _renamed(block: Block, before: int, after: int) -> Block:
    traffic = {after: block.traffic[before]} if before in block.traffic else {}
    values = {metric: {after: known[before]} for metric, known in block.values.items() if before in known}
    return replace(block, traffic=traffic, values=values)
