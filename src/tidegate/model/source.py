"""What source control and builds speak of: a commit, and what a build may be told."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.model.errors import UsageError

SEMVER = re.compile(
    r"v?(?P<version>(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(?P<pre>[0-9A-Za-z.-]+))?)(\+[0-9A-Za-z.-]+)?"
)
"""A tag that is a version. Source: https://semver.org (a leading v is common and not part of the version)."""

NO_VERSION = "0.0.0"


@dataclass(frozen=True)
class Commit:
    """Facts about one commit. Times are unix seconds.

    `version` comes from the highest semantic-version tag on or before the commit, `ahead` counts the commits since.
    `warnings` say what a person would want to know: uncommitted changes. `tree` is the id of its content.
    `repository` is where it was found.
    """

    id: str
    subject: str = ""
    author: str = ""
    authored_at: float = 0.0
    committed_at: float = 0.0
    version: str = NO_VERSION
    ahead: int = 0
    warnings: tuple[str, ...] = ()
    tree: str = ""
    repository: str = ""

    @property
    def short(self) -> str:
        """Twelve digits: enough to be unique in any repository."""
        return self.id[:12]


@dataclass(frozen=True)
class BuildOptions:
    """What a build may be told. `context` and `dockerfile` are paths in the archive, the latter within the former."""

    context: str = "."
    dockerfile: str = "Dockerfile"
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = 1800.0


def precedence(version: str) -> tuple[object, ...]:
    """A sort key: semantic versioning's precedence (a pre-release comes before its release). Source: semver.org, 11."""
    core, _, pre = version.partition("-")
    numbers = tuple(int(part) for part in core.split("."))
    identifiers = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ()
    return (*numbers, not pre, identifiers)


# Source: https://github.com/distribution/reference (grammar of references), without digests.
PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REFERENCE = re.compile(
    rf"(?P<name>(?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::\d+)?/)?{PART}(?:/{PART})*)(?::(?P<tag>[\w][\w.-]{{0,127}}))?", re.ASCII
)


def check_tag(reference: str) -> str:
    """The reference, when an image that is built here may be called so. Raises UsageError with the reason."""
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError(
            f"{reference!r} is no name for an image", hint="lower-case letters, digits, . _ - and /, then :tag"
        )
    if not match["tag"]:
        raise UsageError(
            f"{reference} has no tag: it would become latest, which says nothing about what runs",
            hint="leave the tag to Tidegate (version-commit)",
        )
    if match["tag"] == "latest":
        raise UsageError(
            f"{reference}: latest moves, so nobody could say which commit runs, nor go back to it",
            hint="leave the tag to Tidegate (version-commit)",
        )
    return reference
