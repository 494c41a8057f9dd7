"""A decision as the rows that it becomes, so that the tables and the reserve hold the same thing."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tidegate.adapters.store.documents import columns
from tidegate.adapters.store.tables import answers, events, intents, releases, revisions, states
from tidegate.model.decision import Decision
from tidegate.model.event import Event
from tidegate.model.release import AgentKey, Release, Revision
from tidegate.model.rollout import AgentState

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """One decision, plain. `state` is the row of states; the others are rows of the tables of their names."""

    state: Row
    events: list[Row]
    answers: list[Row]
    revisions: list[Row]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def key_columns(key: AgentKey) -> Row:
    """The columns that name an agent in an environment, on a host of it."""
    return {"agent": key.agent, "environment": key.environment, "host": key.host}


def rows_of(decision: Decision, known: frozenset[int] | set[int] = frozenset()) -> Rows:
    """The rows of a decision, without those of revisions that are `known` to be in the tables."""
    key = key_columns(decision.state.key)
    new = {revision.number: revision for revision in revisions_in(decision.state) if revision.number not in known}
    return Rows(
        state={**key, **columns(decision.state)},
        events=[event_row(event) for event in decision.events],
        answers=[{"intent": answer.intent, **columns(answer)} for answer in decision.answers],
        revisions=[{**key, "number": number, **columns(new[number])} for number in sorted(new)],
    )


def event_row(event: Event) -> Row:
    """The row of an event."""
    return {**key_columns(event.key), **columns(event)}


def release_row(release: Release) -> Row:
    """The row of a release."""
    return {"agent": release.agent, "id": release.id, "release_version": release.version, **columns(release)}


def revisions_in(state: AgentState) -> Iterator[Revision]:
    """Every revision that a state holds."""
    yield from state.history
    yield from (retiring.revision for retiring in state.retiring)
    if state.stable is not None:
        yield state.stable
    if state.rollout is not None:
        yield state.rollout.candidate


def write(connection: Connection, rows: Rows) -> None:
    """Put a decision into the tables. What is there stays: a revision never changes, an answer is given once."""
    # What an earlier Tidegate left in the reserve names no host.
    key = {"agent": rows.state["agent"], "environment": rows.state["environment"], "host": rows.state.get("host", "")}
    mine = [states.c[name] == value for name, value in key.items()]
    if connection.execute(update(states).where(*mine).values(rows.state)).rowcount == 0:
        connection.execute(insert(states), rows.state)
    write_told(connection, rows.events, rows.answers)
    write_revisions(connection, key, rows.revisions)


def write_told(connection: Connection, told: list[Row], given: list[Row]) -> None:
    """Add events; keep answers, each once."""
    if told:
        connection.execute(insert(events), told)
    for row in given:
        if connection.execute(select(answers.c.intent).where(answers.c.intent == row["intent"])).first() is None:
            connection.execute(insert(answers), row)
            connection.execute(update(intents).where(intents.c.id == row["intent"]).values(answered=True))


def write_revisions(connection: Connection, key: Row, rows: list[Row]) -> None:
    """Keep revisions of one key; what is there stays."""
    for row in rows:
        same = {**key, "number": row["number"]}
        if connection.execute(select(revisions.c.number).filter_by(**same)).first() is None:
            connection.execute(insert(revisions), row)


def write_release(connection: Connection, release: Release) -> None:
    """Keep a release, once."""
    same = (releases.c.agent == release.agent, releases.c.id == release.id)
    if connection.execute(select(releases.c.seq).where(*same)).first() is None:
        connection.execute(insert(releases), release_row(release))
