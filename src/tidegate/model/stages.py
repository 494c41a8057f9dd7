"""The stages of a delivery, and what the spec says of each. A stage that is None is off."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class StageName(StrEnum):
    """The stages in the order in which a person reads them; core.delivery says which waits for which."""

    SOURCE = "source"
    SCAN = "scan"
    UNIT = "unit"
    BUILD = "build"
    INSPECT = "inspect"
    INTEGRATE = "integrate"
    COMPATIBILITY = "compatibility"
    PROTOCOL = "protocol"
    CHAOS = "chaos"
    BASELINE = "baseline"
    ROLLOUT = "rollout"


class Severity(StrEnum):
    """How bad a finding is. Tools' own scales are translated to this one."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """For comparing: a greater one is worse."""
        return tuple(Severity).index(self)


@dataclass(frozen=True)
class Bounds:
    """What a stage's work may take: seconds, cores, bytes, processes. Of the budget it takes cores and memory."""

    timeout_s: float = 900.0
    cpus: float = 1.0
    memory_bytes: int = 1 << 30
    pids: int = 1024


@dataclass(frozen=True)
class Linter:
    """A linter of the project's own, in a container. `sarif`: where it writes its report; empty: its exit code says."""

    name: str
    image: str
    command: tuple[str, ...]
    sarif: str = ""


@dataclass(frozen=True)
class Scan:
    """Linters and searches, each switched. `baseline` is a file of the repository: findings that were there before."""

    dockerfile: bool = True
    python: bool = True
    secrets: bool = True
    trivy: bool = False
    linters: tuple[Linter, ...] = ()
    fail_on: Severity = Severity.HIGH
    baseline: str = ""
    bounds: Bounds = Bounds(timeout_s=300.0, memory_bytes=512 << 20)


@dataclass(frozen=True)
class Unit:
    """The project's own tests, in an image of the same toolchain: `image`, or the Dockerfile's `target` (its first).

    `junit` are paths of reports (a folder: all in it), `coverage` that of a Cobertura or LCOV report, both within the
    checkout; `min_coverage` is percent of lines. `network` names one that is granted; empty: none.
    """

    command: tuple[str, ...]
    target: str = ""
    image: str = ""
    junit: tuple[str, ...] = ()
    coverage: str = ""
    min_coverage: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    repeatable: bool = True
    bounds: Bounds = Bounds()


@dataclass(frozen=True)
class Inspect:
    """What an image must be. `max_size` is bytes unpacked, `max_growth` percent of the running release's image.

    `distroless`: no shell and no package manager. `max_base_age_s`: an older base image is told of.
    """

    max_size: int | None = None
    max_growth: float | None = None
    distroless: bool = False
    max_base_age_s: float = 90 * 86400.0
    fail_on: Severity = Severity.HIGH
    bounds: Bounds = Bounds(timeout_s=600.0, cpus=0.5, memory_bytes=256 << 20)


@dataclass(frozen=True)
class Stages:
    """The spec's `stages` section: a field for each stage. Source and build are always on."""

    source: Bounds = Bounds(timeout_s=900.0, cpus=0.5, memory_bytes=256 << 20)
    scan: Scan | None = None
    unit: Unit | None = None
    build: Bounds = Bounds(timeout_s=1800.0)
    inspect: Inspect | None = None
