"""Which image of the engine is meant. The content is what counts: a tag that moved on names another image."""

from collections.abc import Mapping
from typing import Any

from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.model.release import Image


async def find_image(docker: Docker, image: Image) -> Mapping[str, Any] | None:
    """The engine's facts about exactly this image, or None when it is not on the host.

    An engine that keeps images in containerd names them by their manifest digest, so that counts as well.
    """
    if image.config_digest and (exact := await _inspect(docker, image.config_digest)) is not None:
        return exact
    if not image.reference:
        return None
    named = await _inspect(docker, image.reference)
    return named if named is not None and is_same(image, named) else None


async def remove_image(docker: Docker, image: Image) -> None:
    """Take away our name of the image; the content goes with its last name. Nothing happens when it is gone.

    Never forced: the engine refuses while any container was made from it. A tag that has moved on to another image is
    not ours any more and stays.
    """
    facts = await find_image(docker, image)
    if facts is None:
        return
    names = {*(facts.get("RepoTags") or ()), *(facts.get("RepoDigests") or ())}
    with_tag = image.reference if ":" in image.reference.rpartition("/")[2] else f"{image.reference}:latest"
    if with_tag in names:
        await docker.images.delete(with_tag)
    elif not names:
        await docker.images.delete(str(facts["Id"]))


def is_same(image: Image, facts: Mapping[str, Any]) -> bool:
    """Whether what the engine has under the reference is what the release was made of."""
    if not image.config_digest and not image.manifest_digest:
        return True
    digests = {str(repository).partition("@")[2] for repository in facts.get("RepoDigests") or ()}
    digests.add(str(facts["Id"]))
    wanted = {image.config_digest, image.manifest_digest} - {""}
    return bool(wanted & digests)


def pull_reference(image: Image) -> str:
    """What to ask the registry for: the digest when one is known, else the tag."""
    name = image.reference.partition("@")[0]
    head, _, last = name.rpartition("/")
    repository = f"{head}/{last.partition(':')[0]}" if head else last.partition(":")[0]
    return f"{repository}@{image.manifest_digest}" if image.manifest_digest else image.reference


async def _inspect(docker: Docker, name: str) -> Mapping[str, Any] | None:
    try:
        return await docker.images.inspect(name)
    except DockerError as error:
        if error.status == 404:
            return None
        raise
