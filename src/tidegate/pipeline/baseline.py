"""What counts against a release: findings at or above a severity that are not in the project's baseline.

A baseline is a file in the repository that names findings that were there before; they are shown and block nothing. A
finding is recognised by its rule, file and message, not by its line, which moves.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from tidegate.model.evidence import Finding
from tidegate.model.stages import Severity
from tidegate.model.workload import fingerprint
from tidegate.pipeline.reports import ReportError


def mark_of(finding: Finding) -> str:
    """How a finding is recognised."""
    return fingerprint([finding.tool, finding.rule, finding.where.rpartition(":")[0] or finding.where, finding.message])


def read(content: bytes) -> Counter[str]:
    """The marks of a baseline file, each as often as it may occur. Raises ReportError."""
    try:
        return Counter(str(one["mark"]) for one in json.loads(content)["findings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ReportError(f"it is no baseline: {error}") from error


def write(findings: Iterable[Finding]) -> str:
    """A baseline of these findings, for a person to read and commit. It holds no secrets: findings do not."""
    rows = [
        {"mark": mark_of(one), "tool": one.tool, "rule": one.rule, "where": one.where, "message": one.message}
        for one in sorted(findings, key=lambda one: (one.where, one.rule))
    ]
    return json.dumps({"findings": rows}, indent=1) + "\n"


def compare(findings: Iterable[Finding], known: Counter[str]) -> tuple[Finding, ...]:
    """The findings, those of the baseline marked as known. One more of the same than there was is new."""
    left = Counter(known)
    marked = []
    for finding in findings:
        mark = mark_of(finding)
        is_known = left[mark] > 0
        left[mark] -= is_known
        marked.append(replace(finding, known=is_known))
    return tuple(marked)


def blocking(findings: Iterable[Finding], fail_on: Severity) -> tuple[Finding, ...]:
    """Those that fail a stage."""
    return tuple(one for one in findings if not one.known and one.severity.rank >= fail_on.rank)


def summary(findings: tuple[Finding, ...]) -> str:
    """For a sentence: 5 findings: 1 high, 4 low; 3 more are known."""
    new = [one.severity for one in findings if not one.known]
    counts = ", ".join(f"{new.count(severity)} {severity}" for severity in reversed(Severity) if severity in new)
    known = len(findings) - len(new)
    more = f"; {known} more in the baseline" if known else ""
    return (f"{len(new)} findings: {counts}" if new else "no new findings") + more
