"""State, events and intents: one transaction a decision."""

from sqlalchemy import Connection, insert, literal, select, union

from tidegate.adapters.store import documents
from tidegate.adapters.store.audit import add_act
from tidegate.adapters.store.database import Database, Latest
from tidegate.adapters.store.folding import epoch_in_force, fold
from tidegate.adapters.store.reserve import Reserve
from tidegate.adapters.store.rows import key_columns, revisions_in, rows_of, write
from tidegate.adapters.store.tables import answers, fleets, intents, states
from tidegate.adapters.store.upgrades import Kind
from tidegate.model.audit import act_of
from tidegate.model.decision import Decision
from tidegate.model.errors import ConflictError, LeaseLostError
from tidegate.model.intent import Answer, Intent
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState


class SqlStore:
    """Store. Also the emergency: `save_in_reserve`, for when `save` raised StoreError and traffic goes to stable."""

    def __init__(self, database: Database, reserve: Reserve) -> None:
        self._database = database
        self._reserve = reserve
        self._known: dict[AgentKey, set[int]] = {}
        self._asked = Latest[tuple[AgentKey, ...]](database)

    async def load(self, key: AgentKey) -> AgentState | None:
        """The state last saved, or None."""
        query = select(states.c.version, states.c.document).filter_by(**key_columns(key))
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return documents.value(Kind.STATE, AgentState, row.version, row.document) if row is not None else None

    async def keys(self) -> tuple[AgentKey, ...]:
        """Every agent in every environment that has state or open intents, sorted."""
        opened = select(intents.c.agent, intents.c.environment, intents.c.host).where(intents.c.answered.is_(False))
        known = select(states.c.agent, states.c.environment, states.c.host)
        of_fleets = select(fleets.c.agent, fleets.c.environment, literal("").label("host"))
        query = union(known, opened, of_fleets).order_by("agent", "environment", "host")
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(AgentKey(row.agent, row.environment, row.host) for row in rows)

    async def asked(self) -> tuple[AgentKey, ...]:
        """Every agent in every environment that has open intents, sorted. Cheap to ask again and again."""
        return await self._asked.get(None, self._read_asked)

    async def _read_asked(self) -> tuple[AgentKey, ...]:
        query = select(intents.c.agent, intents.c.environment, intents.c.host)
        query = query.where(intents.c.answered.is_(False)).distinct()
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(sorted((AgentKey(row.agent, row.environment, row.host) for row in rows), key=str))

    async def save(self, decision: Decision, epoch: int) -> None:
        """State, events, answers and new revisions in one transaction, on the disk when this returns.

        Raises LeaseLostError when `epoch` is not the one in force, StoreError when nothing could be saved.
        """
        key = decision.state.key
        rows = rows_of(decision, self._known.get(key, frozenset()))

        def work(connection: Connection) -> list[int]:
            require(connection, key.environment, epoch)
            folded = fold(connection, self._reserve)
            write(connection, rows)
            return folded

        folded = await self._database.write(work)
        self._known[key] = {revision.number for revision in revisions_in(decision.state)}
        if folded:
            await self._database.aside(lambda: self._reserve.empty(folded))

    async def save_in_reserve(self, decision: Decision, epoch: int) -> None:
        """Keep a decision in space allocated beforehand; it is folded in before anything newer is saved.

        Only for moving traffic to ready stable instances. Raises StoreError when the reserve cannot take it either.
        """
        content = {"epoch": epoch, "rows": rows_of(decision, self._known.get(decision.state.key, set())).plain()}
        await self._database.aside(lambda: self._reserve.record(content))

    async def submit(self, intent: Intent) -> None:
        """Write an intent for the holder of the lease, and into the audit log; the same one twice is harmless."""

        def work(connection: Connection) -> None:
            if write_intent(connection, intent):
                add_act(connection, act_of(intent))

        await self._database.write(work)

    async def pending(self, key: AgentKey) -> tuple[Intent, ...]:
        """Intents not answered yet, oldest first."""
        query = select(intents.c.version, intents.c.document).filter_by(**key_columns(key), answered=False)
        rows = await self._database.read(lambda connection: connection.execute(query.order_by(intents.c.seq)).all())
        return tuple(documents.value(Kind.INTENT, Intent, row.version, row.document) for row in rows)

    async def find_intent(self, intent: str) -> Intent | None:
        """An intent by its id, answered or not."""
        query = select(intents.c.version, intents.c.document).where(intents.c.id == intent)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return documents.value(Kind.INTENT, Intent, row.version, row.document) if row is not None else None

    async def answer(self, intent: str) -> Answer | None:
        """What became of an intent, or None while it is open."""
        query = select(answers.c.version, answers.c.document).where(answers.c.intent == intent)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return documents.value(Kind.ANSWER, Answer, row.version, row.document) if row is not None else None


def write_intent(connection: Connection, intent: Intent) -> bool:
    """Write an intent once; whether it is new. Raises ConflictError when its id was given to something else."""
    row = {"id": intent.id, **key_columns(intent.key), **documents.columns(intent), "answered": False}
    found = connection.execute(select(intents.c.document).where(intents.c.id == intent.id)).scalar()
    if found is None:
        connection.execute(insert(intents), row)
    elif found != row["document"]:
        raise ConflictError(f"intent {intent.id} was given before and said something else")
    return found is None


def require(connection: Connection, environment: str, epoch: int) -> None:
    """Refuse who does not hold the lease over an environment any more. Raises LeaseLostError."""
    current = epoch_in_force(connection, environment)
    if current != epoch:
        raise LeaseLostError(
            f"another controller decides now (epoch {current}; this one had {epoch})",
            hint="this one stops deciding; tidegate status shows what the other one does",
        )
