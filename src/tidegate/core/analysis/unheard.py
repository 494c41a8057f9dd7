"""The sequential engine's memory before its first request: the seconds that were watched, and nothing that takes numpy.

Who waits for a person in the night has nothing to work out; the engine is loaded with the first request of either arm.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.model.metering import GATEWAY
from tidegate.model.observation import Block
from tidegate.model.rollout import Rollout
from tidegate.model.verdict import MetricVerdict, Outcome

SEQUENTIAL = "sequential"
"""The metric's name, as of analysis.sequential."""

SECONDS = "unheard_s"
NOBODY = "no request has reached the canary yet"
NEW: Mapping[str, Any] = {SECONDS: 0.0}


def is_unheard(kept: Mapping[str, Any]) -> bool:
    """Whether the memory is this module's."""
    return SECONDS in kept


def heard(blocks: Iterable[Block]) -> list[Block]:
    """The blocks that the gateway answered for; the others say nothing."""
    return [block for block in blocks if block.duration_s > 0 and GATEWAY not in block.missing]


def silent(blocks: Sequence[Block], *revisions: int) -> bool:
    """Whether none of these revisions had a request."""
    return not any(block.traffic[one].requests for block in heard(blocks) for one in revisions if one in block.traffic)


def take(kept: Mapping[str, Any], blocks: Sequence[Block]) -> Mapping[str, Any]:
    """Some more seconds without a request."""
    return {SECONDS: kept[SECONDS] + sum(block.duration_s for block in heard(blocks))}


def judge(rollout: Rollout, now: float) -> tuple[MetricVerdict, ...]:
    """Too early to say."""
    rules = rollout.analysis.sequential
    assert rules is not None
    return (MetricVerdict(SEQUENTIAL, Outcome.INCONCLUSIVE, rules.on_fail, f"{SEQUENTIAL}: {NOBODY}", now, False),)
