"""Agents: what there is, where each stands, and why. Reads only; what is asked of them: verbs.py, releases.py."""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from tidegate.controller.rosters import read_rosters
from tidegate.core.notices import concerns
from tidegate.core.transitions import TRANSITIONS
from tidegate.model import codec
from tidegate.model.errors import NotFoundError, UnreachableError
from tidegate.model.observation import Observation
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState, Phase
from tidegate.server.api.answers import tagged
from tidegate.server.api.journal import all_events
from tidegate.server.api.masking import shown_to
from tidegate.server.api.parts import Api, Application, Key, Reader
from tidegate.views.agents import agent_row
from tidegate.views.events import event_data
from tidegate.views.explain import explain, explanation_data
from tidegate.views.fleet import FleetStatus, fleet_status
from tidegate.views.history import history_of
from tidegate.views.roster import as_of
from tidegate.views.status import Status, status_of

ONE = "/v1/environments/{environment}/agents/{agent}"
PROBES_S = 2.0

router = APIRouter(tags=["agents"])


@router.get("/v1/agents")
async def agents(request: Request, api: Application, caller: Reader) -> Response:
    """Every agent in every environment, with its instances and what they report."""
    listening = as_of(await api.books.pulses.last_listening(), api.now())
    rows = [
        {**asdict(agent_row(state)), "host": state.key.host, "instances": [asdict(one) for one in instances]}
        for state, instances in await read_rosters(api.books, listening)
        if caller.sees(state.key)
    ]
    return tagged(request, rows)


@router.get("/v1/keys")
async def keys(api: Application, caller: Reader) -> list[dict[str, str]]:
    """The names alone: every agent, environment and host that has state or was asked something."""
    found = [key for key in await api.books.store.keys() if caller.sees(key)]
    return [codec.dump(key) for key in found]


@router.get("/v1/transitions")
async def transitions(caller: Reader) -> dict[Phase, list[Phase]]:
    """Phase -> the phases that may follow: the table that drives the controller itself."""
    return {phase: sorted(TRANSITIONS[phase]) for phase in Phase}


@router.get(ONE)
async def state(request: Request, api: Application, caller: Reader, key: Key) -> Response:
    """The whole state, with its tag: give it back as If-Match to ask only while nothing changed."""
    return tagged(request, shown_to(caller, codec.dump(await state_of(api, key))))


@router.get(f"{ONE}/status")
async def status(api: Application, caller: Reader, key: Key) -> Status | FleetStatus:
    """Rollout, tracks, instances, measurements; the host is looked at. Of a fleet: its waves and hosts."""
    fleet = await api.books.fleets.load_fleet(key) if not key.host else None
    if fleet is not None:
        found = [(host.name, await api.books.store.load(key.on(host.name))) for host in fleet.hosts]
        return fleet_status(fleet, {name: child for name, child in found if child is not None}, api.now())
    known = await state_of(api, key)
    if key.environment != api.place.name:
        return status_of(known, Observation(0.0, False, f"this server looks after {api.place.name}"), api.now())
    try:
        seen = await api.site.preview(key, probes_s=PROBES_S)
    except UnreachableError as error:
        return status_of(known, Observation(0.0, False, error.message), api.now())
    return status_of(seen.state, seen.observation, api.now())


@router.get(f"{ONE}/explanation")
async def explanation(api: Application, caller: Reader, key: Key) -> dict[str, Any]:
    """Why the last rollout ended, or stands, as it does."""
    known, log = await asyncio.gather(state_of(api, key), all_events(api, key))
    return explanation_data(explain(known, [event for _, event in log]))


@router.get(f"{ONE}/history")
async def history(api: Application, caller: Reader, key: Key) -> dict[str, Any]:
    """Every revision: who, why, and how it ended; and the whole log."""
    known, log = await asyncio.gather(state_of(api, key), all_events(api, key))
    rows = history_of(await api.books.journal.revisions(key), [event for _, event in log], known)
    told = [event_data(sequence, event) for sequence, event in log]
    return {"agent": key.agent, "environment": key.environment, "revisions": [asdict(r) for r in rows], "events": told}


@router.get(f"{ONE}/fleet")
async def fleet(request: Request, api: Application, caller: Reader, key: Key) -> Response:
    """The state of a fleet, where the environment is one."""
    found = await api.books.fleets.load_fleet(key)
    if found is None:
        raise NotFoundError(f"{key} is no fleet")
    return tagged(request, shown_to(caller, codec.dump(found)))


@router.get(f"{ONE}/notices")
async def notices(api: Application, caller: Reader, key: Key) -> list[dict[str, Any]]:
    """Who is told of every end, and how many notices each still waits for."""
    known = await state_of(api, key)
    log = await all_events(api, key)
    rows = []
    for one in known.endpoints:
        position = await api.books.outbox.position(f"{key}/{one.name}") or 0
        waiting = sum(1 for n, event in log if n > position and concerns(one, event, known.told_since))
        rows.append({"name": one.name, "channel": one.channel.value, "position": position, "waiting": waiting})
    return rows


async def state_of(api: Api, key: AgentKey) -> AgentState:
    """The state. Raises NotFoundError when there is none."""
    found = await api.books.store.load(key)
    if found is None:
        raise NotFoundError(f"{key}: nothing was ever deployed", hint="GET /v1/agents lists what there is")
    return found
