"""A change in numbers, for the risk model; and as release notes, breaking changes first. Pure.

Numbers: Kamei et al., A Large-Scale Empirical Study of Just-in-Time Quality Assurance, IEEE TSE 39(6), 2013, table 1.
Messages: https://www.conventionalcommits.org/en/v1.0.0/
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.model.changes import Change, FileChange, Message

HEADER = re.compile(r"(?P<type>[A-Za-z]+)(\((?P<scope>[^()]+)\))?(?P<breaking>!)?: (?P<text>.+)")
FOOTER = re.compile(r"^BREAKING[ -]CHANGE: (?P<text>.+(?:\n(?!\n|[\w-]+(?:: | #)).+)*)", re.MULTILINE)
DAY_S = 86400.0
TITLES = {"feat": "Features", "fix": "Fixes", "perf": "Performance", "revert": "Reverted"}
OTHER = "Other changes"


@dataclass(frozen=True)
class Note:
    """One line of release notes."""

    title: str
    text: str
    commit: str
    breaking: str = ""


def measure(change: Change, now: float) -> dict[str, float]:
    """Features of the change. `now` (unix seconds) is the commit's own time, so that the numbers never move.

    lines_added and lines_deleted; files, directories and subsystems (top folders) touched; entropy of the lines over
    files, 0 (all in one file) to 1 (spread evenly); authors who changed these files before; age_days since they were
    changed last, on average; experience of the author in commits; commits.
    """
    files = change.files
    folders = {one.path.rpartition("/")[0] for one in files}
    aged = [max(0.0, now - one.last_at) / DAY_S for one in files if one.last_at]
    return {
        "lines_added": float(sum(one.added for one in files)),
        "lines_deleted": float(sum(one.deleted for one in files)),
        "files": float(len(files)),
        "directories": float(len(folders)),
        "subsystems": float(len({folder.partition("/")[0] for folder in folders})),
        "entropy": round(entropy(files), 4),
        "authors": float(len({author for one in files for author in one.authors})),
        "age_days": round(sum(aged) / len(aged), 2) if aged else 0.0,
        "experience": float(change.experience),
        "commits": float(len(change.messages)),
    }


def entropy(files: Iterable[FileChange]) -> float:
    """Shannon's, of the changed lines over the files, divided by its greatest value."""
    lines = [one.added + one.deleted for one in files if one.added + one.deleted]
    if len(lines) < 2:
        return 0.0
    total = sum(lines)
    return -sum(n / total * math.log2(n / total) for n in lines) / math.log2(len(lines))


def notes(change: Change) -> tuple[Note, ...]:
    """What the messages tell, newest first within each title; merges say nothing of their own."""
    told = [note_of(message) for message in change.messages if not message.subject.startswith("Merge ")]
    order = [*TITLES.values(), OTHER]
    return tuple(sorted(told, key=lambda note: (not note.breaking, order.index(note.title))))


def note_of(message: Message) -> Note:
    """One message, by Conventional Commits where it follows them."""
    header, footer = HEADER.fullmatch(message.subject), FOOTER.search(message.body)
    breaking = " ".join(footer["text"].split()) if footer else ""
    if header is None:
        return Note(OTHER, message.subject, message.commit, breaking)
    if header["breaking"] and not breaking:
        breaking = header["text"]
    scope = f"{header['scope']}: " if header["scope"] else ""
    return Note(TITLES.get(header["type"].lower(), OTHER), scope + header["text"], message.commit, breaking)


def release_notes(change: Change, version: str, former: str) -> str:
    """As Markdown. `former` is the version that runs; empty: nothing does."""
    told = notes(change)
    parts = [f"# {version}" + (f" (since {former})" if former else "")]
    if broken := [note for note in told if note.breaking]:
        parts += ["", "## Breaking changes", "", *(f"- {note.breaking} ({note.commit[:12]})" for note in broken)]
    for title in dict.fromkeys(
        note.title for note in sorted(told, key=lambda n: [*TITLES.values(), OTHER].index(n.title))
    ):
        parts += ["", f"## {title}", ""]
        parts += [f"- {note.text} ({note.commit[:12]})" for note in told if note.title == title]
    if change.changelog:
        parts += ["", "## From the project's changelog", "", *change.changelog]
    if change.cut:
        parts += ["", "(There is more than is shown here.)"]
    return "\n".join(parts) + "\n"
