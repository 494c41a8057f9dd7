"""Source control by the git command: local repositories as they are, remote ones through a bare copy that is kept.

Never asks anybody for anything: what needs a password that no helper knows fails at once.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.adapters.command import Limits, Result, TooLongError, TooMuchError, run
from tidegate.adapters.source import submodules
from tidegate.adapters.source.changes import Ask, additions, changes
from tidegate.adapters.source.git_errors import explain, redact
from tidegate.model.changes import Change
from tidegate.model.errors import SourceError
from tidegate.model.source import NO_VERSION, SEMVER, Commit, precedence

QUICK = Limits(deadline_s=30.0)
LONG = Limits(deadline_s=60.0, out_bytes=64 << 20)
FETCH = Limits(deadline_s=600.0)
ARCHIVE = Limits(deadline_s=300.0, out_bytes=2 << 30)

REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:")
FULL_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
SHOWN = 5


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where copies of remote repositories are kept (XDG_CACHE_HOME)."""
    variables = os.environ if environ is None else environ
    base = variables.get("XDG_CACHE_HOME", "")
    home = Path(variables.get("HOME") or Path.home())
    return (Path(base) if base.startswith("/") else home / ".cache") / "tidegate" / "git"


@dataclass(frozen=True)
class Git:
    """SourceControl. A repository is a path (a folder inside one means that folder's part of the tree) or a URL."""

    cache: Path = field(default_factory=cache_folder)
    program: str = "git"
    _met: set[Path] = field(default_factory=set, compare=False, repr=False)
    """Folders in which git was found to work."""

    async def resolve(self, repository: str, reference: str) -> str:
        """The full commit id of a branch, tag or (abbreviated) commit id. Fetches from a remote repository first."""
        folder = await self._folder(repository, fetch=not FULL_ID.fullmatch(reference))
        name = reference or "HEAD"
        for candidate in (name, f"refs/remotes/origin/{name}"):
            result = await self._git(
                folder, "rev-parse", "-q", "--verify", "--end-of-options", f"{candidate}^{{commit}}"
            )
            if result.code == 0:
                return result.out.decode().strip()
        if FULL_ID.fullmatch(reference) and is_remote(repository):
            await self._fetch(repository, folder)
            if (await self._git(folder, "cat-file", "-e", f"{reference}^{{commit}}")).code == 0:
                return reference
        raise await self._unknown(repository, folder, name)

    async def archive(self, repository: str, commit: str) -> bytes:
        """A tar archive of exactly that commit's tree; attributes such as export-ignore are respected, as by git.

        Submodules are in it, each at the commit that is recorded.
        """
        return await self._archive(repository, commit, submodules.DEEPEST)

    async def _archive(self, repository: str, commit: str, deep: int) -> bytes:
        folder = await self._folder(repository, fetch=False)
        command = ("-c", "tar.umask=0022", "archive", "--format=tar", "--end-of-options", commit)
        own, listed = await asyncio.gather(
            self._checked(repository, folder, command, ARCHIVE),
            self._checked(repository, folder, ("ls-tree", "-r", "-z", commit), QUICK),
        )
        links = submodules.links(listed.out.decode(errors="replace"))
        if not links:
            return own.out
        if not deep:
            raise SourceError(f"{redact(repository)}: submodules within submodules, deeper than {submodules.DEEPEST}")
        wanted = ("config", "-z", "--blob", f"{commit}:.gitmodules", "--get-regexp", r"^submodule\..*\.(path|url)$")
        urls = submodules.addresses((await self._git(folder, *wanted)).out.decode(errors="replace"))
        prefix = (await self._checked(repository, folder, ("rev-parse", "--show-prefix"), QUICK)).out.decode().strip()
        parts = []
        for path, pinned in links.items():
            url = submodules.address_of(repository, prefix + path, urls, is_remote(repository))
            await self.resolve(url, pinned)
            parts.append((path, await self._archive(url, pinned, deep - 1)))
        return await asyncio.to_thread(submodules.joined, own.out, parts)

    async def describe(self, repository: str, commit: str) -> Commit:
        """Facts about a commit that `resolve` gave."""
        folder = await self._folder(repository, fetch=False)
        shown = (
            "show",
            "-s",
            "--no-show-signature",
            "--format=%H%x00%T%x00%at%x00%ct%x00%an%x00%s",
            "--end-of-options",
            commit,
        )
        said, (version, ahead), warnings = await asyncio.gather(
            self._checked(repository, folder, shown, QUICK),
            self._version(repository, folder, commit),
            self._uncommitted(repository, folder),
        )
        text = said.out.decode(errors="replace")
        full, tree, authored, committed, author, subject = text.rstrip("\n").split("\0", 5)
        return Commit(full, subject, author, float(authored), float(committed), version, ahead, tuple(warnings), tree)

    async def changes(self, repository: str, commit: str, since: str) -> Change:
        """What lies between a commit that runs and this one; where `since` is not known here, since its parent."""
        folder = await self._folder(repository, fetch=False)
        return await changes(self._asking(repository, folder), await self._base(folder, commit, since), commit)

    async def additions(self, repository: str, commit: str, since: str) -> Mapping[str, bytes]:
        """What each commit after `since` (not known here: its parent) added, by short commit id and path."""
        folder = await self._folder(repository, fetch=False)
        return await additions(self._asking(repository, folder), await self._base(folder, commit, since), commit)

    def _asking(self, repository: str, folder: Path) -> Ask:
        async def ask(*command: str) -> str:
            return (await self._checked(repository, folder, command, LONG)).out.decode(errors="replace")

        return ask

    async def _base(self, folder: Path, commit: str, since: str) -> str:
        for candidate in filter(None, (since, f"{commit}^")):
            wanted = ("rev-parse", "-q", "--verify", "--end-of-options", f"{candidate}^{{commit}}")
            found = await self._git(folder, *wanted)
            if found.code == 0:
                return found.out.decode().strip()
        return ""

    async def _version(self, repository: str, folder: Path, commit: str) -> tuple[str, int]:
        listed = await self._checked(repository, folder, ("tag", "--merged", commit), QUICK)
        tags = {}
        for tag in listed.out.decode(errors="replace").split():
            if match := SEMVER.fullmatch(tag):
                tags[match["version"]] = tag
        if not tags:
            return NO_VERSION, 0
        version = max(tags, key=precedence)
        counted = ("rev-list", "--count", f"refs/tags/{tags[version]}..{commit}")
        return version, int((await self._checked(repository, folder, counted, QUICK)).out)

    async def _uncommitted(self, repository: str, folder: Path) -> list[str]:
        if is_remote(repository):
            return []
        changed = await self._git(folder, "status", "--porcelain", "-z", "--no-renames", "--", ".")
        paths = [entry[3:] for entry in changed.out.decode(errors="replace").split("\0") if entry]
        return [f"uncommitted changes are not delivered: {_some(paths)}"] if changed.code == 0 and paths else []

    async def _unknown(self, repository: str, folder: Path, name: str) -> SourceError:
        where = redact(repository)
        listed = await self._git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
        names = listed.out.decode(errors="replace").split()
        if not names and (await self._git(folder, "rev-list", "-n", "1", "--all")).out == b"":
            return SourceError(f"{where} has no commits yet", hint="commit something: git add -A && git commit")
        known = f"it has {_some(names)}" if names else "it has no branches and no tags"
        return SourceError(
            f"{where} has no branch, tag or commit {name!r}",
            hint=f"{known}; name one of them, or set source.branch in tidegate.yaml",
        )

    async def _folder(self, repository: str, *, fetch: bool) -> Path:
        """Where git is to be run for this repository. Raises SourceError when there is none."""
        if is_remote(repository):
            copy = self.cache / hashlib.sha256(repository.encode()).hexdigest()[:16]
            if fetch or not (copy / "HEAD").exists():
                await self._fetch(repository, copy)
            return copy
        folder = _local(repository)
        if folder not in self._met:
            result = await self._git(folder, "rev-parse", "--git-dir")
            if result.code:
                raise explain(str(folder), result.err)
            self._met.add(folder)
        return folder

    async def _fetch(self, repository: str, copy: Path) -> None:
        _make(copy)
        await self._checked(repository, copy, ("init", "-q", "--bare", "."), QUICK)
        refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        command = ("fetch", "-q", "--prune", "--no-recurse-submodules", "--", repository, *refs)
        await self._checked(repository, copy, command, FETCH)
        await self._follow_head(repository, copy)

    async def _follow_head(self, repository: str, copy: Path) -> None:
        listed = await self._checked(repository, copy, ("ls-remote", "--symref", "--", repository, "HEAD"), FETCH)
        if match := re.match(rb"ref: (refs/heads/\S+)\tHEAD", listed.out):
            await self._git(copy, "symbolic-ref", "HEAD", match[1].decode())

    async def _checked(self, repository: str, folder: Path, command: Sequence[str], limits: Limits) -> Result:
        result = await self._git(folder, *command, limits=limits)
        if result.code:
            raise explain(repository, result.err)
        return result

    async def _git(self, folder: Path, *command: str, limits: Limits = QUICK) -> Result:
        try:
            return await run((self.program, *command), _environment(), str(folder), limits)
        except FileNotFoundError as error:
            raise SourceError(
                f"the program {self.program} was not found", hint="install git (Debian: apt install git)"
            ) from error
        except (TooLongError, TooMuchError, OSError) as error:
            raise SourceError(
                f"git {command[0]} in {folder}: {error}", hint="see that the repository can be reached, then try again"
            ) from error


def _local(repository: str) -> Path:
    folder = Path(repository).expanduser()
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder", hint="source.repository is a folder's path or a URL")
    return folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SourceError(
            f"{folder}: {error.strerror}", hint="XDG_CACHE_HOME names another place for copies"
        ) from error


def is_remote(repository: str) -> bool:
    """Whether a repository is a URL (or user@host:path) and not a folder."""
    return REMOTE.match(repository) is not None


def _environment() -> dict[str, str]:
    """The user's, without what would point git at another repository, make it ask, or change its words."""
    kept = {name: value for name, value in os.environ.items() if name not in LEADING_AWAY}
    fixed = {
        "GIT_TERMINAL_PROMPT": "0",
        "GCM_INTERACTIVE": "never",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_SSH_COMMAND": kept.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=15"),
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "LC_ALL": "C",
    }
    return {**kept, **fixed}


LEADING_AWAY = frozenset(
    {
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    }
)
"""Set while git runs a hook: a delivery started from one must still see its own repository."""


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
