"""Submodules: the trees that a commit points at in other repositories, put where they belong in its archive."""

import tarfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from posixpath import join, normpath

from tidegate.model.errors import SourceError

DEEPEST = 5
"""Submodules of submodules; a circle would never end."""


def links(listed: str) -> dict[str, str]:
    """Path -> commit of every submodule, from git ls-tree -r -z."""
    found = {}
    for entry in listed.split("\0"):
        kind, _, path = entry.partition("\t")
        if kind.startswith("160000 "):
            found[path] = kind.split()[2]
    return found


def addresses(configured: str) -> dict[str, str]:
    """Path -> URL, from git config -z --get-regexp of .gitmodules."""
    values: dict[str, dict[str, str]] = {}
    for entry in configured.split("\0"):
        key, _, value = entry.partition("\n")
        name, _, setting = key.removeprefix("submodule.").rpartition(".")
        values.setdefault(name, {})[setting] = value
    return {one["path"]: one["url"] for one in values.values() if "path" in one and "url" in one}


def address_of(repository: str, path: str, urls: Mapping[str, str], remote: bool) -> str:
    """Where a submodule's repository is. Raises SourceError when nobody says, or when it may not be read.

    A repository from elsewhere must not make this machine's own folders part of a build.
    """
    url = urls.get(path, "")
    if not url:
        raise SourceError(f"submodule {path} has no address in .gitmodules", hint="git submodule add URL PATH")
    if url.startswith(("./", "../")):
        scheme, found, rest = repository.partition("://")
        return f"{scheme}://{normpath(join(rest, url))}" if found else normpath(join(repository, url))
    if remote and (url.startswith(("/", "file:", "~")) or ("://" not in url and ":" not in url)):
        raise SourceError(
            f"submodule {path} is {url}, a folder of this machine, in a repository that comes from elsewhere",
            hint="give it an address that everybody can reach",
        )
    return url


def joined(archive: bytes, parts: Iterable[tuple[str, bytes]]) -> bytes:
    """One archive with each part below its path."""
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:", format=tarfile.PAX_FORMAT) as target:
        for prefix, content in (("", archive), *((f"{path}/", part) for path, part in parts)):
            with tarfile.open(fileobj=BytesIO(content), mode="r:") as source:
                for member in source:
                    if prefix and member.name + "/" == prefix:
                        continue
                    file = source.extractfile(member) if member.isreg() else None
                    target.addfile(member.replace(name=prefix + member.name, deep=False), file)
    return packed.getvalue()
