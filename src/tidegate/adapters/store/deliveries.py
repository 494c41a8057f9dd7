"""Deliveries: the state of each, saved in one transaction with its evidence, its release and what it asks for."""

from sqlalchemy import Connection, Select, func, insert, select, update

from tidegate.adapters.store import documents
from tidegate.adapters.store.audit import add_act
from tidegate.adapters.store.database import Database, Latest
from tidegate.adapters.store.folding import fold
from tidegate.adapters.store.reserve import Reserve
from tidegate.adapters.store.rows import Row, event_row, write_release, write_told
from tidegate.adapters.store.store import require, write_intent
from tidegate.adapters.store.tables import deliveries, evidence
from tidegate.adapters.store.upgrades import Kind
from tidegate.model.audit import Act
from tidegate.model.delivery import Delivery, DeliveryDecision, DeliveryKey
from tidegate.model.errors import NotFoundError
from tidegate.model.event import Datum
from tidegate.model.evidence import Evidence
from tidegate.model.release import AgentKey
from tidegate.model.stages import StageName


class SqlDeliveries:
    """Deliveries."""

    def __init__(self, database: Database, reserve: Reserve) -> None:
        self._database = database
        self._reserve = reserve
        self._open: dict[str, Latest[tuple[DeliveryKey, ...]]] = {}

    async def begin(self, delivery: Delivery) -> Delivery:
        """Keep a new delivery under the next number."""

        def work(connection: Connection) -> Delivery:
            begun = _begin(connection, delivery)
            what: dict[str, Datum] = {"delivery": begun.key.number, "reference": begun.reference}
            on, via = str(begun.key.agent), "delivery"
            add_act(connection, Act(begun.at, begun.by, "deliver", on, begun.reason, via, what))
            return begun

        return await self._database.write(work)

    async def cancel(self, key: DeliveryKey, by: str) -> None:
        """Ask for its end. Raises NotFoundError."""
        change = update(deliveries).filter_by(**_columns(key)).values(cancelled_by=by)
        if not await self._database.write(lambda connection: connection.execute(change).rowcount):
            raise NotFoundError(f"{key.agent} has no delivery {key.number}", hint="tidegate status shows the latest")

    async def open(self, environment: str) -> tuple[DeliveryKey, ...]:
        """Every delivery that is not over, sorted. Cheap to ask again and again."""
        latest = self._open.setdefault(environment, Latest(self._database))
        return await latest.get(None, lambda: self._read_open(environment))

    async def _read_open(self, environment: str) -> tuple[DeliveryKey, ...]:
        table = deliveries.c
        query = select(table.agent, table.number).where(table.open.is_(True), table.environment == environment)
        query = query.order_by(table.agent, table.number)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(DeliveryKey(AgentKey(row.agent, environment), row.number) for row in rows)

    async def load_delivery(self, key: DeliveryKey) -> Delivery | None:
        """The state last saved."""
        found = await self._read(_documents().filter_by(**_columns(key)))
        return found[0] if found else None

    async def cancelled_by(self, key: DeliveryKey) -> str:
        """Who asked for its end; empty when nobody did."""
        query = select(deliveries.c.cancelled_by).filter_by(**_columns(key))
        return await self._database.read(lambda connection: connection.execute(query).scalar()) or ""

    async def save_delivery(self, decision: DeliveryDecision, epoch: int) -> None:
        """Everything in one transaction. Raises LeaseLostError when `epoch` is not the one in force."""

        def work(connection: Connection) -> list[int]:
            require(connection, decision.state.key.agent.environment, epoch)
            folded = fold(connection, self._reserve)
            _write(connection, decision)
            return folded

        folded = await self._database.write(work)
        if folded:
            await self._database.aside(lambda: self._reserve.empty(folded))

    async def find_evidence(self, agent: str, stage: StageName, key: str) -> Evidence | None:
        """What that stage found out from the inputs with that key."""
        query = select(evidence.c.version, evidence.c.document).filter_by(agent=agent, stage=stage.value, key=key)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return documents.value(Kind.EVIDENCE, Evidence, row.version, row.document) if row is not None else None

    async def latest(self, agent: AgentKey, limit: int = 1) -> list[Delivery]:
        """Newest first."""
        query = _documents().filter_by(agent=agent.agent, environment=agent.environment)
        return await self._read(query.order_by(deliveries.c.number.desc()).limit(limit))

    async def of_release(self, agent: str, release: str) -> Delivery | None:
        """The newest delivery that made a release."""
        query = _documents().filter_by(agent=agent, release=release).order_by(deliveries.c.number.desc()).limit(1)
        found = await self._read(query)
        return found[0] if found else None

    async def _read(self, query: "Select[tuple[int, str]]") -> list[Delivery]:
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [documents.value(Kind.DELIVERY, Delivery, row.version, row.document) for row in rows]


def _documents() -> "Select[tuple[int, str]]":
    return select(deliveries.c.version, deliveries.c.document)


def _columns(key: DeliveryKey) -> Row:
    return {"agent": key.agent.agent, "environment": key.agent.environment, "number": key.number}


def _row(delivery: Delivery) -> Row:
    release = delivery.release.id if delivery.release is not None else ""
    return {"open": not delivery.phase.ended, "release": release, **documents.columns(delivery)}


def _begin(connection: Connection, delivery: Delivery) -> Delivery:
    agent = delivery.key.agent
    mine = {"agent": agent.agent, "environment": agent.environment}
    last = connection.execute(select(func.max(deliveries.c.number)).filter_by(**mine)).scalar() or 0
    begun = delivery.numbered(last + 1)
    connection.execute(insert(deliveries), {**_columns(begun.key), **_row(begun), "cancelled_by": ""})
    return begun


def _write(connection: Connection, decision: DeliveryDecision) -> None:
    state = decision.state
    connection.execute(update(deliveries).filter_by(**_columns(state.key)).values(_row(state)))
    for name, found in decision.evidence.items():
        record = state.stage(name)
        if record is not None and record.key:
            _write_evidence(connection, {"agent": state.key.agent.agent, "stage": name.value, "key": record.key}, found)
    if decision.release is not None:
        write_release(connection, decision.release)
    for intent in decision.intents:
        write_intent(connection, intent)
    write_told(connection, [event_row(event) for event in decision.events], [])


def _write_evidence(connection: Connection, key: Row, found: Evidence) -> None:
    values = documents.columns(found)
    if connection.execute(update(evidence).filter_by(**key).values(values)).rowcount == 0:
        connection.execute(insert(evidence), {**key, **values})
