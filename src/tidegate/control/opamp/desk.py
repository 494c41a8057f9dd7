"""Where OpAMP messages arrive: each is answered, and what it says goes to the registry and the records."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol as Shape

from tidegate.control.asking import Orders
from tidegate.control.opamp.decoding import Report, decode
from tidegate.control.opamp.encoding import Answer, ConfigOffer, ConnectionOffer, Content, Flag, encode
from tidegate.control.opamp.session import DEFAULT_INTERVAL_S, Heard, Moment, Session, hear, resumed
from tidegate.control.opamp.uids import Line, Uids, Whose
from tidegate.control.records import Name
from tidegate.control.registry import Registry, TooManyError
from tidegate.control.tokens import Bearer, Grant, Tokens
from tidegate.model.errors import TidegateError
from tidegate.model.heartbeat import Heartbeat, Pulse
from tidegate.model.record import AgentRecord, Capability, Protocol

OFFER_AGAIN_S = 60.0
"""Whoever does not say what became of an offer gets it again after so long."""

MOST_SESSIONS = 200_000


class ForeignError(TidegateError):
    """A token of one agent with the messages of another."""

    code = "foreign-token"


class Wishes(Shape):
    """What an agent is wanted to do, as far as OpAMP can say it."""

    def config(self, record: AgentRecord) -> ConfigOffer | None:
        """The configuration that it should have."""

    def restart(self, record: AgentRecord) -> bool:
        """Whether it should start again; it is said once."""


class OpampOrders:
    """Orders, as far as OpAMP can say them."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def config(self, record: AgentRecord) -> ConfigOffer | None:
        """The configuration that is in force for it."""
        work = self._orders.config(record)
        if work is None:
            return None
        files = {name: Content(file.text.encode(), file.content_type) for name, file in work.files.items()}
        return ConfigOffer(bytes.fromhex(work.digest), files, work.keep)

    def restart(self, record: AgentRecord) -> bool:
        """Once for each order."""
        return self._orders.restart(record)


class NoWishes:
    """Nothing is wanted of anybody."""

    def config(self, record: AgentRecord) -> ConfigOffer | None:
        """None."""
        return None

    def restart(self, record: AgentRecord) -> bool:
        """Never."""
        return False


@dataclass(eq=False, slots=True)
class Connection(Line):
    """A WebSocket. `send` and `close` return at once."""

    send: Callable[[bytes], None] = lambda message: None
    close: Callable[[], None] = lambda: None


class Desk:
    """Conversations by uid and by whose token they are held with. Not thread-safe: one event loop."""

    def __init__(self, registry: Registry, tokens: Tokens, wishes: Wishes | None = None) -> None:
        self.interval_s = DEFAULT_INTERVAL_S
        self._registry = registry
        self._records = registry.records
        self._tokens = tokens
        self._wishes = wishes or NoWishes()
        self._sessions: dict[Whose, Session] = {}
        self._uids = Uids()
        self._offered: dict[Whose, tuple[bytes, float]] = {}

    def hear(self, bearer: Bearer, body: bytes, line: Line) -> bytes:
        """Take a message in; the answer. Raises MalformedError, ForeignError, TooManyError."""
        report = decode(body)
        whose = (bearer.key, report.uid)
        other = self._uids.other(bearer.key, report, line, self._known(whose))
        if other is not None:
            report, whose = replace(report, uid=other), (bearer.key, other)
        self._check(bearer, whose)
        protocol = Protocol.OPAMP_WEBSOCKET if line.lasting else Protocol.OPAMP
        interval = max(self.interval_s, DEFAULT_INTERVAL_S)
        before = self._known(whose)
        heard = hear(before, report, Moment(bearer.key, protocol, self._registry.now(), interval))
        heard = replace(heard, session=self._keep(whose, before, heard))
        if line.lasting:
            self._arrived(whose, line)
        return encode(self._answer(bearer, report, heard, other or b""))

    def _known(self, whose: Whose) -> Session | None:
        session = self._sessions.get(whose)
        if session is not None:
            return session
        record = self._records.of_uid(whose[0], whose[1].hex())
        pulse = self._registry.pulse((record.key, record.instance)) if record is not None else None
        if record is None or pulse is None:
            return None
        session = self._sessions[whose] = resumed(record, _heartbeat_of(pulse))
        return session

    def _check(self, bearer: Bearer, whose: Whose) -> None:
        """An instance's own credential speaks for nobody else."""
        if bearer.grant is not Grant.INSTANCE:
            return
        if bytes.fromhex(_hexadecimal(bearer.instance)) not in (whose[1], self._uids.former(*whose)):
            raise ForeignError("this credential is another instance's")

    def _keep(self, whose: Whose, before: Session | None, heard: Heard) -> Session:
        """Registry first: what it refuses has not happened."""
        session = heard.session
        session = self._configured(session, before)
        holder = self._records.get(_name(session))
        other = holder is not None and holder.uid not in ("", session.record.uid)
        if other and before is not None and _name(before) == _name(session):
            # It had the name before another took it, and still speaks: they are two. (Else it is a new process.)
            session, holder = session.told_apart(), None
        if heard.counts:
            self._registry.hear(session.heartbeat)
        if before is None and len(self._sessions) >= MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions[whose] = session
        if before is not None and _name(before) != _name(session):
            held = self._records.get(_name(before))
            if held is None or held.uid == session.record.uid:
                self._registry.forget_instance(_name(before))
        changed = heard.changed or session.record is not heard.session.record
        if heard.counts and (changed or holder is None or other):
            self._records.put(session.record, heard.contents)
        return session

    def _configured(self, session: Session, before: Session | None) -> Session:
        """Note that it answered an offer; tell when it has another configuration than the one that it took."""
        record = session.record
        if before is None or record.remote == before.record.remote:
            return session
        offer = self._wishes.config(record)
        wanted = offer.digest.hex() if offer is not None else ""
        if wanted and record.remote.digest == wanted:
            return replace(session, record=replace(record, took=wanted))
        if wanted and record.took == wanted == before.record.remote.digest:
            again = "it is offered again" if offer is not None and offer.keep else "it is left as it is"
            self._registry.attendance.drifted(_name(session), record.remote.digest, wanted, again)
        return session

    def _arrived(self, whose: Whose, line: Line) -> None:
        former = self._uids.arrive(whose, line, self._registry.now())
        if isinstance(former, Connection) and not former.uids:
            former.superseded = True
            former.close()

    def _answer(self, bearer: Bearer, report: Report, heard: Heard, new_uid: bytes) -> Answer:
        record, uid = heard.session.record, report.uid
        flags = Flag.REPORT_FULL_STATE if heard.ask else Flag.NONE
        if heard.session.left:
            return Answer(uid, flags)
        if self._wishes.restart(record) and record.can(Capability.ACCEPTS_RESTART):
            return Answer(uid, restart=True)
        settings = None
        if report.attributes is not None or new_uid:
            settings = self._connection(bearer, record, bool(new_uid))
        config = self._config((bearer.key, uid), record, again=report.attributes is not None)
        # The answer is addressed to the uid that the message came with.
        addressed = self._uids.former(bearer.key, uid) if new_uid else uid
        return Answer(addressed, flags, new_uid, config, settings)

    def _config(self, whose: Whose, record: AgentRecord, *, again: bool) -> ConfigOffer | None:
        """The configuration to take, until it has said what became of it."""
        if not record.can(Capability.ACCEPTS_REMOTE_CONFIG):
            return None
        offer = self._wishes.config(record)
        if offer is None or record.remote.digest == offer.digest.hex():
            return None
        if not offer.keep and record.took == offer.digest.hex():
            return None
        now = self._registry.now()
        digest, at = self._offered.get(whose, (b"", 0.0))
        if digest == offer.digest and now - at < OFFER_AGAIN_S and not again:
            return None
        self._offered[whose] = (offer.digest, now)
        return offer

    def _connection(self, bearer: Bearer, record: AgentRecord, renamed: bool) -> ConnectionOffer | None:
        """An interval for who can keep one; a credential of its own for who came with another token and can take it."""
        token = ""
        if record.can(Capability.ACCEPTS_OPAMP_CONNECTION) and (bearer.grant is Grant.ENROLMENT or renamed):
            token = self._tokens.credential(record.key, record.uid)
        if not token and not record.can(Capability.REPORTS_HEARTBEAT):
            return None
        digest = hashlib.sha256(f"{self.interval_s:.0f} {token}".encode()).digest()
        return ConnectionOffer(digest, max(1, round(self.interval_s)), token)

    def hang_up(self, line: Line) -> None:
        """A connection ended. That alone says nothing of the agent: it may come back on another one."""
        now = self._registry.now()
        for whose in self._uids.leave(line):
            session = self._sessions.get(whose)
            if session is not None and session.told and not session.left:
                self._records.note(_name(session), now, "its connection ended")

    def push(self) -> int:
        """Send what is wanted now to those with a lasting connection; how many were sent something."""
        sent = 0
        for whose, line in list(self._uids.lines.items()):
            session = self._sessions.get(whose)
            if session is None or session.left or not isinstance(line, Connection):
                continue
            if self._wishes.restart(session.record) and session.record.can(Capability.ACCEPTS_RESTART):
                answer = Answer(whose[1], restart=True)
            else:
                config = self._config(whose, session.record, again=False)
                if config is None:
                    continue
                answer = Answer(whose[1], config=config)
            line.send(encode(answer))
            sent += 1
        return sent

    def tend(self) -> None:
        """Who reports no heartbeats is there for as long as its connection is."""
        for whose in list(self._uids.lines):
            session = self._sessions.get(whose)
            if session is None or not session.told or session.left:
                continue
            if not session.record.can(Capability.REPORTS_HEARTBEAT):
                with suppress(TooManyError):
                    self._registry.hear(session.heartbeat)

    def forget(self) -> None:
        """Let go of conversations with instances that the registry has forgotten."""
        for whose, session in list(self._sessions.items()):
            if whose not in self._uids.lines and self._registry.pulse(_name(session)) is None:
                del self._sessions[whose]


def _name(session: Session) -> Name:
    return session.record.key, session.record.instance


def _heartbeat_of(pulse: Pulse) -> Heartbeat:
    return Heartbeat(
        pulse.key,
        pulse.instance,
        pulse.revision,
        pulse.version,
        pulse.status,
        pulse.sequence,
        pulse.sent_at,
        pulse.interval_s,
        pulse.message,
    )


def _hexadecimal(text: str) -> str:
    """The uid in a credential; that of an agent which does not speak OpAMP is none."""
    return text if len(text) == 32 and all(one in "0123456789abcdef" for one in text) else "00"
