"""inspect: what it makes of an image's facts; each finding says how to mend it."""

import json
from dataclasses import replace

import pytest

from tidegate.model.delivery import DeliveryKey
from tidegate.model.evidence import Evidence
from tidegate.model.image_facts import FileFacts, ImageFacts, LayerFacts, Package
from tidegate.model.release import AgentKey, Image
from tidegate.model.source import Commit
from tidegate.model.verdict import Outcome
from tidegate.model.work import ExamineImage, Result, RunPrograms
from tidegate.pipeline import inspect, sbom
from tidegate.pipeline.registry import key_of
from tidegate.pipeline.stage import Candidate, Finished
from tidegate.spec import parse_spec

SPEC = "agent: a\nworkload: {}\nbuild: {}\nstages:\n  inspect: %s\n"
LABELS = {f"org.opencontainers.image.{name}": "x" for name in inspect.LABELS}
GOOD = ImageFacts(
    "sha256:new",
    12_000_000,
    0.0,
    "65534",
    True,
    ("/agent",),
    {"PATH": "/bin"},
    LABELS,
    (LayerFacts("/bin/sh -c #(nop)  COPY agent /", 12_000_000), LayerFacts("CMD", 0)),
    (),
    (Package("deb", "libc6", "2.36"),),
    former_size=10_000_000,
)
DOCKERFILE = {"Dockerfile": b"FROM scratch\nCOPY agent /\n"}


def candidate(written: str = "true", **more: object) -> Candidate:
    commit = Commit("c" * 40, tree="t1", repository="/repo")
    spec = parse_spec(SPEC % written)
    made = Candidate(DeliveryKey(AgentKey("a", "prod"), 1), spec, commit=commit, image=Image("a:1", "sha256:new"))
    return replace(made, **more)  # type: ignore[arg-type]


def judged(facts: ImageFacts, written: str = "true", dockerfile: bytes = DOCKERFILE["Dockerfile"]) -> Evidence:
    results = {"dockerfile": Result(outputs={"Dockerfile": dockerfile}), "image": Result(image_facts=facts)}
    step = inspect.STAGE.proceed(candidate(written, now=200 * 86400.0), results)
    assert isinstance(step, Finished)
    return step.evidence


def test_it_reads_the_dockerfile_then_the_image() -> None:
    (first,) = inspect.STAGE.proceed(candidate(), {})  # type: ignore[misc]
    assert isinstance(first, RunPrograms)
    assert (first.programs, first.reads) == ((), ("Dockerfile",))
    seen = {"dockerfile": Result(outputs={"Dockerfile": b"FROM debian:12\n"})}
    (second,) = inspect.STAGE.proceed(candidate(), seen)  # type: ignore[misc]
    assert isinstance(second, ExamineImage)
    assert (second.image, second.base) == ("sha256:new", "debian:12")


def test_a_good_image_passes_with_its_table() -> None:
    found = judged(GOOD, "{max_size: 15m, max_growth: 25, distroless: true, fail_on: info}")
    assert found.outcome is Outcome.PASS, found
    assert found.because == "12.0 MB of 15.7 allowed, +20.0 % against the running one, no new findings"
    assert found.tables[1].rows == (("12.00 MB", "COPY agent /"), ("0.00 MB", "CMD"))


def file(why: str, hidden: bool = False) -> ImageFacts:
    return replace(GOOD, files=(FileFacts("bin/x", why, 1, hidden),))


@pytest.mark.parametrize(
    ("facts", "written", "rule", "blocks"),
    [
        (GOOD, "{max_size: 10m}", "size", True),
        (GOOD, "{max_growth: 10}", "growth", True),
        (replace(GOOD, user=""), "true", "root", False),
        (replace(GOOD, user="0:0"), "true", "root", False),
        (replace(GOOD, healthcheck=False), "true", "no-healthcheck", False),
        (replace(GOOD, entrypoint=("/bin/sh", "-c", "run")), "true", "shell-form", False),
        (replace(GOOD, env={"API_TOKEN": "abcdef"}), "true", "secret-in-env", True),
        (replace(GOOD, labels={}), "true", "labels", False),
        (file("private_key", hidden=True), "true", "secret-in-layer", True),
        (file("credentials"), "true", "secret-in-layer", True),
        (file("setuid"), "true", "setuid", False),
        (file("shell"), "{distroless: true}", "not-distroless", True),
        (file("package_manager"), "{distroless: true}", "not-distroless", True),
    ],
)
def test_what_is_wrong_is_found_by_its_rule_alone_and_says_how_to_mend_it(
    facts: ImageFacts, written: str, rule: str, blocks: bool
) -> None:
    found = judged(facts, written)
    (finding,) = found.findings
    assert finding.rule == rule
    assert finding.hint
    assert (found.outcome is Outcome.FAIL) is blocks
    assert "abcdef" not in repr(found)


@pytest.mark.parametrize("facts", [file("shell"), file("setuid", hidden=True), replace(file("shell", True), user="1")])
def test_what_is_nothing_to_mend_is_not_told(facts: ImageFacts) -> None:
    assert judged(facts, "{distroless: false}").findings == ()


def test_the_base_is_to_be_pinned_and_young() -> None:
    old = replace(GOOD, base_created_at=100 * 86400.0)
    found = judged(old, dockerfile=b"FROM debian:12\n")
    assert [one.rule for one in found.findings] == ["base-age", "base-not-pinned"]
    assert "100 days old" in found.findings[0].message
    assert judged(old, "{max_base_age: 2400h}", b"FROM debian@sha256:abc\n").findings == ()


def test_a_bill_of_materials_that_its_own_schema_accepts() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bill = sbom.cyclonedx("a", GOOD)
    document = json.loads(bill)
    assert document["bomFormat"] == "CycloneDX"
    assert [one["purl"] for one in document["components"]] == ["pkg:deb/libc6@2.36"]
    try:
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
    except Exception as error:
        if type(error).__name__ != "MissingOptionalDependencyException":
            raise


def test_the_key_follows_the_image_and_the_day() -> None:
    key = key_of(inspect.STAGE, candidate())
    assert key == key_of(inspect.STAGE, candidate(now=10.0))
    assert key != key_of(inspect.STAGE, candidate(now=90000.0))
    assert key != key_of(inspect.STAGE, candidate(image=Image("a:1", "sha256:other")))
