"""The audit log: who did what and why, each entry chained to the one before by its hash.

    hash = SHA-256( previous hash LF sequence LF document )

`document` is the stored text itself, so that nothing depends on how JSON is written. Whoever changes, removes or adds
an entry changes every hash after it, the head's too; heads leave the machine with every notice.
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidegate.model.event import Datum
from tidegate.model.intent import Intent

BEGINNING = "0" * 64
"""The hash before the first entry."""

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True)
class Act:
    """What somebody did: `at` unix seconds, `what` a verb, `on` what it was done to, `because` the reason given.

    `via` says which way: "command line" (whoever can write the state), or the id of a token.
    """

    at: float
    by: str
    what: str
    on: str = ""
    because: str = ""
    via: str = "command line"
    data: Mapping[str, Datum] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """An act with its place in the chain."""

    sequence: int
    document: str
    previous: str
    hash: str


@dataclass(frozen=True)
class Head:
    """The last entry: enough to prove later that everything up to it is what it was."""

    sequence: int = 0
    hash: str = BEGINNING

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


def parse_head(text: str) -> Head:
    """A head as a notice carries it. Raises ValueError."""
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise ValueError("a head is SEQUENCE:HASH, the hash 64 hexadecimal digits")
    return Head(int(found[1]), found[2])


def link(previous: str, sequence: int, document: str) -> str:
    """The hash of an entry."""
    return hashlib.sha256(f"{previous}\n{sequence}\n{document}".encode()).hexdigest()


def follow(head: Head, entries: Iterable[Entry]) -> Head:
    """Verify entries that come after a head; the new head. Raises ValueError that says which entry is wrong and how."""
    for entry in entries:
        if entry.sequence != head.sequence + 1:
            raise ValueError(f"entry {head.sequence + 1} is missing: {entry.sequence} follows {head.sequence}")
        if entry.previous != head.hash:
            raise ValueError(f"entry {entry.sequence} does not follow the one before it")
        if entry.hash != link(entry.previous, entry.sequence, entry.document):
            raise ValueError(f"entry {entry.sequence} was changed: its hash is another")
        head = Head(entry.sequence, entry.hash)
    return head


def act_of(intent: Intent) -> Act:
    """An intent as an act: the verb, and what of it is a plain number, word or release."""
    action = intent.action
    plain = {one.name: getattr(action, one.name) for one in dataclasses.fields(action)}
    data = {name: value for name, value in plain.items() if isinstance(value, str | int | float | bool)}
    deploy = getattr(action, "deploy", action)
    release = getattr(deploy, "release", None)
    if release is not None:
        data |= {"release": release.id, "version": release.version, "image": release.image.reference}
    data["intent"] = intent.id
    via = intent.via or "command line"
    return Act(intent.at, intent.by, verb(type(action)), str(intent.key), intent.reason, via, data)


def verb(action: type) -> str:
    """An action's name as a verb of the command line: SetWeight -> set-weight."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", action.__name__).lower()
