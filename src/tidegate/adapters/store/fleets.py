"""Fleets: the state of each, saved in one transaction with the intents that its hosts get."""

from sqlalchemy import Connection, insert, select, update

from tidegate.adapters.store import documents
from tidegate.adapters.store.database import Database
from tidegate.adapters.store.folding import fold
from tidegate.adapters.store.reserve import Reserve
from tidegate.adapters.store.rows import Row, event_row, key_columns, write_revisions, write_told
from tidegate.adapters.store.store import require, write_intent
from tidegate.adapters.store.tables import fleets
from tidegate.adapters.store.upgrades import Kind
from tidegate.model.fleet import FleetDecision, FleetState
from tidegate.model.release import AgentKey, Revision


class SqlFleets:
    """Fleets."""

    def __init__(self, database: Database, reserve: Reserve) -> None:
        self._database = database
        self._reserve = reserve

    async def load_fleet(self, key: AgentKey) -> FleetState | None:
        """The state last saved, or None where the environment is no fleet."""
        query = select(fleets.c.version, fleets.c.document).filter_by(agent=key.agent, environment=key.environment)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return documents.value(Kind.FLEET, FleetState, row.version, row.document) if row is not None else None

    async def save_fleet(self, decision: FleetDecision, epoch: int) -> None:
        """State, intents for hosts, events, answers and revisions in one transaction. Raises LeaseLostError."""

        def work(connection: Connection) -> list[int]:
            require(connection, decision.state.key.environment, epoch)
            folded = fold(connection, self._reserve)
            _write(connection, decision)
            return folded

        folded = await self._database.write(work)
        if folded:
            await self._database.aside(lambda: self._reserve.empty(folded))


def _write(connection: Connection, decision: FleetDecision) -> None:
    state = decision.state
    key = {"agent": state.key.agent, "environment": state.key.environment}
    values = documents.columns(state)
    if connection.execute(update(fleets).filter_by(**key).values(values)).rowcount == 0:
        connection.execute(insert(fleets), {**key, **values})
    given = [{"intent": answer.intent, **documents.columns(answer)} for answer in decision.answers]
    write_told(connection, [event_row(event) for event in decision.events], given)
    for intent in decision.intents:
        write_intent(connection, intent)
    write_revisions(connection, key_columns(state.key), [_revision_row(state.key, one) for one in _revisions(state)])


def _revisions(state: FleetState) -> list[Revision]:
    candidate = [state.rollout.candidate] if state.rollout is not None else []
    return [*state.history, *candidate]


def _revision_row(key: AgentKey, revision: Revision) -> Row:
    return {**key_columns(key), "number": revision.number, **documents.columns(revision)}
