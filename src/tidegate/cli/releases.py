"""From what a person names to a release, and from a release to the intent that deploys it."""

from dataclasses import dataclass, replace

from tidegate.cli.desk import Desk
from tidegate.cli.options import Who
from tidegate.cli.toolbox import Site
from tidegate.core.deploying import deployment
from tidegate.core.releasing import make_release, reconfigure
from tidegate.model.errors import NotFoundError, UsageError
from tidegate.model.intent import Deploy
from tidegate.model.release import Provenance, Release
from tidegate.model.source import REFERENCE


@dataclass(frozen=True)
class Insisting:
    """What a person insists on; each override needs a reason. `lock` is the epoch of a lock that must still hold."""

    quarantine: bool = False
    freeze: bool = False
    lock: int | None = None
    automatic: bool = False
    breaking: bool = False


PLAINLY = Insisting()


async def deploy_action(desk: Desk, site: Site, name: str, who: Who, on: Insisting = PLAINLY) -> Deploy:
    """What to ask for. Raises NotFoundError or UsageError that say what could be named instead."""
    return action_of(desk, await find_release(desk, site, name, who), on)


def action_of(desk: Desk, release: Release, on: Insisting = PLAINLY) -> Deploy:
    """The intent that deploys a release as the spec says: overlay, strategy, analysis, rollback, policy."""
    made = deployment(desk.spec(), desk.target.environment, release, automatic=on.automatic)
    return replace(
        made,
        override_quarantine=on.quarantine,
        override_freeze=on.freeze,
        lock_epoch=on.lock,
        accept_breaking=on.breaking,
    )


async def find_release(desk: Desk, site: Site, name: str, who: Who) -> Release:
    """A known release, a release made of an image and the spec's workload, or what runs with the spec's workload."""
    spec, now = desk.spec(), site.ports.clock.now()
    provenance = Provenance(created_at=now, by=who.name)
    if not name:
        if spec.workload.image and spec.build is None:
            return await _of_image(desk, site, spec.workload.image, provenance)
        state = await desk.books.store.load(desk.key)
        if state is None or state.stable is None:
            raise UsageError("say what to deploy", hint="tidegate deploy RELEASE or IMAGE:TAG; deliver builds a commit")
        former = state.stable.release
        return reconfigure(former, spec.workload, replace(former.provenance, by=who.name))
    known = await desk.books.journal.find_release(spec.agent, name)
    if known is not None:
        return known
    if is_image(name):
        return await _of_image(desk, site, name, provenance)
    versions = [f"{one.version} ({one.id})" for one in (await desk.books.journal.releases(spec.agent))[-5:]]
    known_text = f"known: {', '.join(versions)}" if versions else "no release is known yet"
    raise NotFoundError(f"{spec.agent} has no release {name}", hint=f"{known_text}; an image is written NAME:TAG")


def is_image(name: str) -> bool:
    """Whether it can only be an image: it has a tag, a digest or a path."""
    base = name.partition("@")[0]
    return REFERENCE.fullmatch(base) is not None and any(mark in name for mark in ":/@")


async def _of_image(desk: Desk, site: Site, reference: str, provenance: Provenance) -> Release:
    spec, image = desk.spec(), await site.image(reference)
    version = version_of(reference)
    if version == "latest":
        desk.output.message(f"warning: {reference} names another image tomorrow; write a version: NAME:1.4.0")
    return make_release(spec.agent, image, replace(spec.workload, image=reference), provenance, version)


def version_of(reference: str) -> str:
    """The version that an image's name tells: its tag, else the beginning of its digest, else latest."""
    name, _, digest = reference.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or digest.partition(":")[2][:12] or "latest"
