"""stages: shapes and what they become. A stage is switched by `true` or `false`, or on by its keys."""

from dataclasses import replace
from typing import Any

from tidegate.model.stages import Bounds, Inspect, Linter, Scan, Severity, Stages, Unit
from tidegate.spec.context import Context
from tidegate.spec.kinds import COMMAND, OneOrMore, Pairs, byte_size, choice, duration, flag, number, text, whole
from tidegate.spec.scalars import duration_text
from tidegate.spec.shapes import INVALID, Either, Key, ListOf, Object, Record, Scalar, Shape, own

_DEFAULT = Stages()
PATH_WITHIN = text("a path in the repository", r"(?!/)(?!(.*/)?\.\.(/|$)).+", example="reports/junit.xml")


def bounds_keys(default: Bounds) -> tuple[Key, ...]:
    """The keys that every stage has: what its work may take."""
    return own(
        Key(
            "timeout",
            duration(0.001),
            "After this its work is stopped, and it has failed.",
            duration_text(default.timeout_s),
        ),
        Key("cpus", number(0.01, "a number of cores"), "Cores that its work may use.", f"{default.cpus:g}"),
        Key("memory", byte_size(), "Memory that its work may use.", f"{default.memory_bytes >> 20}m"),
        Key("pids", whole(1, 1_000_000), "Processes that its work may have.", f"{default.pids}"),
    )


def bounds_of(record: Record, default: Bounds) -> Bounds:
    """What was read of them."""
    return Bounds(
        timeout_s=record.get("timeout", default.timeout_s),
        cpus=record.get("cpus", default.cpus),
        memory_bytes=record.get("memory", default.memory_bytes),
        pids=record.get("pids", default.pids),
    )


def switched(shape: Object, default: Any) -> Shape:
    """A stage by its keys, or by true (as `default` has it) or false (None: off)."""
    on_or_off = flag()

    def convert(node: Any) -> Any:
        return default if on_or_off.convert(node) else None

    return Either(
        "true, false or the stage's keys",
        scalar=Scalar("true, false or the stage's keys", convert, on_or_off.json),
        mapping=shape,
        hint="write true, false, or keys one a line",
    )


def _bounded(name: str, doc: str, default: Bounds) -> Object:
    def build(record: Record, context: Context) -> Bounds:
        return bounds_of(record, default)

    return Object(name, doc, bounds_keys(default), build=build, may_be_empty=True)


def _stages(record: Record, context: Context) -> Stages:
    return replace(_DEFAULT, **record)


_SCAN = Scan()


def _linter(record: Record, context: Context) -> object:
    if not {"name", "image", "command"} <= record.keys():
        return INVALID
    return Linter(record["name"], record["image"], record["command"], record.get("sarif", ""))


LINTER = Object(
    "linter",
    "A linter of the project's own, in a container with the commit's tree, without a network.",
    own(
        Key("name", text("a name", r"[a-z0-9][a-z0-9\-]{0,40}", example="eslint"), "Its name.", required=True),
        Key("image", text("an image"), "What it runs in.", required=True),
        Key("command", COMMAND, "What runs it.", required=True),
        Key("sarif", PATH_WITHIN, "Where it writes a SARIF report.", "none: its exit code says"),
    ),
    build=_linter,
)


def _scan(record: Record, context: Context) -> Scan:
    return Scan(
        dockerfile=record.get("dockerfile", _SCAN.dockerfile),
        python=record.get("python", _SCAN.python),
        secrets=record.get("secrets", _SCAN.secrets),
        trivy=record.get("trivy", _SCAN.trivy),
        linters=record.get("linters", ()),
        fail_on=Severity(record.get("fail_on", _SCAN.fail_on)),
        baseline=record.get("baseline", _SCAN.baseline),
        bounds=bounds_of(record, _SCAN.bounds),
    )


SCAN = Object(
    "scan",
    "Linters and searches for secrets. They read the commit's tree and run nothing of it.",
    own(
        Key("dockerfile", flag(), "hadolint on the Dockerfile.", "true"),
        Key("python", flag(), "bandit and ruff on Python files.", "true"),
        Key("secrets", flag(), "Secrets in the tree, and in the commits since the running release.", "true"),
        Key("trivy", flag(), "trivy on the tree; it must be installed.", "false"),
        Key("linters", ListOf(LINTER, expected="a list of linters"), "Linters of the project's own.", "none"),
        Key("fail_on", choice(*(one.value for one in Severity)), "The least severity that fails.", _SCAN.fail_on.value),
        Key("baseline", PATH_WITHIN, "File of findings that were there before and block nothing.", "none"),
    )
    + bounds_keys(_SCAN.bounds),
    build=_scan,
    may_be_empty=True,
)


def _unit(record: Record, context: Context) -> object:
    if "image" in record and "target" in record:
        context.error(record.at("target"), "an image is given too", "keep one of the two")
    if record.get("min_coverage") and "coverage" not in record:
        context.error(record.at("min_coverage"), "needs a report", "add coverage: the path that the tests write it to")
    if "command" not in record:
        return INVALID
    if not record["command"]:
        context.error(record.at("command"), "is empty", 'write ["pytest", "-q"]')
    default = Unit(())
    return Unit(
        command=record["command"],
        target=record.get("target", default.target),
        image=record.get("image", ""),
        junit=record.get("junit", ()),
        coverage=record.get("coverage", ""),
        min_coverage=record.get("min_coverage", default.min_coverage),
        environment={name: value or "" for name, value in record.get("environment", {}).items()},
        network=record.get("network", ""),
        repeatable=record.get("repeatable", default.repeatable),
        bounds=bounds_of(record, default.bounds),
    )


UNIT = Object(
    "unit",
    "The project's own tests, in a container with the commit's tree in /src, without a network.",
    own(
        Key("command", COMMAND, "What runs the tests.", required=True),
        Key("target", text("a stage's name"), "Stage of the Dockerfile that they run in.", "the first one"),
        Key("image", text("an image"), "An image that they run in instead.", "the target"),
        Key("junit", OneOrMore(PATH_WITHIN), "Where the tests write JUnit reports (a folder: all in it).", "none"),
        Key("coverage", PATH_WITHIN, "Where they write a Cobertura (XML) or LCOV report.", "none"),
        Key("min_coverage", number(0.0, "percent"), "Fails below this share of covered lines.", "0"),
        Key(
            "environment",
            Pairs("name", bare=False),
            "Variables of the tests. No secrets: they stay in the state.",
            "none",
        ),
        Key("network", text("a network's name"), "A network of the engine that the tests may use.", "none"),
        Key("repeatable", flag(), "They may run again when nobody knows how they ended.", "true"),
    )
    + bounds_keys(Unit(()).bounds),
    build=_unit,
)


_INSPECT = Inspect()


def _inspect(record: Record, context: Context) -> Inspect:
    return Inspect(
        max_size=record.get("max_size", _INSPECT.max_size),
        max_growth=record.get("max_growth", _INSPECT.max_growth),
        distroless=record.get("distroless", _INSPECT.distroless),
        max_base_age_s=record.get("max_base_age", _INSPECT.max_base_age_s),
        fail_on=Severity(record.get("fail_on", _INSPECT.fail_on)),
        bounds=bounds_of(record, _INSPECT.bounds),
    )


INSPECT = Object(
    "inspect",
    "What the image must be. Its layers are read; nothing of it runs.",
    own(
        Key("max_size", byte_size(), "The image may be this large, unpacked.", "no limit"),
        Key("max_growth", number(0.0, "percent"), "It may be this much larger than the one that runs.", "no limit"),
        Key("distroless", flag(), "No shell and no package manager in it.", "false"),
        Key("max_base_age", duration(), "An older base image is told of.", duration_text(_INSPECT.max_base_age_s)),
        Key("fail_on", choice(*(one.value for one in Severity)), "The least severity that fails.", "high"),
    )
    + bounds_keys(_INSPECT.bounds),
    build=_inspect,
    may_be_empty=True,
)


STAGES = Object(
    "stages",
    "What a commit goes through before its rollout.",
    own(
        Key("source", _bounded("source_stage", "Finding the commit.", _DEFAULT.source), "Finding the commit."),
        Key("scan", switched(SCAN, _SCAN), "Linters and searches for secrets.", "off"),
        Key("unit", switched(UNIT, None), "The project's own tests.", "off"),
        Key("build", _bounded("build_stage", "Making the image.", _DEFAULT.build), "Making the image."),
        Key("inspect", switched(INSPECT, _INSPECT), "What the image must be.", "off"),
    ),
    build=_stages,
    may_be_empty=True,
)
