"""What a commit changes against the one that runs: raw from source control. What it means is core.commits' to say."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FileChange:
    """One file. `authors` changed it before, `last_at` (unix seconds) is when; binary files count no lines."""

    path: str
    added: int
    deleted: int
    authors: tuple[str, ...] = ()
    last_at: float = 0.0


@dataclass(frozen=True)
class Message:
    """One commit's message."""

    commit: str
    subject: str
    body: str = ""
    author: str = ""


@dataclass(frozen=True)
class Change:
    """All that lies between two commits. `base` empty: there is nothing to compare with.

    `cut` says that there were more files or messages than are kept here. `changelog` holds the lines that the
    project's own CHANGELOG gained. `experience` is how many commits the author of the newest one made before.
    """

    base: str = ""
    files: tuple[FileChange, ...] = ()
    messages: tuple[Message, ...] = ()
    changelog: tuple[str, ...] = ()
    experience: int = 0
    cut: bool = False
