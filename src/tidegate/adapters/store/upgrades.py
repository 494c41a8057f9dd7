"""Documents (plain forms in the tables) of an older Tidegate, made into today's form by pure functions.

Additive changes need nothing: the codec gives defaults and ignores what is gone. A rename, or a changed meaning, raises
DOCUMENT_VERSION by one and adds the function that leads from the former form to the next one. Never change a function
that was released; tests/fixtures/state holds documents of every tagged version.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from tidegate.model.errors import StoreError

Plain = dict[str, Any]


class Kind(StrEnum):
    """What a document is."""

    STATE = "state"
    EVENT = "event"
    INTENT = "intent"
    ANSWER = "answer"
    RELEASE = "release"
    REVISION = "revision"
    PULSE = "pulse"
    SWITCH = "switch"
    FLEET = "fleet"
    ACCESS = "access"
    RECORD = "record"
    ORDER = "order"
    RUN = "run"
    DELIVERY = "delivery"
    EVIDENCE = "evidence"


DOCUMENT_VERSION = 1

UPGRADES: Mapping[int, Callable[[Kind, Plain], Plain]] = {}
"""Version -> what makes a document of that version into one of the next."""


def upgrade(kind: Kind, plain: Plain, version: int) -> Plain:
    """Today's form of a document. Raises StoreError for one that a newer Tidegate wrote."""
    if version > DOCUMENT_VERSION:
        raise StoreError(
            f"a {kind} was written by a newer Tidegate (form {version}; this one reads up to {DOCUMENT_VERSION})",
            hint="use the newer Tidegate with this state, or point TIDEGATE_STATE at another one",
        )
    for step in range(version, DOCUMENT_VERSION):
        plain = UPGRADES[step](kind, plain)
    return plain
