"""Alerts: what there is, what an Alertmanager tells, and where a Prometheus finds the agents."""

import asyncio
import uuid
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tidegate.control import alertmanager
from tidegate.controller.metering import port_of
from tidegate.model.desired import Desired
from tidegate.model.errors import ConflictError
from tidegate.model.intent import Intent
from tidegate.model.observation import InstanceState
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.server.api.answers import tagged
from tidegate.server.api.asking import decidable
from tidegate.server.api.parts import Api, Application, Caller, Deliverer, Reader
from tidegate.views.alerts import alert_rows

OF_AN_ALERT = uuid.UUID("0d6f9f0e-2f5a-5a53-9f0e-6a3c1c5b7e21")
OBSERVE_S = 5.0

router = APIRouter(tags=["alerts"])


@router.get("/v1/alerts")
async def alerts(
    request: Request,
    api: Application,
    caller: Reader,
    over: Annotated[bool, Query(description="Those that fired in the last hour and are over, too.")] = False,
) -> Response:
    """What fires and what is pending, the worst first."""
    return tagged(request, [asdict(row) for row in alert_rows(await _states(api, caller), over)])


@router.post("/v1/alertmanager")
async def tell(api: Application, caller: Deliverer, body: dict[str, Any]) -> dict[str, Any]:
    """An Alertmanager's web hook, version 4. The same alert with the same status and beginning is taken once.

    It is about the agent that its labels name (tidegate_agent or agent, tidegate_environment or environment, and
    revision, instance). What is about nobody here is ignored, and listed.
    """
    accepted, repeated = 0, 0
    ignored: list[dict[str, str]] = []
    for told in alertmanager.decode(body):
        key = alertmanager.key_of(told, api.place.name)
        keys, why = await _meant(api, caller, key)
        if why:
            ignored.append({"alert": told.action.rule, "because": why})
        for one in keys:
            fresh = await _submit(api, caller, one, told)
            accepted, repeated = accepted + fresh, repeated + (not fresh)
    return {"accepted": accepted, "repeated": repeated, "ignored": ignored}


async def _meant(api: Api, caller: Caller, key: AgentKey) -> tuple[list[AgentKey], str]:
    """The agent; of a fleet every host, unless one is named. Nobody, and why."""
    if not key.agent:
        return [], "no label names an agent: tidegate_agent or agent"
    if not caller.sees(key):
        return [], "this token is for another agent"
    if key.environment != api.place.name:
        return [], f"this server decides in {api.place.name}"
    fleet = await api.books.fleets.load_fleet(key) if not key.host else None
    if fleet is not None:
        return [key.on(host.name) for host in fleet.hosts], ""
    if await api.books.store.load(key) is None:
        return [], f"{key}: nothing was ever deployed"
    return [key], ""


async def _submit(api: Api, caller: Caller, key: AgentKey, told: alertmanager.Told) -> bool:
    """Whether it is new."""
    action = told.action
    same = f"{key}@{key.host}/{action.fingerprint}/{action.firing}/{action.starts_at!r}"
    identity = uuid.uuid5(OF_AN_ALERT, same).hex
    if await api.books.store.find_intent(identity) is not None:
        return False
    intent = Intent(identity, key, action, caller.name, api.now(), "", caller.token.id)
    decidable(intent, await api.books.store.load(key) or AgentState(key))
    try:
        await api.books.store.submit(intent)
    except ConflictError:
        return False
    return True


@router.get("/v1/http_sd")
async def http_sd(api: Application, caller: Reader) -> list[dict[str, Any]]:
    """Every running instance of this environment that listens, for http_sd_configs of a Prometheus.

    Source: https://prometheus.io/docs/prometheus/latest/http_sd/
    """
    mine = [one for one in await _states(api, caller) if one.key.environment == api.place.name and not one.key.host]
    return [target for found in await asyncio.gather(*(_targets(api, state) for state in mine)) for target in found]


async def _targets(api: Api, state: AgentState) -> list[dict[str, Any]]:
    revisions = [one for one in (state.stable, state.active.candidate if state.active else None) if one is not None]
    known = {one.runs_as: one for one in revisions}
    if not any(port_of(one.workload) for one in revisions):
        return []
    async with asyncio.timeout(OBSERVE_S):
        observed = await api.site.ports.platform.observe(Desired(state.key))
    return [
        {
            "targets": [f"[{one.address}]:{port}" if ":" in one.address else f"{one.address}:{port}"],
            "labels": {
                "tidegate_agent": state.key.agent,
                "tidegate_environment": state.key.environment,
                "tidegate_revision": str(one.revision),
                "tidegate_version": known[one.revision].release.version,
                "tidegate_instance": one.name,
            },
        }
        for one in observed.instances
        if one.revision in known
        and (port := port_of(known[one.revision].workload))
        and one.address
        and one.state is InstanceState.RUNNING
    ]


async def _states(api: Api, caller: Caller) -> list[AgentState]:
    keys = [key for key in await api.books.store.keys() if caller.sees(key)]
    return [state for key in keys if (state := await api.books.store.load(key)) is not None]
