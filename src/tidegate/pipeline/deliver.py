"""From a commit to a release that can be rolled out: source, build, release. Each stage leaves an event as evidence.

A delivery that was interrupted is simply run again: the same commit gives the image that is there already, and the same
content gives the same release.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tidegate.core.releasing import image_labels, image_tag, make_release
from tidegate.model.errors import UsageError
from tidegate.model.event import Event, EventKind
from tidegate.model.release import AgentKey, Image, Provenance, Release
from tidegate.model.source import BuildOptions, Commit
from tidegate.model.spec import Build, Spec
from tidegate.ports import Builder, Clock, Journal, SourceControl

Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Tools:
    """What a delivery needs of the outside."""

    source: SourceControl
    builder: Builder
    journal: Journal
    clock: Clock


@dataclass(frozen=True)
class Plan:
    """What a delivery will do: which commit, which image, how it is built."""

    key: AgentKey
    commit: Commit
    repository: str
    version: str
    tag: str
    options: BuildOptions


async def plan(spec: Spec, key: AgentKey, reference: str, source: SourceControl) -> Plan:
    """Look at the commit and say what would be built. Touches nothing. Raises SourceError, UsageError."""
    if spec.build is None:
        raise UsageError(
            f"{spec.file} has no build section, so there is nothing to make from a commit",
            hint=f"deploy the image as it is: tidegate deploy {spec.workload.image or 'IMAGE'}",
        )
    repository = _repository(spec)
    identity = await source.resolve(repository, reference or spec.source.branch)
    commit = await source.describe(repository, identity)
    version = spec.build.version or commit.version
    name = spec.build.repository or spec.agent
    return Plan(key, commit, repository, version, image_tag(name, version, commit), _options(spec.build, spec, commit))


async def make(spec: Spec, what: Plan, by: str, tools: Tools, tell: Tell) -> Release:
    """Build the image and keep the release. Raises SourceError, BuildError, StoreError."""
    stages = _Stages(what.key, tools, tell)
    subject = f"commit {what.commit.short} ({what.commit.subject})" if what.commit.subject else what.commit.short
    await stages.tell("source", f"{subject} of {what.repository}, version {what.version}", {"commit": what.commit.id})
    for warning in what.commit.warnings:
        await stages.tell("source", warning, {"warning": True})
    image = await _build(what, tools, stages)
    provenance = Provenance(what.commit.id, what.repository, spec.source.branch, tools.clock.now(), by)
    workload = replace(spec.workload, image=image.reference)
    release = make_release(spec.agent, image, workload, provenance, what.version)
    await tools.journal.add_release(release)
    await stages.tell("release", f"release {release.id} is {image.reference}", {"release": release.id})
    return release


async def _build(what: Plan, tools: Tools, stages: "_Stages") -> Image:
    archive = await tools.source.archive(what.repository, what.commit.id)
    began = tools.clock.now()
    image = await tools.builder.build(archive, what.tag, what.options)
    took = tools.clock.now() - began
    digest = image.config_digest.removeprefix("sha256:")[:12]
    await stages.tell(
        "build", f"image {image.reference} ({digest}) after {took:.1f} s", {"image": image.reference, "took_s": took}
    )
    return image


def _repository(spec: Spec) -> str:
    """A repository's path is relative to the spec; a URL is taken as it is."""
    repository = spec.source.repository
    if "://" in repository or repository.startswith("git@"):
        return repository
    return str((Path(spec.file).resolve().parent / repository).resolve())


def _options(build: Build, spec: Spec, commit: Commit) -> BuildOptions:
    version = build.version or commit.version
    labels = image_labels(spec.agent, _public(spec.source.repository), version, commit)
    return BuildOptions(build.context, build.dockerfile, build.target, dict(build.args), labels)


def _public(repository: str) -> str:
    """A URL without the credentials that it may carry; nothing for a path, which means nothing elsewhere."""
    if "://" not in repository:
        return ""
    scheme, _, rest = repository.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


class _Stages:
    """Tells each stage's end to the log and to whoever watches."""

    def __init__(self, key: AgentKey, tools: Tools, tell: Tell) -> None:
        self._key = key
        self._tools = tools
        self._tell = tell

    async def tell(self, stage: str, because: str, data: Mapping[str, str | int | float | bool | None]) -> None:
        event = Event(self._tools.clock.now(), self._key, EventKind.STAGE, because, data={"stage": stage, **data})
        await self._tools.journal.append([event])
        self._tell(event)
