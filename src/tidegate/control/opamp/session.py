"""One agent's conversation as a pure state machine: what was known, a message, and what is known after it.

- Fields that a message leaves out are as they were. A sequence number that is not the former one plus one means that
  something was missed: the agent is asked for its full state, unless the message is it.
- After `agent_disconnect` a bare message brings nobody back: a client that ends may have one more under way. Whoever
  goes on sending them is asked for its full state.
- First sequence numbers are 0 or 1. A lower one than before is a new process.

Source: https://github.com/open-telemetry/opamp-spec/blob/main/specification.md (AgentToServer, sequence_num)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from tidegate.control.opamp.decoding import Report
from tidegate.model.heartbeat import AgentStatus, Heartbeat
from tidegate.model.record import AgentRecord, Change, ComponentHealth, Protocol, with_history
from tidegate.model.release import AgentKey

DEFAULT_INTERVAL_S = 30.0
"""How often an agent reports that was told nothing else."""

RHYTHM = 4
"""Pauses between bare messages that are remembered: when there are so many, the longest is the agent's interval.

An agent may keep an interval that it was configured with, and cannot say so; bare messages come by its timer.
"""

SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 0.5, 3600.0

REORDERED = 3
"""A bare message this little behind the last one is an old one that was overtaken, not a new process."""

WHO = ("service.instance.id", "host.id", "host.name", "container.id")
"""Attributes that two agents which share an instance_uid by mistake (a cloned disk, a copied volume) differ in."""

UNKNOWN = -2
"""In place of a sequence number."""

_REVISION = re.compile(r"\.r(\d{1,9})\.\d+$")


@dataclass(frozen=True, slots=True)
class Session:
    """What is known of one conversation. `heartbeat`: the last message as the registry of agents was told of it.

    `told` is False until the agent has said who it is; `bare_at` is when its last bare message came (unix seconds; None
    after a gap).
    """

    uid: bytes
    sequence: int
    record: AgentRecord
    heartbeat: Heartbeat
    told: bool = False
    left: bool = False
    bare_since_left: int = 0
    bare_at: float | None = None
    rhythm: tuple[float, ...] = ()

    def renamed(self, uid: bytes) -> "Session":
        """The same conversation under another uid: it goes on, sequence and all."""
        return replace(self, uid=uid, record=replace(self.record, uid=uid.hex()))

    def told_apart(self) -> "Session":
        """Under a name of its own: another agent calls itself by the same one."""
        name = f"{self.record.instance}~{self.uid.hex()[-8:]}"
        heartbeat = replace(self.heartbeat, instance=name)
        return replace(self, record=replace(self.record, instance=name), heartbeat=heartbeat)


@dataclass(frozen=True, slots=True)
class Heard:
    """After a message. `counts`: whether it is a sign of life; `ask`: whether the full state is wanted."""

    session: Session
    counts: bool
    ask: bool
    changed: bool
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Moment:
    """Whose token came with a message, how, when (unix seconds), and the interval that was offered."""

    key: AgentKey
    protocol: Protocol
    now: float
    interval_s: float = DEFAULT_INTERVAL_S


def resumed(record: AgentRecord, heartbeat: Heartbeat) -> Session:
    """A conversation taken up after our own restart: what was sent meanwhile could not arrive: no number is a gap."""
    left = heartbeat.status is AgentStatus.STOPPING
    return Session(bytes.fromhex(record.uid), UNKNOWN, record, heartbeat, told=True, left=left)


def same_agent(known: AgentRecord, attributes: Mapping[str, str]) -> bool:
    """Whether a description can be that of the same agent: nothing that names its place contradicts."""
    pairs = [(known.attributes.get(name), attributes.get(name)) for name in WHO]
    return all(one == two for one, two in pairs if one and two)


def hear(before: Session | None, report: Report, moment: Moment) -> Heard:
    """Take a message in."""
    first = before is None
    before = before or _begin(report, moment)
    step = _step(before, report)
    record = _told(before.record, report, moment)
    described = report.attributes is not None
    left = report.leaving or (before.left and not described)
    bare_since_left = before.bare_since_left + 1 if before.left and left and not report.leaving else 0
    # Nobody is counted before having said who it is, except those who never do.
    counts = report.leaving or (not left and (before.told or described or not first))
    bare_at, rhythm = _rhythm(before, step, report.bare, moment.now)
    heartbeat = _heartbeat(before.heartbeat, step, record, moment) if counts else before.heartbeat
    heartbeat = replace(heartbeat, interval_s=_interval(rhythm, moment))
    if left:
        heartbeat = replace(heartbeat, status=AgentStatus.STOPPING, message="disconnected")
        ask = bare_since_left > 1
    else:
        ask = not described and (step.kind not in (_Kind.NEXT, _Kind.SAME) or not before.told)
    sequence = before.sequence if step.kind is _Kind.LATE else report.sequence
    told = before.told or described
    session = Session(report.uid, sequence, record, heartbeat, told, left, bare_since_left, bare_at, rhythm)
    contents = report.effective.contents if report.effective is not None else {}
    return Heard(session, counts, ask, first or record is not before.record, contents)


class _Kind(StrEnum):
    """How a message follows the one before. SAME: it again; LATE: overtaken on its way; GAP: some are missing."""

    NEXT = "next"
    SAME = "same"
    LATE = "late"
    GAP = "gap"
    NEW_PROCESS = "new process"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class _Step:
    kind: _Kind
    missed: int = 0


def _step(before: Session, report: Report) -> _Step:
    if before.sequence == UNKNOWN:
        return _Step(_Kind.RESUMED)
    behind = before.sequence - report.sequence
    if behind < 0:
        return _Step(_Kind.NEXT) if behind == -1 else _Step(_Kind.GAP, -behind - 1)
    if report.attributes is not None and report.sequence <= 1 and behind > 0:
        return _Step(_Kind.NEW_PROCESS)
    if behind == 0:
        return _Step(_Kind.SAME)
    return _Step(_Kind.LATE if behind <= REORDERED else _Kind.NEW_PROCESS)


def _begin(report: Report, moment: Moment) -> Session:
    """As if a message had come before the first one."""
    name = str(UUID(bytes=report.uid))
    record = AgentRecord(moment.key, name, report.uid.hex(), moment.protocol)
    heartbeat = Heartbeat(moment.key, name, 0, "", AgentStatus.OK, 0, moment.now, moment.interval_s)
    return Session(report.uid, report.sequence - 1, record, heartbeat)


def _told(known: AgentRecord, report: Report, moment: Moment) -> AgentRecord:
    """The record with what the message says; the very same one where it says nothing new."""
    if report.bare and report.capabilities == known.capabilities and moment.protocol is known.protocol:
        return known
    attributes = known.attributes if report.attributes is None else report.attributes
    effective = known.effective if report.effective is None else report.effective.files
    after = replace(
        known,
        instance=_named(known.instance, attributes.get("service.instance.id", "").strip()[:200]),
        protocol=moment.protocol,
        attributes=attributes,
        capabilities=report.capabilities or known.capabilities,
        health=known.health if report.health is None else report.health,
        components=known.components if report.health is None else report.components,
        effective=effective,
        remote=known.remote if report.remote is None else report.remote,
    )
    if after == known:
        return known
    return with_history(after, tuple(Change(moment.now, what) for what in _news(known, after)))


def _named(known: str, said: str) -> str:
    """Its name; one that had to be told from another of the same name stays so."""
    return known if not said or known.startswith(f"{said}~") else said


def _news(known: AgentRecord, after: AgentRecord) -> tuple[str, ...]:
    """What a person wants to read in an agent's history."""
    news = []
    before, now = (one.attributes.get("service.version", "") for one in (known, after))
    if now != before:
        news.append(f"reports version {now}" if not before else f"version {before} became {now}")
    if known.effective != after.effective:
        files = ", ".join(f"{file.name or 'unnamed'} ({file.digest[:8]})" for file in after.effective)
        news.append(f"runs with configuration {files or 'empty'}")
    if known.remote != after.remote and after.remote.digest:
        error = f": {after.remote.error}" if after.remote.error else ""
        news.append(f"offered configuration {after.remote.digest[:8]} is {after.remote.status}{error}")
    if after.health is not None and (known.health is None or known.health.healthy != after.health.healthy):
        what = "healthy" if after.health.healthy else f"unhealthy: {after.health.error or after.health.status}"
        news.append(what)
    return tuple(news)


def _heartbeat(last: Heartbeat, step: _Step, record: AgentRecord, moment: Moment) -> Heartbeat:
    """The message as one of the registry's: numbered from 1 in each process, the same one again has the same time."""
    number, sent_at = last.sequence + 1 + step.missed, moment.now
    match step.kind:
        case _Kind.SAME | _Kind.LATE if last.sequence > 0:
            number, sent_at = last.sequence, last.sent_at
        case _Kind.NEW_PROCESS:
            number = 1
    status, message = _status(record.health)
    revision = _REVISION.search(record.instance) if record.instance.startswith(f"{moment.key}.r") else None
    return Heartbeat(
        moment.key,
        record.instance,
        int(revision.group(1)) if revision else 0,
        record.attributes.get("service.version", ""),
        status,
        number,
        sent_at,
        moment.interval_s,
        message,
    )


def _status(health: ComponentHealth | None) -> tuple[AgentStatus, str]:
    """Unhealthy with neither a start nor an error is an agent that has not started yet."""
    if health is None or health.healthy:
        return AgentStatus.OK, ""
    said = health.error or health.status
    return (AgentStatus.FAILING if health.error or health.started_at else AgentStatus.DEGRADED), said


def _rhythm(before: Session, step: _Step, bare: bool, now: float) -> tuple[float | None, tuple[float, ...]]:
    """When the last bare message came, and the last pauses between two of them."""
    if step.kind is not _Kind.NEXT:
        return (before.bare_at if step.kind in (_Kind.SAME, _Kind.LATE) else None), before.rhythm
    if not bare:
        return before.bare_at, before.rhythm
    if before.bare_at is None or not SHORTEST_INTERVAL_S <= now - before.bare_at <= LONGEST_INTERVAL_S:
        return now, before.rhythm
    return now, (*before.rhythm, now - before.bare_at)[-RHYTHM:]


def _interval(rhythm: tuple[float, ...], moment: Moment) -> float:
    """The interval to expect, in seconds."""
    return max(rhythm) if len(rhythm) == RHYTHM else max(moment.interval_s, *rhythm, 0.0)
