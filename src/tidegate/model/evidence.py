"""Evidence: what a stage found out, as plain values. Verdicts are model.verdict.Outcome: no data is inconclusive."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.model.release import Image
from tidegate.model.source import Commit
from tidegate.model.stages import Severity
from tidegate.model.verdict import Outcome


@dataclass(frozen=True)
class Finding:
    """One thing that a person should look at. `where` is file:line or a layer; `hint` says how to mend it.

    `known` findings are in the baseline: shown, and they block nothing.
    """

    rule: str
    severity: Severity
    message: str
    where: str = ""
    hint: str = ""
    tool: str = ""
    known: bool = False


@dataclass(frozen=True)
class Table:
    """Rows that a person reads."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class CaseState(StrEnum):
    """How one test case ended. NOT_RUN is never a success."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_RUN = "not_run"


@dataclass(frozen=True)
class Case:
    """One test case, or one cell of a matrix; `detail` is why it failed or was not run."""

    suite: str
    name: str
    state: CaseState
    took_s: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Evidence:
    """What a stage found out. `because` is one sentence with the numbers.

    `numbers` are measured values by name, the unit in the name (size_bytes, took_s); `facts` are texts by name (tools
    and their versions). `files` are names of what is kept beside it whole (junit.xml, sbom.json). `log` is the end of
    what was written, when that says why. `commit` and `image` are what later stages go on from.
    """

    outcome: Outcome
    because: str
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    cases: tuple[Case, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    hint: str = ""
    log: tuple[str, ...] = ()
    commit: Commit | None = None
    image: Image | None = None
