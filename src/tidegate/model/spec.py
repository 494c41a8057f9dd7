"""The spec: tidegate.yaml as the rest of the code sees it. Durations are seconds, shares are percent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tidegate.model.judges import NO_JUDGES, Judges
from tidegate.model.judging import OnFail as OnFail
from tidegate.model.judging import Role as Role
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import Origin
from tidegate.model.monitor import MONITOR, Check
from tidegate.model.policy import Gate, Policy
from tidegate.model.stages import Stages
from tidegate.model.traffic import Match, Preview, Sticky
from tidegate.model.waves import Host, Waves
from tidegate.model.workload import Workload


@dataclass(frozen=True)
class SetWeight:
    """Send this percentage of requests (or of instances, for an agent without routes) to the canary."""

    weight: int


@dataclass(frozen=True)
class Pause:
    """Wait: for a duration, or (None) for a person."""

    duration_s: float | None = None


@dataclass(frozen=True)
class Analyse:
    """Watch for a duration and go on only when every verdict is pass.

    None: nothing was measured before, and from here on the metrics are watched in the background. Without such a step
    they are from the first one on.
    """

    duration_s: float | None


@dataclass(frozen=True)
class SetRoute:
    """From here on requests that match everything go to the canary, whatever the weight; nothing: no such requests.

    `version_header` names a header: whoever writes a version into it reaches the revision of that version.
    """

    matches: tuple[Match, ...] = ()
    version_header: str = ""


@dataclass(frozen=True)
class SetMirror:
    """Copy this percentage of requests to the canary and throw its responses away, until a weight is set."""

    percent: int


@dataclass(frozen=True)
class SetScale:
    """Run this many instances of the canary ("2", or "50%" of the replicas); empty: as many as the weight needs."""

    count: str = ""


Step = SetWeight | Pause | Analyse | SetRoute | SetMirror | SetScale | Gate


@dataclass(frozen=True)
class Canary:
    """Start the candidate beside stable and move traffic step by step.

    `baseline` starts as many instances of stable's release with it, to be compared with.
    """

    steps: tuple[Step, ...] = (SetWeight(10), Analyse(30.0), SetWeight(50), Analyse(30.0))
    sticky: Sticky | None = None
    bake_s: float = 30.0
    keep_s: float = 0.0
    drain_s: float = 30.0
    progress_deadline_s: float = 600.0
    baseline: bool = False


@dataclass(frozen=True)
class Rolling:
    """Replace instances a few at a time. Traffic follows the instances that are ready.

    `max_surge` more than the replicas may exist and `max_unavailable` fewer may be ready, each a number ("1") or a
    percentage ("25%"; surge rounds up, unavailable down, as Kubernetes does it). Surge 0 stops first, unavailable 0
    starts first.
    """

    max_surge: str = "25%"
    max_unavailable: str = "0"
    min_ready_s: float = 0.0
    bake_s: float = 30.0
    drain_s: float = 30.0
    progress_deadline_s: float = 600.0

    @property
    def keep_s(self) -> float:
        """Nothing is kept warm: the former instances are gone one by one."""
        return 0.0


@dataclass(frozen=True)
class BlueGreen:
    """All of the candidate beside all of stable, then every request at once.

    Before the switch the candidate is reached by `preview` and watched for `analyse_s`; without `automatic` a person
    approves. After it the former side is watched over for `bake_s`, and kept running for `keep_s` after promotion, so
    that undo is a switch.
    """

    preview: Preview | None = None
    mirror: int = 0
    analyse_s: float = 0.0
    automatic: bool = True
    bake_s: float = 30.0
    keep_s: float = 600.0
    drain_s: float = 30.0
    progress_deadline_s: float = 600.0


@dataclass(frozen=True)
class BackedUp:
    """A named volume to back up. `restore` lets a rollback put the backup back, and lose what was written since."""

    name: str
    restore: bool = False


class VersionIn(StrEnum):
    """Where the version is looked for after a start: nowhere, in the log, or in the image's label."""

    NOWHERE = "nowhere"
    LOG = "log"
    LABEL = "label"


@dataclass(frozen=True)
class Verify:
    """What must be seen of the new instance. `fatal` is a regular expression: a line that matches it is a fault.

    `expected` is the text that one line of the log must hold; {version} stands for the release's version.
    """

    fatal: str = r"\b(FATAL|PANIC|panic:|fatal error)\b"
    version_in: VersionIn = VersionIn.NOWHERE
    expected: str = "{version}"
    deadline_s: float = 60.0


@dataclass(frozen=True)
class InPlace:
    """Stop stable, start the candidate in its place: for an agent that cannot run twice. One instance only.

    `volumes` are backed up in between; `keep` earlier backups stay. `tools_image` runs the backup's shell and tar
    (empty: one that Tidegate makes). `refuse_breaking` refuses major versions and images that say that they break,
    unless a person accepts it.
    """

    volumes: tuple[BackedUp, ...] = ()
    keep: int = 3
    backup_timeout_s: float = 600.0
    tools_image: str = ""
    verify: Verify = Verify()
    refuse_breaking: bool = True
    bake_s: float = 30.0
    progress_deadline_s: float = 600.0

    @property
    def drain_s(self) -> float:
        """The former instance is stopped already when the candidate takes over: nothing drains."""
        return 0.0

    @property
    def keep_s(self) -> float:
        """Two never run at once, so nothing is kept warm."""
        return 0.0


Strategy = Canary | Rolling | BlueGreen | InPlace


GATEWAY_QUERIES = (
    *("error_share", "success_rate", "request_rate"),
    *("latency_p50", "latency_p90", "latency_p95", "latency_p99"),
)
"""What the gateway can be asked: a share of 1, percent (Flagger's way), requests a second, milliseconds."""


@dataclass(frozen=True)
class ThresholdMetric:
    """A metric judged by conditions, with the field's semantics (Argo Rollouts' AnalysisTemplate).

    Every `interval_s` one measurement is taken over that interval; `success_condition` and `failure_condition` are
    expressions over `result`. More than `failure_limit` failed measurements make the metric fail; more than
    `inconclusive_limit` inconclusive ones make it inconclusive. With both conditions, neither true is inconclusive;
    with one, the other follows from it. `count` measurements end it (0: as long as the step lasts).
    """

    name: str
    source: str = "gateway"
    query: str = "error_share"
    interval_s: float = 5.0
    count: int = 0
    success_condition: str = ""
    failure_condition: str = ""
    failure_limit: int = 0
    consecutive_success_limit: int = 0
    inconclusive_limit: int = 3
    min_requests: int = 1
    on_fail: OnFail = OnFail.ABORT
    role: Role = Role.OBJECTIVE


class Undecidable(StrEnum):
    """What becomes of a canary that is neither proven worse nor proven good within the time.

    RAISE gives it more traffic as soon as it is clear that what it has cannot suffice, up to half; then it pauses.
    """

    PAUSE = "pause"
    RAISE = "raise"
    PROCEED = "proceed"


@dataclass(frozen=True)
class Sequential:
    """The sequential engine (docs/explanation/decisions.md): errors and latency of the canary against stable's.

    `margin` is the ratio that is put up with, `alpha` the share of harmless canaries that may be turned back ever.
    With `objective`, promotion needs proof that the canary is not `worst_ratio` times worse than stable, or stays below
    `floor` (a share of requests); it is waited for at most `within_s` after the last step.
    """

    margin: float = 1.25
    alpha: float = 0.01
    objective: bool = True
    worst_ratio: float = 2.0
    floor: float = 0.005
    within_s: float = 600.0
    undecidable: Undecidable = Undecidable.PAUSE
    on_fail: OnFail = OnFail.ABORT


COLLAPSE = ThresholdMetric(
    "collapse", query="error_share", failure_condition="result > 0.5", min_requests=20, interval_s=2.0, role=Role.GUARD
)
"""More than half of at least 20 requests fail: nobody needs statistics for that, nor a past to compare with."""


class Mode(StrEnum):
    """Whether verdicts act."""

    ACT = "act"
    OBSERVE = "observe"


@dataclass(frozen=True)
class Analysis:
    """What is watched while a rollout runs and bakes. In mode observe verdicts are told, and act on nothing.

    `metrics` are judged by thresholds, `streams` by sequential evidence beside `sequential`, which is the
    gateway's, and `judges` are the rules that people bring along. `sources` are the metric sources that are
    declared; of other kinds than these, a metric may name one by its kind.
    """

    metrics: tuple[ThresholdMetric, ...] = (COLLAPSE,)
    sequential: Sequential | None = Sequential()
    mode: Mode = Mode.ACT
    sources: tuple[Origin, ...] = ()
    streams: tuple[SequentialMetric, ...] = ()
    judges: Judges = NO_JUDGES

    @property
    def rules(self) -> Sequential:
        """The sequential engine's limits, for the gateway's numbers and for `streams`."""
        return self.sequential or Sequential()


@dataclass(frozen=True)
class Rollback:
    """Limits of the hard facts, and what is kept for the way back. Seconds and counts.

    `heartbeat_deadline_s` is the silence allowed to an instance that reported once; 0: three of its own intervals.
    `hold` lets automatic deliveries wait after a rollback until somebody acknowledges it. `cleanup` removes images of
    ours that no kept revision needs.
    """

    ready_deadline_s: float = 30.0
    switch_deadline_s: float = 60.0
    max_restarts: int = 2
    heartbeat_deadline_s: float = 0.0
    history: int = 5
    window: int = 3
    monitor: tuple[Check, ...] = MONITOR
    hold: bool = True
    cleanup: bool = True


@dataclass(frozen=True)
class Hook:
    """Work before or after a rollout: a container task with a `command`, or a web hook with a `url`.

    A container has the workload's environment, secrets, mounts and networks, and the release's image unless another is
    named. Its outcome is kept with the release: what succeeded never runs again for it. An outcome that nobody knows
    stops for a person, except of a `repeatable` hook, which runs again.
    """

    name: str
    command: tuple[str, ...] = ()
    image: str = ""
    url: str = ""
    timeout_s: float = 60.0
    repeatable: bool = False
    on_fail: OnFail = OnFail.ABORT


@dataclass(frozen=True)
class Hooks:
    """`pre` runs when the image is there and before anything changes, `post` when the candidate has baked."""

    pre: tuple[Hook, ...] = ()
    post: tuple[Hook, ...] = ()


NO_HOOKS = Hooks()


@dataclass(frozen=True)
class Source:
    """Where commits come from: a repository (path or URL) and a branch."""

    repository: str = "."
    branch: str = "main"


@dataclass(frozen=True)
class Build:
    """How a commit becomes an image."""

    context: str = "."
    dockerfile: str = "Dockerfile"
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    repository: str = ""
    version: str = ""


@dataclass(frozen=True)
class Environment:
    """A named place; a fleet when it has hosts.

    `overlay` is merged into the workload's plain form by the rules of Compose's override files. `drill`: the way back
    may be rehearsed here.
    """

    name: str
    platform: str = "docker"
    endpoint: str = ""
    overlay: Mapping[str, Any] = field(default_factory=dict)
    workload: Workload = field(default_factory=Workload)
    policy: Policy = field(default_factory=Policy)
    drill: bool = False
    hosts: tuple[Host, ...] = ()


@dataclass(frozen=True)
class Spec:
    """One agent's tidegate.yaml, validated. `workload` is the base; each environment holds its own merged workload.

    `strategy` is how one host moves to a release, `waves` how a fleet does.
    """

    agent: str
    workload: Workload
    environments: Mapping[str, Environment]
    source: Source = Source()
    build: Build | None = None
    strategy: Strategy = Canary()
    waves: Waves = field(default_factory=Waves)
    analysis: Analysis = Analysis()
    rollback: Rollback = Rollback()
    hooks: Hooks = NO_HOOKS
    stages: Stages = field(default_factory=Stages)
    file: str = "tidegate.yaml"
