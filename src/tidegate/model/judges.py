"""The rules of judges that people bring along, as the spec holds them. What they mean is in tidegate.core.judges.

`compat` is their exact behaviour where ours differs because theirs is unsafe: no data that fails, no data that passes.
Each metric is measured by `source` and `query`, as every other one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.model.judging import OnFail, Role
from tidegate.model.metering import GATEWAY

TOLERANCE = 0.25
CONFIDENCE = 0.98


class Direction(StrEnum):
    """Which way is worse, in Kayenta's words."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"


class NaNStrategy(StrEnum):
    """What becomes of missing samples: left out, or read as 0."""

    REMOVE = "remove"
    REPLACE = "replace"


class Measure(StrEnum):
    """How large a difference is: ratio of the means, or the chance that a canary sample is the larger (CLES)."""

    MEAN_RATIO = "meanRatio"
    CLES = "cles"


@dataclass(frozen=True)
class MetricConfig:
    """One metric of Kayenta's. Allowed and critical effect sizes: None is 1 (meanRatio) or 0.5 (cles)."""

    name: str
    groups: tuple[str, ...] = ()
    direction: Direction = Direction.EITHER
    nan_strategy: NaNStrategy = NaNStrategy.REMOVE
    remove_outliers: bool = False
    outlier_factor: float = 3.0
    critical: bool = False
    must_have_data: bool = False
    muted: bool = False
    measure: Measure = Measure.MEAN_RATIO
    allowed_increase: float | None = None
    allowed_decrease: float | None = None
    critical_increase: float | None = None
    critical_decrease: float | None = None
    tolerance: float = TOLERANCE
    confidence: float = CONFIDENCE
    source: str = GATEWAY
    query: str = ""

    def limit(self, value: float | None) -> float:
        """An effect size with its default."""
        return value if value is not None else (0.5 if self.measure is Measure.CLES else 1.0)


@dataclass(frozen=True)
class JudgeConfig:
    """Kayenta's metrics, weights of groups (percent), and the scores that pass or are marginal."""

    metrics: tuple[MetricConfig, ...]
    group_weights: Mapping[str, float] = field(default_factory=dict)
    pass_score: float = 95.0
    marginal_score: float = 75.0


@dataclass(frozen=True)
class ArgoMetric:
    """One metric of Argo's. `count` 0: as long as it is asked for, or once where `repeats` is false (no interval
    given). `failure_limit` negative: failures never end it. `dry_run`: its result does not count for the run."""

    name: str
    success_condition: str = ""
    failure_condition: str = ""
    count: int = 0
    repeats: bool = True
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    consecutive_success_limit: int = 0
    dry_run: bool = False
    source: str = GATEWAY
    query: str = ""
    interval_s: float = 60.0

    @property
    def effective_count(self) -> int:
        """How many measurements end it; 0: none."""
        return self.count if self.count or self.repeats else 1


@dataclass(frozen=True)
class FlaggerMetric:
    """One metric of Flagger's and its range: percent for request-success-rate, milliseconds for request-duration."""

    name: str
    minimum: float | None = None
    maximum: float | None = None
    threshold: float | None = None
    source: str = GATEWAY
    query: str = ""


@dataclass(frozen=True)
class FlaggerAnalysis:
    """Flagger's metrics, and how many failed checks roll back."""

    metrics: tuple[FlaggerMetric, ...]
    threshold: int = 1


def acts(role: Role, on_fail: OnFail) -> bool:
    """Whether a verdict of this role does anything to the rollout."""
    return role is not Role.OBSERVE and on_fail is not OnFail.NOTIFY


@dataclass(frozen=True)
class Kayenta:
    """Kayenta's judge: a sample every `step_s` of both sides, a judgement of all samples every `interval_s`."""

    rules: JudgeConfig
    step_s: float = 60.0
    interval_s: float = 300.0
    compat: bool = False
    on_fail: OnFail = OnFail.ABORT
    role: Role = Role.GUARD

    @property
    def acts(self) -> bool:
        """Whether its verdict does anything."""
        return acts(self.role, self.on_fail)


@dataclass(frozen=True)
class Argo:
    """Argo Rollouts' metrics, each at its own interval."""

    metrics: tuple[ArgoMetric, ...]
    compat: bool = False
    on_fail: OnFail = OnFail.ABORT
    role: Role = Role.GUARD

    @property
    def acts(self) -> bool:
        """Whether its verdict does anything."""
        return acts(self.role, self.on_fail)


@dataclass(frozen=True)
class Flagger:
    """Flagger's checks, all at each `interval_s`."""

    rules: FlaggerAnalysis
    interval_s: float = 60.0
    compat: bool = False
    on_fail: OnFail = OnFail.ABORT
    role: Role = Role.GUARD

    @property
    def acts(self) -> bool:
        """Whether its verdict does anything."""
        return acts(self.role, self.on_fail)


@dataclass(frozen=True)
class Asked:
    """What one metric of a judge is measured by, and how often."""

    name: str
    source: str
    query: str
    interval_s: float


@dataclass(frozen=True)
class Judges:
    """The judges of an analysis, at most one of each kind."""

    kayenta: Kayenta | None = None
    argo: Argo | None = None
    flagger: Flagger | None = None

    def of(self, name: str) -> Kayenta | Argo | Flagger:
        """A judge by its name. Raises KeyError where there is none."""
        found = {"kayenta": self.kayenta, "argo": self.argo, "flagger": self.flagger}[name]
        if found is None:
            raise KeyError(name)
        return found

    def asked(self) -> Iterator[tuple[str, Asked]]:
        """What each judge wants measured."""
        if self.kayenta is not None:
            step = self.kayenta.step_s
            yield from (("kayenta", Asked(m.name, m.source, m.query, step)) for m in self.kayenta.rules.metrics)
        if self.argo is not None:
            yield from (("argo", Asked(m.name, m.source, m.query, m.interval_s)) for m in self.argo.metrics)
        if self.flagger is not None:
            every = self.flagger.interval_s
            yield from (("flagger", Asked(m.name, m.source, m.query, every)) for m in self.flagger.rules.metrics)


NO_JUDGES = Judges()


@dataclass(frozen=True)
class Sample:
    """One measurement at `at` (unix seconds) of the candidate, and of stable. None: no data; `error`: the source's."""

    at: float
    candidate: float | None = None
    stable: float | None = None
    error: str = ""
