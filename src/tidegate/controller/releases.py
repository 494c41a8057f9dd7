"""From what a person names to a release, and from a release to the intent that deploys it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tidegate.controller.site import Books, Site
from tidegate.core.deploying import deployment
from tidegate.core.releasing import make_release, reconfigure
from tidegate.model.errors import NotFoundError, UsageError
from tidegate.model.intent import Deploy, DeployFleet
from tidegate.model.release import AgentKey, Provenance, Release
from tidegate.model.source import REFERENCE
from tidegate.model.spec import Environment, Spec


@dataclass(frozen=True)
class Insisting:
    """What a person insists on; each override needs a reason. `lock` is the epoch of a lock that must still hold."""

    quarantine: bool = False
    freeze: bool = False
    lock: int | None = None
    automatic: bool = False
    breaking: bool = False


PLAINLY = Insisting()


@dataclass(frozen=True)
class Order:
    """What a deployment goes by: the spec, its environment, and where to look things up. `warn` tells a person."""

    key: AgentKey
    spec: Spec
    environment: Environment
    books: Books
    site: Site
    warn: Callable[[str], None] = lambda text: None


async def deploy_action(order: Order, name: str, by: str, on: Insisting = PLAINLY) -> Deploy:
    """What to ask for. Raises NotFoundError or UsageError that say what could be named instead."""
    return action_of(order, await find_release(order, name, by), on)


def action_of(order: Order, release: Release, on: Insisting = PLAINLY) -> Deploy:
    """The intent that deploys a release as the spec says: overlay, strategy, analysis, rollback, policy."""
    made = deployment(order.spec, order.environment, release, automatic=on.automatic)
    return replace(
        made,
        override_quarantine=on.quarantine,
        override_freeze=on.freeze,
        lock_epoch=on.lock,
        accept_breaking=on.breaking,
    )


def for_hosts(order: Order, action: Deploy) -> Deploy | DeployFleet:
    """The intent that deploys to the environment: to its hosts in waves, where it has any."""
    hosts = order.environment.hosts
    return DeployFleet(action, order.spec.waves, hosts) if hosts and not order.key.host else action


async def find_release(order: Order, name: str, by: str) -> Release:
    """A known release, a release made of an image and the spec's workload, or what runs with the spec's workload."""
    spec, now = order.spec, order.site.ports.clock.now()
    provenance = Provenance(created_at=now, by=by)
    if not name:
        if spec.workload.image and spec.build is None:
            return await _of_image(order, spec.workload.image, provenance)
        state = await order.books.store.load(order.key)
        if state is None or state.stable is None:
            raise UsageError("say what to deploy", hint="tidegate deploy RELEASE or IMAGE:TAG; deliver builds a commit")
        former = state.stable.release
        return reconfigure(former, spec.workload, replace(former.provenance, by=by))
    known = await order.books.journal.find_release(spec.agent, name)
    if known is not None:
        return known
    if is_image(name):
        return await _of_image(order, name, provenance)
    versions = [f"{one.version} ({one.id})" for one in (await order.books.journal.releases(spec.agent))[-5:]]
    known_text = f"known: {', '.join(versions)}" if versions else "no release is known yet"
    raise NotFoundError(f"{spec.agent} has no release {name}", hint=f"{known_text}; an image is written NAME:TAG")


def is_image(name: str) -> bool:
    """Whether it can only be an image: it has a tag, a digest or a path."""
    base = name.partition("@")[0]
    return REFERENCE.fullmatch(base) is not None and any(mark in name for mark in ":/@")


async def _of_image(order: Order, reference: str, provenance: Provenance) -> Release:
    spec, image = order.spec, await order.site.image(reference)
    version = version_of(reference)
    if version == "latest":
        order.warn(f"warning: {reference} names another image tomorrow; write a version: NAME:1.4.0")
    return make_release(spec.agent, image, replace(spec.workload, image=reference), provenance, version)


def version_of(reference: str) -> str:
    """The version that an image's name tells: its tag, else the beginning of its digest, else latest."""
    name, _, digest = reference.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or digest.partition(":")[2][:12] or "latest"
