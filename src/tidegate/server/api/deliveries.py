"""Deliveries: the journeys of commits through their stages; begun, looked at, ended before their rollout."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from tidegate.model import codec
from tidegate.model.delivery import Delivery, DeliveryKey, DeliveryPhase, StageState
from tidegate.model.errors import AccessError, NotFoundError, UsageError
from tidegate.model.stages import StageName
from tidegate.server.api.answers import tagged
from tidegate.server.api.intents import loaded
from tidegate.server.api.masking import shown_to
from tidegate.server.api.parts import MOST_NUMBER, AgentName, Api, Application, Deliverer, Key, Reader
from tidegate.server.api.releases import here, own
from tidegate.views.delivery import delivery_data

ONE = "/v1/environments/{environment}/agents/{agent}"

router = APIRouter(tags=["deliveries"])

Number = Annotated[int, Path(ge=1, le=MOST_NUMBER)]


class NewDelivery(BaseModel):
    """A delivery in plain form (model/delivery.py), as the command line makes it of a spec; no stage begun."""

    model_config = ConfigDict(extra="forbid")

    delivery: dict[str, Any]


@router.get(f"{ONE}/deliveries")
async def latest(
    api: Application, caller: Reader, key: Key, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[dict[str, Any]]:
    """The newest deliveries, newest first."""
    return [delivery_data(one) for one in await api.books.deliveries.latest(key, limit)]


@router.post(f"{ONE}/deliveries", status_code=202)
async def begin(api: Application, caller: Deliverer, key: Key, body: NewDelivery) -> Response:
    """Begin one, in the token's name. Its repository is looked up from the server's machine."""
    asked: Delivery = loaded(body.delivery, Delivery)
    begun = any(one.state is not StageState.WAITING for one in asked.stages)
    if asked.spec.agent != key.agent or begun or asked.phase is not DeliveryPhase.RUNNING or asked.release is not None:
        raise UsageError(f"this is no new delivery of {key}")
    fresh = replace(asked, key=DeliveryKey(here(api, key), 0), by=caller.name, at=api.now())
    fresh = replace(fresh, automatic=fresh.automatic or caller.token.role == "ci")
    made = await api.books.deliveries.begin(fresh)
    path = f"/v1/environments/{key.environment}/agents/{key.agent}/deliveries/{made.key.number}"
    return JSONResponse(codec.dump(made), 202, {"Location": path})


@router.get(f"{ONE}/deliveries/{{number}}")
async def delivery(request: Request, api: Application, caller: Reader, key: Key, number: Number) -> Response:
    """One delivery with its stages, whole."""
    return tagged(request, shown_to(caller, codec.dump(await _find(api, DeliveryKey(key, number)))))


@router.get(f"{ONE}/deliveries/{{number}}/evidence")
async def evidence(api: Application, caller: Reader, key: Key, number: Number) -> dict[str, Any]:
    """What each stage found out."""
    found = await _find(api, DeliveryKey(key, number))
    told = {}
    for record in found.stages:
        known = record.key and await api.books.deliveries.find_evidence(key.agent, record.name, record.key)
        if known:
            told[record.name.value] = codec.dump(known)
    return {"delivery": delivery_data(found), "evidence": told}


@router.post(f"{ONE}/deliveries/{{number}}/cancel", status_code=202)
async def cancel(api: Application, caller: Deliverer, key: Key, number: Number) -> dict[str, str]:
    """Ask for its end: what runs is stopped, nothing begins any more."""
    await _find(api, DeliveryKey(key, number))
    await api.books.deliveries.cancel(DeliveryKey(key, number), caller.name)
    return {"because": f"delivery {number} is to end; whoever decides ends it"}


@router.get("/v1/releases/{agent}/{release}/delivery")
async def of_release(
    api: Application, caller: Reader, agent: AgentName, release: Annotated[str, Path(min_length=1, max_length=100)]
) -> Any:
    """The newest delivery that made a release (by its id)."""
    found = await api.books.deliveries.of_release(own(caller, agent), release)
    if found is None:
        raise NotFoundError(f"no delivery of {agent} made that release")
    if not caller.sees(found.key.agent):
        raise AccessError("this token is for another environment")
    return shown_to(caller, codec.dump(found))


@router.get("/v1/evidence/{agent}/{stage}/{inputs}")
async def found(
    api: Application,
    caller: Reader,
    agent: AgentName,
    stage: StageName,
    inputs: Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")],
) -> Any:
    """What a stage found out from the inputs with that key."""
    known = await api.books.deliveries.find_evidence(own(caller, agent), stage, inputs)
    if known is None:
        raise NotFoundError(f"{stage} has found out nothing of these inputs")
    return codec.dump(known)


async def _find(api: Api, key: DeliveryKey) -> Delivery:
    known = await api.books.deliveries.load_delivery(key)
    if known is None:
        raise NotFoundError(f"{key.agent} has no delivery {key.number}")
    return known
