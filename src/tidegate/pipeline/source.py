"""source: which commit it is, and what is known of it."""

from pathlib import Path

from tidegate.model.evidence import Evidence
from tidegate.model.spec import Spec
from tidegate.model.stages import StageName
from tidegate.model.verdict import Outcome
from tidegate.model.work import LookAtCommit
from tidegate.pipeline.stage import Candidate, Finished, Results, Stage, Step

LOOK = "look"


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
    commit = looked.commit
    assert commit is not None
    subject = f"commit {commit.short} ({commit.subject})" if commit.subject else f"commit {commit.short}"
    because = f"{subject} of {spec.source.repository}, version {version_of(spec, commit.version)}"
    return Finished(Evidence(Outcome.PASS, because, warnings=commit.warnings, commit=commit))


def version_of(spec: Spec, found: str) -> str:
    """The spec's own version, else that of the commit's tags."""
    return spec.build.version if spec.build is not None and spec.build.version else found


STAGE = Stage(StageName.SOURCE, _proceed, inputs=lambda candidate: None, bounds=lambda spec: spec.stages.source)
