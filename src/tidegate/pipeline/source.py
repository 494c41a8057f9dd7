"""source: which commit it is, and what is known of it."""

from collections.abc import Mapping
from pathlib import Path

from tidegate.core.commits import Note, measure, notes, release_notes
from tidegate.core.delivery import BREAKING
from tidegate.model.changes import Change
from tidegate.model.evidence import Evidence, Finding, Table
from tidegate.model.source import Commit
from tidegate.model.spec import Spec
from tidegate.model.stages import Severity, StageName
from tidegate.model.verdict import Outcome
from tidegate.model.work import Checkout, CompareCommits, LookAtCommit
from tidegate.pipeline.stage import Candidate, Finished, Results, Stage, Step

LOOK = "look"
COMPARE = "compare"


def repository_of(spec: Spec) -> str:
    """A repository's path is relative to the spec; a URL is taken as it is."""
    repository = spec.source.repository
    if "://" in repository or repository.startswith("git@"):
        return repository
    return str((Path(spec.file).resolve().parent / repository).resolve())


def _proceed(candidate: Candidate, results: Results) -> Step:
    spec = candidate.spec
    looked = results.get(LOOK)
    if looked is None:
        return (LookAtCommit(LOOK, repository_of(spec), candidate.reference or spec.source.branch),)
    commit, running = looked.commit, candidate.running
    assert commit is not None
    compared = results.get(COMPARE)
    if compared is None:
        since = running.release.provenance.commit if running is not None else ""
        return (CompareCommits(COMPARE, Checkout(commit.repository, commit.id), since),)
    change = compared.change
    assert change is not None
    return _finished(candidate, commit, change)


def _finished(candidate: Candidate, commit: Commit, change: Change) -> Finished:
    spec, running = candidate.spec, candidate.running
    version, former = version_of(spec, commit.version), running.release.version if running is not None else ""
    numbers = measure(change, commit.committed_at)
    told = notes(change)
    findings = tuple(_breaking(note, former) for note in told if note.breaking)
    subject = f"commit {commit.short} ({commit.subject})" if commit.subject else f"commit {commit.short}"
    because = f"{subject} of {spec.source.repository}, version {version}: {_size(numbers)}"
    rows = tuple((note.title, note.text, note.commit[:12], note.breaking) for note in told)
    evidence = Evidence(
        Outcome.PASS,
        because,
        findings=findings,
        tables=(Table("changes", ("kind", "change", "commit", "breaking"), rows),) if rows else (),
        numbers=numbers,
        facts={"since": change.base, "running": former} if change.base else {},
        warnings=(*commit.warnings, *(f"breaking: {finding.message}" for finding in findings)),
        commit=commit,
    )
    return Finished(evidence, {"release-notes.md": release_notes(change, version, former).encode()})


def _size(numbers: Mapping[str, float]) -> str:
    """The change in a few words."""
    lines = f"+{numbers['lines_added']:.0f} -{numbers['lines_deleted']:.0f} lines"
    return f"{lines} in {numbers['files']:.0f} files, {numbers['commits']:.0f} commits"


def _breaking(note: Note, former: str) -> Finding:
    since = f" since {former}" if former else ""
    return Finding(
        BREAKING,
        Severity.MEDIUM,
        note.breaking,
        note.commit[:12],
        f"see what relies on it{since}; in_place asks for a person's word",
        "source",
    )


def version_of(spec: Spec, found: str) -> str:
    """The spec's own version, else that of the commit's tags."""
    return spec.build.version if spec.build is not None and spec.build.version else found


STAGE = Stage(StageName.SOURCE, _proceed, inputs=lambda candidate: None, bounds=lambda spec: spec.stages.source)
