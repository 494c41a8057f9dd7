"""inspect: is the image what it should be? A table of its layers, findings that say how to mend them, and an SBOM."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tidegate.model.evidence import Evidence, Finding, Table
from tidegate.model.image_facts import FileFacts, ImageFacts
from tidegate.model.secrecy import looks_secret
from tidegate.model.spec import Spec
from tidegate.model.stages import Bounds, Inspect, Severity, StageName
from tidegate.model.verdict import Outcome
from tidegate.model.work import ExamineImage, RunPrograms
from tidegate.pipeline import baseline, sbom
from tidegate.pipeline.build import dockerfile_of
from tidegate.pipeline.dockerfile import SCRATCH, base_of
from tidegate.pipeline.stage import Candidate, Finished, Results, Stage, Step

DOCKERFILE, IMAGE = "dockerfile", "image"
LABELS = ("title", "version", "revision", "source", "created", "licenses")
"""Of org.opencontainers.image; source: OCI image spec 1.1, annotations."""
MB = 1_000_000
DAY_S = 86400.0
LONGEST = 100


def _settings(spec: Spec) -> Inspect:
    assert spec.stages.inspect is not None
    return spec.stages.inspect


def _inputs(candidate: Candidate) -> Mapping[str, object]:
    image, running = candidate.image, candidate.running
    assert image is not None
    return {
        "image": image.config_digest,
        "running": running.release.image.config_digest if running is not None else "",
        "inspect": replace(_settings(candidate.spec), bounds=Bounds()),
        "sbom": candidate.versions.get("cyclonedx-python-lib", ""),
        "probes": candidate.spec.workload.readiness is not None or candidate.spec.workload.healthcheck is not None,
        # Ages are of a day: the same image is looked at anew tomorrow.
        "day": int(candidate.now // DAY_S),
    }


def _proceed(candidate: Candidate, results: Results) -> Step:
    spec, image = candidate.spec, candidate.image
    assert image is not None
    if DOCKERFILE not in results:
        return (RunPrograms(DOCKERFILE, candidate.checkout, (), reads=(dockerfile_of(spec),)),)
    base = _base(candidate, results)
    if IMAGE not in results:
        running = candidate.running
        former = running.release.image.config_digest if running is not None else ""
        return (ExamineImage(IMAGE, image.config_digest, base if base != SCRATCH else "", former),)
    facts = results[IMAGE].image_facts
    assert facts is not None
    return _judged(candidate, facts, base)


def _base(candidate: Candidate, results: Results) -> str:
    spec = candidate.spec
    assert spec.build is not None
    content = results[DOCKERFILE].outputs.get(dockerfile_of(spec), b"")
    return base_of(content.decode(errors="replace"), spec.build.target, spec.build.args)


def _judged(candidate: Candidate, facts: ImageFacts, base: str) -> Finished:
    wanted = _settings(candidate.spec)
    former = facts.former_size
    findings = tuple(
        sorted(
            (
                *_size(facts, wanted, former),
                *_configuration(candidate.spec, facts),
                *_contents(facts, wanted),
                *_origin(facts, base, wanted, candidate.now),
            ),
            key=lambda one: (-one.severity.rank, one.rule, one.where),
        )
    )
    bad = baseline.blocking(findings, wanted.fail_on)
    told = f"{facts.size / MB:.1f} MB{_against(facts, wanted, former)}, {baseline.summary(findings)}"
    if bad:
        told = f"{told}; the first: {bad[0].message}"
    bill = sbom.cyclonedx(candidate.spec.agent, facts)
    numbers = {"size_bytes": float(facts.size), "packages": float(len(facts.packages))}
    if former:
        numbers["former_size_bytes"] = float(former)
    evidence = Evidence(
        Outcome.FAIL if bad else Outcome.PASS,
        told,
        findings=findings,
        tables=(_summary(facts, base), _layers(facts)),
        numbers=numbers,
        facts={"digest": facts.digest, "base": base, "os": facts.os},
        warnings=() if bill else ("no SBOM: pip install 'tidegate[scan]' brings cyclonedx-python-lib",),
        hint="each finding says how to mend it" if bad else "",
    )
    return Finished(evidence, {"sbom.cdx.json": bill} if bill else {})


def _against(facts: ImageFacts, wanted: Inspect, former: int) -> str:
    limit = f" of {wanted.max_size / MB:.1f} allowed" if wanted.max_size else ""
    grown = f", {(facts.size - former) / former * 100:+.1f} % against the running one" if former else ""
    return limit + grown


def _size(facts: ImageFacts, wanted: Inspect, former: int) -> Iterator[Finding]:
    slim = (
        "a multi-stage build whose last stage copies only what runs makes it smaller; the table has each layer's size"
    )
    if wanted.max_size and facts.size > wanted.max_size:
        message = f"the image is {facts.size / MB:.1f} MB, {wanted.max_size / MB:.1f} are allowed"
        yield Finding("size", Severity.HIGH, message, "", slim, "inspect")
    if wanted.max_growth is not None and former and facts.size > former * (1 + wanted.max_growth / 100):
        grown = (facts.size - former) / former * 100
        message = f"the image grew by {grown:.1f} %, {wanted.max_growth:g} are allowed"
        yield Finding("growth", Severity.HIGH, message, "", slim, "inspect")


def _configuration(spec: Spec, facts: ImageFacts) -> Iterator[Finding]:
    user = facts.user.partition(":")[0]
    if user in ("", "0", "root"):
        yield Finding(
            "root", Severity.MEDIUM, "it runs as root", "", "add USER 65534 (or a user of its own)", "inspect"
        )
    if not facts.healthcheck and spec.workload.readiness is None and spec.workload.healthcheck is None:
        hint = "add HEALTHCHECK, or probes.readiness in tidegate.yaml: without one ready means started"
        yield Finding("no-healthcheck", Severity.MEDIUM, "nothing asks whether it is well", "", hint, "inspect")
    if facts.entrypoint[:2] in (("/bin/sh", "-c"), ("sh", "-c")):
        hint = 'write CMD ["program", "argument"]: a shell in front does not pass SIGTERM on'
        yield Finding("shell-form", Severity.LOW, "it starts through a shell", "", hint, "inspect")
    for name, value in facts.env.items():
        if looks_secret(name, value):
            hint = "give it at run time: environments.NAME.secrets; whoever has the image can read it, so revoke it"
            yield Finding("secret-in-env", Severity.HIGH, f"ENV {name} looks like a secret", "", hint, "inspect")
    missing = [name for name in LABELS if f"org.opencontainers.image.{name}" not in facts.labels]
    if missing:
        hint = "add LABEL org.opencontainers.image.NAME=...; title, version, revision and created come from Tidegate"
        yield Finding("labels", Severity.INFO, f"no OCI label {', '.join(missing)}", "", hint, "inspect")


def _contents(facts: ImageFacts, wanted: Inspect) -> Iterator[Finding]:
    for one in facts.files:
        where = f"/{one.path} in layer {one.layer + 1}"
        if one.why == "private_key":
            yield _secret(one, where, Severity.CRITICAL, "a private key")
        elif one.why == "credentials":
            yield _secret(one, where, Severity.HIGH, "credentials")
        elif one.why == "setuid" and not one.hidden:
            hint = f"RUN chmod a-s /{one.path}, or a base without it: nobody in a container needs another's rights"
            yield Finding("setuid", Severity.LOW, f"/{one.path} is setuid or setgid", where, hint, "inspect")
        elif wanted.distroless and one.why in ("shell", "package_manager") and not one.hidden:
            what = one.why.replace("_", " ")
            hint = "begin the last stage FROM scratch or a distroless base, and copy only what runs"
            yield Finding("not-distroless", Severity.HIGH, f"/{one.path} is a {what}", where, hint, "inspect")


def _secret(one: FileFacts, where: str, severity: Severity, what: str) -> Finding:
    gone = ", which a later layer hides and does not remove" if one.hidden else ""
    hint = "revoke it; mount secrets at build time (RUN --mount=type=secret) or at run time, and never COPY them"
    return Finding("secret-in-layer", severity, f"{what} at /{one.path}{gone}", where, hint, "inspect")


def _origin(facts: ImageFacts, base: str, wanted: Inspect, now: float) -> Iterator[Finding]:
    if not base or base == SCRATCH:
        return
    if "@sha256:" not in base:
        hint = f"write FROM {base.partition('@')[0]}@sha256:..., which docker inspect shows; update it on purpose"
        yield Finding("base-not-pinned", Severity.LOW, f"the base image {base} is not pinned", "", hint, "inspect")
    age = now - facts.base_created_at
    if facts.base_created_at and age > wanted.max_base_age_s:
        message = f"the base image {base} is {age / DAY_S:.0f} days old"
        yield Finding(
            "base-age", Severity.LOW, message, "", "pull a newer one, then pin it: it has mended faults", "inspect"
        )


def _summary(facts: ImageFacts, base: str) -> Table:
    shells = sum(one.why == "shell" and not one.hidden for one in facts.files)
    rows = (
        ("size", f"{facts.size / MB:.1f} MB in {sum(layer.size > 0 for layer in facts.layers)} layers"),
        ("base", base or "not known"),
        ("system", facts.os or "none told"),
        ("user", facts.user or "root"),
        ("starts", " ".join(facts.entrypoint)[:LONGEST]),
        ("HEALTHCHECK", "yes" if facts.healthcheck else "no"),
        ("shells", str(shells)),
        ("packages", str(len(facts.packages))),
    )
    return Table("image", ("", ""), rows)


def _layers(facts: ImageFacts) -> Table:
    rows = tuple(
        (f"{layer.size / MB:.2f} MB", " ".join(layer.command.removeprefix("/bin/sh -c #(nop) ").split())[:LONGEST])
        for layer in facts.layers
    )
    return Table("layers", ("size", "made by"), rows)


STAGE = Stage(
    StageName.INSPECT,
    _proceed,
    _inputs,
    lambda spec: spec.stages.inspect.bounds if spec.stages.inspect is not None and spec.build is not None else None,
)
