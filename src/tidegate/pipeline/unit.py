"""unit: the project's own tests, in an image of the same toolchain as the build."""

from collections.abc import Mapping
from dataclasses import replace
from posixpath import join, normpath

from tidegate.model.evidence import Case, Evidence
from tidegate.model.spec import Spec
from tidegate.model.stages import Bounds, StageName, Unit
from tidegate.model.verdict import Outcome
from tidegate.model.work import BuildImage, Result, RunContainer, RunPrograms
from tidegate.pipeline.build import dockerfile_of, options_of, tag_of
from tidegate.pipeline.dockerfile import first_stage
from tidegate.pipeline.reports import ReportError, counted, coverage, failed, junit
from tidegate.pipeline.stage import Candidate, Finished, Results, Stage, Step

DOCKERFILE = "dockerfile"
TOOLCHAIN = "toolchain"
TESTS = "tests"
CHECKOUT = "/src"
UNNAMED = Evidence(
    Outcome.FAIL,
    "the first stage of the Dockerfile has no name, so nobody knows where the tests are to run",
    hint="write FROM ... AS builder, or name a stage (stages.unit.target) or an image (stages.unit.image)",
)
NAMED = 3
"""How many failed tests the sentence names."""


def _settings(spec: Spec) -> Unit:
    assert spec.stages.unit is not None
    return spec.stages.unit


def _inputs(candidate: Candidate) -> Mapping[str, object]:
    commit, unit = candidate.commit, _settings(candidate.spec)
    assert commit is not None
    toolchain = {"image": unit.image} if unit.image else {"build": candidate.spec.build}
    return {"tree": commit.tree, "unit": replace(unit, bounds=Bounds()), **toolchain}


def _proceed(candidate: Candidate, results: Results) -> Step:
    unit = _settings(candidate.spec)
    image = unit.image
    if not image:
        if not unit.target and DOCKERFILE not in results:
            return (RunPrograms(DOCKERFILE, candidate.checkout, (), reads=(dockerfile_of(candidate.spec),)),)
        built = results.get(TOOLCHAIN)
        if built is None:
            target = unit.target or _first(candidate.spec, results)
            return (_toolchain(candidate, unit, target),) if target is not None else Finished(UNNAMED)
        assert built.image is not None
        image = built.image.config_digest
    ran = results.get(TESTS)
    if ran is None:
        return (_tests(candidate, unit, image),)
    return _read(unit, ran, _folder(candidate.spec))


def _first(spec: Spec, results: Results) -> str | None:
    content = results[DOCKERFILE].outputs.get(dockerfile_of(spec), b"")
    return first_stage(content.decode(errors="replace"))


def _toolchain(candidate: Candidate, unit: Unit, target: str) -> BuildImage:
    """The Dockerfile as far as the stage that the tests run in."""
    spec, commit = candidate.spec, candidate.commit
    assert commit is not None
    options = replace(options_of(spec, commit), target=target, deadline_s=unit.bounds.timeout_s)
    return BuildImage(TOOLCHAIN, candidate.checkout, f"{tag_of(spec, commit)}.toolchain", options)


def _folder(spec: Spec) -> str:
    """Where the tests begin: the build's context."""
    return normpath(join(CHECKOUT, spec.build.context if spec.build is not None else "."))


def _tests(candidate: Candidate, unit: Unit, image: str) -> RunContainer:
    folder = _folder(candidate.spec)
    wanted = (*unit.junit, *((unit.coverage,) if unit.coverage else ()))
    command = unit.command if folder == CHECKOUT else ("sh", "-c", 'cd "$0" && exec "$@"', folder, *unit.command)
    return RunContainer(
        TESTS,
        image,
        command,
        entrypoint=(),
        environment=unit.environment,
        checkout=candidate.checkout,
        working_dir=CHECKOUT,
        outputs=tuple(normpath(join(folder, path)) for path in wanted),
        network=unit.network or "none",
        bounds=unit.bounds,
        repeatable=unit.repeatable,
    )


def _read(unit: Unit, ran: Result, folder: str) -> Finished:
    """What the tests said; how they ended goes first, because a report may be of half of them."""
    ended = _ended(unit, ran)
    report = normpath(join(folder, unit.coverage)) if unit.coverage else ""
    written = {path: content for path, content in ran.outputs.items() if path != report}
    files = {path.removeprefix(f"{folder}/").replace("/", "-"): content for path, content in ran.outputs.items()}
    try:
        cases = tuple(case for path, content in written.items() for case in junit(content))
        covered = coverage(ran.outputs[report]) if report in ran.outputs else None
    except ReportError as error:
        ended = ended or Evidence(Outcome.FAIL, f"a report cannot be read: {error}", hint="see what writes it")
        cases, covered = (), None
    evidence = ended or _judged(unit, ran.exit_code, cases, covered)
    numbers: dict[str, float] = {"took_s": ran.took_s}
    if unit.junit:
        numbers |= {"tests": float(len(cases)), "failed": float(len(failed(cases)))}
    if covered is not None:
        numbers["coverage_percent"] = round(covered, 2)
    log = ran.log[-30:] if evidence.outcome is not Outcome.PASS else ()
    return Finished(replace(evidence, cases=cases, numbers=numbers, log=log), files)


def _ended(unit: Unit, ran: Result) -> Evidence | None:
    """How it ended, where a report could not tell; else None."""
    program, limits = unit.command[0], unit.bounds
    if ran.unknown:
        return Evidence(Outcome.INCONCLUSIVE, "nobody saw how the tests ended", hint="repeatable: true runs them again")
    if ran.timed_out:
        hint = "stages.unit.timeout allows more"
        return Evidence(Outcome.FAIL, f"the tests did not end within {limits.timeout_s:g} s", hint=hint)
    if ran.oom_killed:
        because = f"the tests wanted more than {limits.memory_bytes >> 20} MiB of memory"
        return Evidence(Outcome.FAIL, because, hint="stages.unit.memory allows more")
    if ran.exit_code == 127:
        hint = "name another with stages.unit.target or image, or install it in that stage"
        return Evidence(Outcome.FAIL, f"the image of the tests has no {program}", hint=hint)
    return None


def _judged(unit: Unit, exit_code: int | None, cases: tuple[Case, ...], covered: float | None) -> Evidence:
    told = counted(cases) if unit.junit else f"{unit.command[0]} ended with exit code 0"
    bad = failed(cases)
    if bad:
        names = ", ".join(case.name for case in bad[:NAMED]) + (" ..." if len(bad) > NAMED else "")
        return Evidence(Outcome.FAIL, f"{len(bad)} of {len(cases)} tests failed: {names}")
    if exit_code:
        more = f" although its report has {counted(cases)}" if cases else ""
        return Evidence(Outcome.FAIL, f"{unit.command[0]} ended with exit code {exit_code}{more}")
    if unit.junit and not cases:
        hint = f"the tests are to write a JUnit report to {', '.join(unit.junit)}"
        return Evidence(Outcome.FAIL, "no report says that any test ran", hint=hint)
    if unit.coverage and covered is None:
        return Evidence(Outcome.FAIL, f"{told}; no coverage report", hint=f"it is expected at {unit.coverage}")
    if covered is not None:
        told = f"{told}; {covered:.1f} % of lines covered"
        if covered < unit.min_coverage:
            hint = "test what is new, or lower stages.unit.min_coverage"
            return Evidence(Outcome.FAIL, f"{told}, {unit.min_coverage:g} % wanted", hint=hint)
    return Evidence(Outcome.PASS, told)


STAGE = Stage(
    StageName.UNIT,
    _proceed,
    _inputs,
    bounds=lambda spec: spec.stages.unit.bounds if spec.stages.unit is not None else None,
    repeatable=lambda spec: _settings(spec).repeatable,
)
