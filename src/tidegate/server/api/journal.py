"""Events, live and past; measurement blocks, revisions, pulses: what is read back."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.model import codec
from tidegate.model.errors import ConflictError, TidegateError, UsageError
from tidegate.model.event import Event, EventKind
from tidegate.model.release import AgentKey
from tidegate.server.api.masking import shown_to
from tidegate.server.api.parts import MOST_NUMBER, NAME, Api, Application, Caller, Deliverer, Key, Reader
from tidegate.server.api.streams import EventStream
from tidegate.views.events import event_data

ONE = "/v1/environments/{environment}/agents/{agent}"
BATCH = 1000
MOST_STREAMS = 200
LOOK_S = 0.25
ALIVE_S = 15.0

router = APIRouter(tags=["journal"])

After = Annotated[int, Query(ge=0, le=MOST_NUMBER, description="Only those with a higher number.")]
Limit = Annotated[int, Query(ge=1, le=BATCH)]
Name = Annotated[str, Query(pattern=rf"^$|{NAME}")]
Seconds = Annotated[float, Query(ge=0, le=1e11, allow_inf_nan=False, description="Unix seconds.")]


@router.get("/v1/events")
async def events(
    api: Application, caller: Reader, agent: Name = "", environment: Name = "", after: After = 0, limit: Limit = 1000
) -> dict[str, Any]:
    """The log, oldest first: of everything, or of one agent in one environment. Go on from `next`."""
    key = _about(agent, environment)
    found = await api.books.journal.events(key, after, limit)
    told = [event_data(sequence, event) for sequence, event in found if caller.sees(event.key)]
    return {"events": told, "next": found[-1][0] if found else after}


@router.get("/v1/events/stream", response_class=Response, responses={200: {"content": {"text/event-stream": {}}}})
async def stream(
    request: Request,
    api: Application,
    caller: Reader,
    agent: Name = "",
    environment: Name = "",
    after: After | None = None,
    last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,10}$")] = None,
) -> Response:
    """The log as it is written, as server-sent events: from `after` or Last-Event-ID on, else from now on."""
    key = _about(agent, environment)
    if api.measures.open_streams >= MOST_STREAMS:
        raise ConflictError(f"{MOST_STREAMS} streams are open already", hint="try again later")
    start = int(last_event_id) if last_event_id else after
    if start is None:
        start = await _end(api)
    return EventStream(_told(api, caller, key, min(start, MOST_NUMBER)), api.measures)


@router.get(f"{ONE}/events")
async def events_of(api: Application, caller: Reader, key: Key, after: After = 0, limit: Limit = 1000) -> list[Any]:
    """One agent's log with its numbers, as the state keeps it."""
    found = await api.books.journal.events(key, after, limit)
    return [{"sequence": sequence, "event": codec.dump(event)} for sequence, event in found]


class NewEvent(BaseModel):
    """A line that a delivery elsewhere (CI, a build) adds to the log. Nothing follows from it."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    because: str = Field(min_length=1, max_length=2000)
    data: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")],
        Annotated[str, Field(max_length=500)] | bool | Annotated[int, Field(ge=-(2**53), le=2**53)]
        | Annotated[float, Field(allow_inf_nan=False)] | None,
    ] = Field({}, max_length=20)  # fmt: skip


@router.post(f"{ONE}/events", status_code=201)
async def add_events(
    api: Application, caller: Deliverer, key: Key, body: Annotated[list[NewEvent], Field(min_length=1, max_length=200)]
) -> dict[str, int]:
    """Add to the log, all of them or none; on the disk when this answers. Their time is the server's."""
    now = api.now()
    told = [
        Event(now, key, EventKind.STAGE, one.because, data={**one.data, "stage": one.stage, "by": caller.name})
        for one in body
    ]
    await api.books.journal.append(told)
    return {"added": len(told)}


@router.get(f"{ONE}/revisions")
async def revisions(api: Application, caller: Reader, key: Key) -> Any:
    """Every revision that was ever decided, whole."""
    return shown_to(caller, [codec.dump(one) for one in await api.books.journal.revisions(key)])


@router.get(f"{ONE}/blocks")
async def blocks(api: Application, caller: Reader, key: Key, since: Seconds, until: Seconds) -> Any:
    """Measurement blocks that ended within the span, at most an hour of it."""
    if until - since > 3600:
        raise UsageError("an hour at most", hint="ask for the hours one after the other")
    return [codec.dump(one) for one in await api.books.journal.blocks(key, since, until)]


@router.get(f"{ONE}/pulses")
async def pulses(api: Application, caller: Reader, key: Key) -> dict[str, Any]:
    """The latest heartbeat of each instance."""
    return {"pulses": [codec.dump(one) for one in await api.books.pulses.pulses(key)]}


@router.get("/v1/listening")
async def listening(api: Application, caller: Reader) -> Any:
    """Since when somebody hears heartbeats without a break; `since` is null while nobody does."""
    return codec.dump(await api.books.pulses.last_listening())


async def all_events(api: Api, key: AgentKey, after: int = 0) -> list[tuple[int, Event]]:
    """Every event about an agent, oldest first."""
    found: list[tuple[int, Event]] = []
    while batch := await api.books.journal.events(key, after, BATCH):
        found += batch
        after = batch[-1][0]
    return found


def _about(agent: str, environment: str) -> AgentKey | None:
    if bool(agent) != bool(environment):
        raise UsageError("agent and environment go together", hint="?agent=web&environment=production, or neither")
    return AgentKey(agent, environment) if agent else None


async def _end(api: Api) -> int:
    """The number of the last event."""
    after = 0
    while batch := await api.books.journal.events(None, after, BATCH):
        after = batch[-1][0]
    return after


async def _told(api: Api, caller: Caller, key: AgentKey | None, after: int) -> AsyncIterator[str]:
    """Each event as a message of the stream, and a sign of life when there is none; ends with the token."""
    quiet = 0.0
    while caller.token.holds(api.now()):
        try:
            batch = await api.books.journal.events(key, after, 100)
        except TidegateError:
            batch = []
        for sequence, event in batch:
            after = sequence
            if caller.sees(event.key):
                data = json.dumps(event_data(sequence, event), default=str)
                yield f"id: {sequence}\nevent: {event.kind}\ndata: {data}\n\n"
        quiet = 0.0 if batch else quiet + LOOK_S
        if quiet >= ALIVE_S:
            quiet = 0.0
            yield ": alive\n\n"
        if not batch:
            await asyncio.sleep(LOOK_S)
