"""Which agent a message is of, when uids are asked for, or shared by mistake.

Two agents have one instance_uid when a disk or a volume was copied. The second one gets a new uid (UUIDv7) and goes on
under it; until it does, its messages are known by the connection or by its description.
"""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from tidegate.control.opamp.decoding import REQUEST_UID, Report
from tidegate.control.opamp.session import WHO, Session, same_agent
from tidegate.model.release import AgentKey

SWAP_S = 60.0
"""An agent that lost its connection comes back on a new one. When the former one comes back too, they are two."""

MOST_REMEMBERED = 10_000

Whose = tuple[AgentKey, bytes]
"""A uid, and whose token came with it: nobody reaches another agent's state by its uid."""


@dataclass(eq=False, slots=True)
class Line:
    """A connection; several agents may speak over one. Over plain HTTP there is none that lasts."""

    lasting: bool = False
    uids: set[Whose] = field(default_factory=set)
    renamed: dict[bytes, bytes] = field(default_factory=dict)
    superseded: bool = False


class Uids:
    """Who is who. `lines` holds the lasting connection of each."""

    def __init__(self) -> None:
        self.lines: dict[Whose, Line] = {}
        self._asked: dict[Whose, bytes] = {}
        self._twins: dict[tuple[Whose, tuple[str, ...]], bytes] = {}
        self._former: dict[Whose, bytes] = {}
        self._swaps: dict[Whose, float] = {}

    def other(self, key: AgentKey, report: Report, line: Line, known: Session | None) -> bytes | None:
        """The uid that the sender should have instead of the one that it gave; None: that one is right."""
        whose = (key, report.uid)
        if report.uid in line.renamed:
            return line.renamed[report.uid]
        if report.flags & REQUEST_UID:
            return self._new(self._asked, whose, whose, line)
        if (
            known is not None
            and not known.left
            and report.attributes
            and not same_agent(known.record, report.attributes)
        ):
            who = tuple(report.attributes.get(name, "") for name in WHO)
            return self._new(self._twins, (whose, who), whose, line)
        return None

    def _new(self, memory: dict[Any, bytes], name: object, whose: Whose, line: Line) -> bytes:
        if name not in memory:
            memory[name] = uuid7()
            _bound(memory)
            _bound(self._former)
            self._former[whose[0], memory[name]] = whose[1]
        if line.lasting:
            line.renamed[whose[1]] = memory[name]
        return memory[name]

    def former(self, key: AgentKey, uid: bytes) -> bytes:
        """The uid that it had before it was given this one; the same where it was given none."""
        return self._former.get((key, uid), uid)

    def arrive(self, whose: Whose, line: Line, now: float) -> Line | None:
        """A message came over a lasting connection. Returns the one that it took the place of.

        The second time within SWAP_S it is another agent with the same uid: it is given a new one next.
        """
        line.uids.add(whose)
        former = self.lines.get(whose)
        if former is line:
            return None
        self.lines[whose] = line
        if former is None:
            return None
        former.uids.discard(whose)
        if now - self._swaps.get(whose, -SWAP_S) < SWAP_S:
            line.renamed[whose[1]] = self._new(self._twins, (whose, (str(id(line)),)), whose, line)
        self._swaps[whose] = now
        _bound(self._swaps)
        return former

    def leave(self, line: Line) -> list[Whose]:
        """A connection ended; who had spoken over it last."""
        gone = [whose for whose in line.uids if self.lines.get(whose) is line]
        for whose in gone:
            del self.lines[whose]
        return gone


def _bound(memory: dict[Any, Any]) -> None:
    if len(memory) > MOST_REMEMBERED:
        memory.pop(next(iter(memory)))


def uuid7() -> bytes:
    """A UUID of version 7: milliseconds, then chance. Source: RFC 9562, 5.7."""
    value = int(time.time() * 1000) << 80 | secrets.randbits(76)
    value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return value.to_bytes(16, "big")
