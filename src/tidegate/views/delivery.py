"""A delivery: its stages as lines and as data, and the evidence as a document for a change ticket."""

from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.model.delivery import Delivery, StageRecord, StageState
from tidegate.model.evidence import Evidence, Finding, Table
from tidegate.model.stages import Severity, StageName
from tidegate.views.lines import Line, Span, date, first_line, line, span_of, table

TONES = {
    StageState.WAITING: "dim",
    StageState.RUNNING: "blue",
    StageState.PASSED: "green",
    StageState.FAILED: "red",
    StageState.INCONCLUSIVE: "yellow",
    StageState.CANCELLED: "yellow",
}
SEVERITY_TONES = {Severity.CRITICAL: "red", Severity.HIGH: "red", Severity.MEDIUM: "yellow"}


def delivery_lines(delivery: Delivery, now: float) -> tuple[Line, ...]:
    """One line a stage."""
    head = f"delivery {delivery.key.number} of {delivery.key.agent}: {delivery.phase}"
    commit = f", commit {delivery.commit.short}" if delivery.commit is not None else ""
    rows = [
        (
            Span(f"  {one.name}"),
            Span(_state(one), TONES[one.state]),
            Span(_took(one, now), "dim"),
            first_line(one.because),
        )
        for one in delivery.stages
    ]
    return (line(Span(head + commit, "bold")), *table(rows))


def _state(record: StageRecord) -> str:
    return "reused" if record.reused else record.state.value


def _took(record: StageRecord, now: float) -> str:
    match record.state:
        case StageState.WAITING:
            return ""
        case StageState.RUNNING:
            return span_of(now - record.started_at)
        case _:
            return f"{record.ended_at - record.started_at:.1f} s"


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    """As plain data, without the spec."""
    return {
        "agent": delivery.key.agent.agent,
        "environment": delivery.key.agent.environment,
        "number": delivery.key.number,
        "phase": delivery.phase.value,
        "because": delivery.because,
        "reference": delivery.reference,
        "commit": delivery.commit.id if delivery.commit is not None else "",
        "image": delivery.image.reference if delivery.image is not None else "",
        "release": delivery.release.id if delivery.release is not None else "",
        "by": delivery.by,
        "at": delivery.at,
        "ended_at": delivery.ended_at or None,
        "stages": [
            {
                "name": one.name.value,
                "state": one.state.value,
                "because": one.because,
                "reused": one.reused,
                "attempt": one.attempt,
                "took_s": round(one.ended_at - one.started_at, 3) if one.state.over else None,
            }
            for one in delivery.stages
        ],
    }


def evidence_lines(evidence: Evidence) -> Iterable[Line]:
    """One stage's evidence for a person: tables, what does not pass, findings with how to mend them."""
    for one in evidence.tables:
        yield line(Span(one.title, "bold"))
        yield from table(one.rows, one.columns)
    for case in evidence.cases:
        if case.state.value in ("failed", "not_run"):
            yield line(Span(f"{case.state} ", "red"), f"{case.suite} {case.name}  ", Span(case.detail, "dim"))
    for finding in sorted(evidence.findings, key=lambda one: -one.severity.rank):
        tone = "dim" if finding.known else SEVERITY_TONES.get(finding.severity, "")
        known = " (known)" if finding.known else ""
        yield line(Span(f"{finding.severity:<8}", tone), f" {finding.where}  {finding.rule}: {finding.message}{known}")
        if finding.hint:
            yield line(Span(f"         {finding.hint}", "dim"))
    for text in evidence.log:
        yield line(Span(f"  | {text}", "dim"))


def markdown(delivery: Delivery, found: Mapping[StageName, Evidence]) -> str:
    """Everything that a person who has to say yes wants to read."""
    release = delivery.release
    title = f"{release.agent} {release.version}" if release is not None else f"{delivery.key}"
    parts = [f"# Evidence of {title}", "", *_facts(delivery), "", "| stage | outcome | took | because |"]
    parts += ["|---|---|---|---|"]
    for record in delivery.stages:
        because = _cell(first_line(record.because))
        parts.append(f"| {record.name} | {_state(record)} | {_took(record, record.ended_at)} | {because} |")
    for name, evidence in found.items():
        parts += _section(name, evidence)
    return "\n".join(parts) + "\n"


def _facts(delivery: Delivery) -> list[str]:
    commit, image, release = delivery.commit, delivery.image, delivery.release
    facts = {
        "delivery": f"{delivery.key.number} of {delivery.key.agent}: {delivery.phase}",
        "commit": f"`{commit.id}` {commit.subject}" if commit else "",
        "image": f"`{image.reference}` `{image.config_digest}`" if image else "",
        "release": f"`{release.id}`" if release else "",
        "asked by": f"{delivery.by}, {date(delivery.at)}",
        "reason": delivery.reason,
    }
    return [f"- {name}: {value}" for name, value in facts.items() if value]


def _section(name: StageName, evidence: Evidence) -> list[str]:
    parts = ["", f"## {name}: {evidence.outcome}", "", evidence.because]
    if evidence.facts or evidence.numbers:
        told = {**evidence.facts, **{key: f"{value:g}" for key, value in evidence.numbers.items()}}
        parts += ["", ", ".join(f"{key} {value}" for key, value in told.items())]
    for one in evidence.tables:
        parts += ["", f"### {one.title}", "", *_table(one)]
    if evidence.findings:
        parts += ["", *_table(_findings(evidence.findings))]
    return parts


def _findings(findings: Iterable[Finding]) -> Table:
    ordered = sorted(findings, key=lambda one: -one.severity.rank)
    rows = tuple((f.severity.value, f.rule, f.where, f.message, "known" if f.known else f.hint) for f in ordered)
    return Table("findings", ("severity", "rule", "where", "finding", "how to mend it"), rows)


def _table(one: Table) -> list[str]:
    rows = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in one.rows]
    return [f"| {' | '.join(one.columns)} |", f"|{'---|' * len(one.columns)}", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
