"""The build context: the part of a commit's archive that the engine gets, without what .dockerignore names."""

import io
import tarfile
from collections.abc import Iterator
from posixpath import normpath

from tidegate.adapters.registry.ignore import ignored, parse
from tidegate.model.errors import BuildError
from tidegate.model.source import BuildOptions


def make_context(archive: bytes, options: BuildOptions) -> bytes:
    """A tar of the context folder. Raises BuildError when the folder or the Dockerfile is not in the commit."""
    prefix = normpath(options.context).lstrip("/")
    if prefix.startswith(".."):
        raise BuildError(f"build.context {options.context} lies outside of the repository", hint="name a folder in it")
    prefix = "" if prefix == "." else prefix + "/"
    dockerfile = normpath(options.dockerfile)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as source:
        members = {m.name.removeprefix(prefix): m for m in source.getmembers() if _inside(m, prefix)}
        if dockerfile not in members:
            raise BuildError(
                f"the commit has no {prefix}{dockerfile}",
                hint="commit it (uncommitted files are not built), or set build.context and build.dockerfile",
            )
        ignore_file = next((n for n in (f"{dockerfile}.dockerignore", ".dockerignore") if n in members), None)
        if ignore_file is None and not prefix:
            return archive
        text = _read(source, members[ignore_file]) if ignore_file else ""
        return _pack(source, _kept(members, text, prefix, (dockerfile, ".dockerignore")))


def _inside(member: tarfile.TarInfo, prefix: str) -> bool:
    return member.name.startswith(prefix) and member.name != prefix.rstrip("/")


def _kept(
    members: dict[str, tarfile.TarInfo], text: str, prefix: str, needed: tuple[str, ...]
) -> Iterator[tarfile.TarInfo]:
    try:
        patterns = parse(text)
    except ValueError as error:
        raise BuildError(f"{prefix}.dockerignore: {error}", hint="mend the pattern") from error
    for name, member in members.items():
        # The engine itself needs these two, and leaves them out of the image when they are ignored.
        if name in needed or not ignored(name, patterns):
            yield member.replace(name=name, deep=False)


def _read(source: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = source.extractfile(member)
    return file.read().decode(errors="replace") if file is not None else ""


def _pack(source: tarfile.TarFile, members: Iterator[tarfile.TarInfo]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:", format=tarfile.PAX_FORMAT) as target:
        for member in members:
            target.addfile(member, source.extractfile(member) if member.isreg() else None)
    return packed.getvalue()
