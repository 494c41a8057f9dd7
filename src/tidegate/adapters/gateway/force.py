"""Asking Envoy what is in force, and waiting until something is."""

import asyncio

from tidegate.adapters.gateway import dump, stages, stats
from tidegate.adapters.gateway.dump import Applied
from tidegate.adapters.gateway.ports import PortTakenError, taken_port
from tidegate.adapters.gateway.session import Session
from tidegate.adapters.gateway.volume import Book
from tidegate.model.errors import GatewayError
from tidegate.model.observation import ObservedGateway
from tidegate.model.release import AgentKey

APPLY_S = 10.0
"""How long Envoy may take to put a change in force, in seconds; it takes milliseconds."""


class NotYetError(GatewayError):
    """Something is not in force when the deadline has passed."""


async def observe(session: Session, key: AgentKey) -> ObservedGateway:
    """What is in force for one agent, and its requests in flight. Raises SessionError."""
    paths = [dump.path_of(section) for section in dump.SECTIONS] + [stats.active_path(key)]
    *answers, active = await session.ask(paths)
    applied = dump.read(dict(zip(dump.SECTIONS, answers, strict=True)))
    detail = "; ".join(f"{name}: {reason}" for name, reason in applied.failed.items())
    return ObservedGateway(True, dump.goals(applied, key), stats.active_by_revision(active), detail)


async def busy(session: Session) -> frozenset[str]:
    """Clusters with requests or connections in flight."""
    [text] = await session.ask([stats.active_path()])
    return frozenset(name for name, count in stats.active_by_cluster(text).items() if count)


async def lacks(session: Session, expected: Applied) -> bool:
    """Whether anything that is expected is not in force at this moment."""
    sections = expected.sections()
    answers = await session.ask([dump.path_of(section) for section in sections])
    return bool(dump.read(dict(zip(sections, answers, strict=True))).lacks(expected))


async def wait_for(session: Session, expected: Applied, deadline_s: float = APPLY_S) -> None:
    """Wait until what is expected is in force. Raises NotYetError, PortTakenError, GatewayError with Envoy's reason."""
    sections = expected.sections()
    if not sections:
        return
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + deadline_s, 0.0005
    while True:
        answers = await session.ask([dump.path_of(section) for section in sections])
        applied = dump.read(dict(zip(sections, answers, strict=True)))
        missing = applied.lacks(expected)
        if not missing:
            return
        for name in missing:
            _refuse(name, applied.failed.get(name, ""))
        if loop.time() > end:
            reasons = "; ".join(applied.failed.values()) or "no reason given"
            raise NotYetError(f"the gateway did not apply {', '.join(missing)} within {deadline_s:g} s: {reasons}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.05)


async def wait_for_files(session: Session, book: Book) -> None:
    """Wait until everything in the volume's files is in force, as a successor must be before its predecessor goes."""
    await wait_for(session, stages.expected_of(book.files))


def _refuse(name: str, reason: str) -> None:
    port = taken_port(reason)
    if port is not None:
        raise PortTakenError(port)
    if reason:
        raise GatewayError(f"the gateway refused {name}: {reason}")
