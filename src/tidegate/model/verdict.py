"""Measurements and verdicts: what a metric said, and what follows from it, with its evidence."""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.judges import Sample
from tidegate.model.judging import OnFail


class Outcome(StrEnum):
    """What a metric, or all of them, says. No data is INCONCLUSIVE: never pass, never fail."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Measurement:
    """One value of one metric over the interval that ended at `at`. `value` None: nothing could be measured."""

    metric: str
    at: float
    outcome: Outcome
    value: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class MetricState:
    """What the analysis remembers of one metric between ticks; `window_*` add up the interval under way.

    `recent` are the latest measurements, for whoever wants to know why.
    """

    metric: str
    started_at: float
    window_since: float
    window_requests: int = 0
    window_errors: int = 0
    window_latency: tuple[int, ...] = ()
    window_value: float | None = None
    window_missing: str = ""
    taken: int = 0
    failed: int = 0
    inconclusive: int = 0
    consecutive_successes: int = 0
    last: Measurement | None = None
    recent: tuple[Measurement, ...] = ()


@dataclass(frozen=True)
class Sampling:
    """One metric of a judge: the windows under way of candidate and stable, and every sample so far."""

    metric: str
    candidate: MetricState
    stable: MetricState
    samples: tuple[Sample, ...] = ()

    @classmethod
    def fresh(cls, metric: str, now: float) -> "Sampling":
        """Windows that begin now."""
        window = MetricState(metric, now, now)
        return cls(metric, window, window)


@dataclass(frozen=True)
class JudgeState:
    """What is remembered of one judge (kayenta, argo, flagger): samples, how often it looked, and what it said last."""

    judge: str
    began: float
    metrics: tuple[Sampling, ...]
    looks: int = 0
    outcome: Outcome = Outcome.INCONCLUSIVE
    because: str = ""


@dataclass(frozen=True)
class MetricVerdict:
    """What one metric says, with the numbers in `because`. One that is only observed never acts."""

    metric: str
    outcome: Outcome
    on_fail: OnFail
    because: str
    at: float = 0.0
    observed: bool = False


@dataclass(frozen=True)
class Verdict:
    """What all metrics say together; `because` names the metric that decided."""

    outcome: Outcome
    because: str
    metrics: tuple[MetricVerdict, ...] = ()
