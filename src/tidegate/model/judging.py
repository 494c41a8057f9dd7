"""How a metric that is no threshold is judged: by sequential evidence, or by a judge that people bring along.

The judges' own rules are in tidegate.core.judges; here is what the spec says of them.
"""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.metering import GATEWAY, Form


class OnFail(StrEnum):
    """What a failing metric does to the rollout."""

    ABORT = "abort"
    PAUSE = "pause"
    NOTIFY = "notify"


class Role(StrEnum):
    """What a metric is for: a guard can only fail, an objective must pass as well, observe never acts."""

    GUARD = "guard"
    OBJECTIVE = "objective"
    OBSERVE = "observe"


class Worse(StrEnum):
    """Which way is worse: more of it (errors), or less (orders)."""

    MORE = "more"
    LESS = "less"


@dataclass(frozen=True)
class SequentialMetric:
    """A metric whose evidence holds however often one looks, the candidate's instances against stable's.

    COUNT: events of `query` for each unit of `per` (empty: of instance-seconds); `margin` is the ratio that is put
    up with. MEAN: a value between 0 and `most`; `margin` is what may be added to stable's mean, in the same unit.
    HISTOGRAM: a latency; `margin` is the ratio of odds. One measurement is taken every `interval_s`. `weight` is
    its part of the evidence that metrics with the same `on_fail` share, beside the gateway's 1. An OBJECTIVE must
    be proven not to be `worst_ratio` times worse (of a mean: that many margins), or to stay below `floor` events
    for each unit.
    """

    name: str
    source: str = GATEWAY
    query: str = "error_share"
    form: Form = Form.COUNT
    per: str = ""
    worse: Worse = Worse.MORE
    margin: float = 1.25
    most: float = 1.0
    worst_ratio: float = 2.0
    floor: float = 0.0
    interval_s: float = 1.0
    weight: float = 0.25
    role: Role = Role.GUARD
    on_fail: OnFail = OnFail.ABORT
