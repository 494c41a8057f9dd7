"""unit: what it runs, and what it makes of how that ended."""

from dataclasses import replace

import pytest

from tests.unit.test_reports import COBERTURA, PYTEST
from tidegate.model.delivery import DeliveryKey
from tidegate.model.errors import SpecError
from tidegate.model.evidence import Evidence
from tidegate.model.release import AgentKey, Image
from tidegate.model.source import Commit
from tidegate.model.spec import Spec
from tidegate.model.stages import StageName
from tidegate.model.verdict import Outcome
from tidegate.model.work import BuildImage, Result, RunContainer, RunPrograms
from tidegate.pipeline import unit
from tidegate.pipeline.registry import key_of, records
from tidegate.pipeline.stage import Candidate, Finished
from tidegate.spec import parse_spec

SPEC = "agent: a\nworkload: {}\nbuild: {}\nstages:\n  unit: %s\n"
WHOLE = "{command: pytest -q, junit: out/junit.xml, coverage: cov.xml, min_coverage: 80, timeout: 20s, memory: 64m}"
BUILT = Result(image=Image("t", "sha256:toolchain"))
GREEN = b'<testsuite name="s"><testcase name="a"/><testcase name="b"/></testsuite>'


def spec(written: str = WHOLE) -> Spec:
    return parse_spec(SPEC % written)


def candidate(written: str = WHOLE, tree: str = "t1") -> Candidate:
    commit = Commit("c" * 40, tree=tree, repository="/repo")
    return Candidate(DeliveryKey(AgentKey("a", "prod"), 1), spec(written), commit=commit)


def read(dockerfile: bytes) -> dict[str, Result]:
    return {"dockerfile": Result(outputs={"Dockerfile": dockerfile})}


def judged(ran: Result, written: str = WHOLE) -> Evidence:
    step = unit.STAGE.proceed(candidate(written), {**read(b"FROM a"), "toolchain": BUILT, "tests": ran})
    assert isinstance(step, Finished)
    return step.evidence


def test_it_is_off_unless_the_spec_says_how() -> None:
    plain = parse_spec("agent: a\nworkload: {}\nbuild: {}\n")
    assert StageName.UNIT not in [one.name for one in records(plain)]
    assert StageName.UNIT in [one.name for one in records(spec())]
    assert spec("false").stages.unit is None
    with pytest.raises(SpecError, match="command is missing"):
        spec("{junit: a.xml}")
    with pytest.raises(SpecError, match=r"stages.unit.junit"):
        spec("{command: make, junit: ../../etc/passwd}")


def test_it_builds_the_toolchain_and_runs_the_tests_in_it() -> None:
    (look,) = unit.STAGE.proceed(candidate(), {})  # type: ignore[misc]
    assert isinstance(look, RunPrograms)
    assert look.reads == ("Dockerfile",)
    (build,) = unit.STAGE.proceed(candidate(), read(b"FROM go AS tools\nFROM scratch\n"))  # type: ignore[misc]
    assert isinstance(build, BuildImage)
    assert build.options.target == "tools"
    (build,) = unit.STAGE.proceed(candidate(), read(b"FROM go\n"))  # type: ignore[misc]
    assert isinstance(build, BuildImage)
    assert build.options.target == ""
    (build,) = unit.STAGE.proceed(candidate("{command: make, target: t}"), {})  # type: ignore[misc]
    assert isinstance(build, BuildImage)
    assert build.options.target == "t"
    unnamed = unit.STAGE.proceed(candidate(), read(b"FROM go\nFROM scratch\n"))
    assert isinstance(unnamed, Finished)
    assert unnamed.evidence.outcome is Outcome.FAIL
    (run,) = unit.STAGE.proceed(candidate(), {**read(b"FROM a"), "toolchain": BUILT})  # type: ignore[misc]
    assert isinstance(run, RunContainer)
    assert (run.image, run.command, run.network) == ("sha256:toolchain", ("pytest", "-q"), "none")
    assert run.outputs == ("/src/out/junit.xml", "/src/cov.xml")
    assert run.checkout is not None
    assert (run.bounds.timeout_s, run.bounds.memory_bytes) == (20.0, 64 << 20)


def test_an_image_is_taken_as_it_is_and_a_context_is_gone_into() -> None:
    written = SPEC.replace("build: {}", "build: {context: app}") % "{command: [make, test], image: go:1}"
    wanted = replace(candidate(), spec=parse_spec(written))
    (run,) = unit.STAGE.proceed(wanted, {})  # type: ignore[misc]
    assert isinstance(run, RunContainer)
    assert run.image == "go:1"
    assert run.command is not None
    assert run.command[-3:] == ("/src/app", "make", "test")


OUT = {"/src/out/junit.xml": GREEN, "/src/cov.xml": COBERTURA}


@pytest.mark.parametrize(
    ("ran", "outcome", "because"),
    [
        (Result(exit_code=0, outputs=OUT), Outcome.PASS, "2 tests: 2 passed; 83.2 % of lines covered"),
        (
            Result(exit_code=1, outputs={**OUT, "/src/out/junit.xml": PYTEST}),
            Outcome.FAIL,
            "2 of 4 tests failed: test_bad",
        ),
        (
            Result(exit_code=3, outputs=OUT),
            Outcome.FAIL,
            "pytest ended with exit code 3 although its report has 2 tests",
        ),
        (Result(exit_code=0), Outcome.FAIL, "no report says that any test ran"),
        (Result(exit_code=0, outputs={"/src/out/junit.xml": GREEN}), Outcome.FAIL, "no coverage report"),
        (Result(exit_code=0, outputs={**OUT, "/src/out/junit.xml": b"x"}), Outcome.FAIL, "a report cannot be read"),
        (Result(exit_code=2), Outcome.FAIL, "pytest ended with exit code 2"),
        (Result(exit_code=127), Outcome.FAIL, "the image of the tests has no pytest"),
        (Result(timed_out=True), Outcome.FAIL, "did not end within 20 s"),
        (Result(exit_code=137, oom_killed=True), Outcome.FAIL, "more than 64 MiB of memory"),
        (Result(unknown=True), Outcome.INCONCLUSIVE, "nobody saw"),
    ],
)
def test_how_it_ended(ran: Result, outcome: Outcome, because: str) -> None:
    found = judged(ran)
    assert found.outcome is outcome
    assert because in found.because
    assert found.outcome is Outcome.PASS or found.hint or "failed" in found.because or "exit code" in found.because


def test_too_little_coverage_fails() -> None:
    found = judged(Result(exit_code=0, outputs=OUT), WHOLE.replace("80", "90"))
    assert found.outcome is Outcome.FAIL
    assert "83.2 % of lines covered, 90 % wanted" in found.because


def test_the_key_follows_from_the_tree_and_the_settings_not_from_the_commit_or_the_limits() -> None:
    key = key_of(unit.STAGE, candidate())
    assert key == key_of(unit.STAGE, candidate(WHOLE.replace("20s", "30s")))
    assert key != key_of(unit.STAGE, candidate(tree="t2"))
    assert key != key_of(unit.STAGE, candidate(WHOLE.replace("-q", "-v")))
    assert key != key_of(unit.STAGE, replace(candidate(), versions={"tidegate": "2"}))
