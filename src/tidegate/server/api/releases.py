"""Releases, and what brings one: deploy as the spec says, and the plan of it."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.controller.releases import Insisting, Order, deploy_action, for_hosts
from tidegate.model import codec
from tidegate.model.errors import AccessError, ConflictError, NotFoundError, UnreachableError, UsageError
from tidegate.model.intent import Intent
from tidegate.model.release import AgentKey
from tidegate.model.spec import Spec
from tidegate.server.api.asking import IdempotencyKey, ask
from tidegate.server.api.masking import shown_to
from tidegate.server.api.parts import AgentName, Api, Application, Caller, Deliverer, Key, Reader
from tidegate.spec import parse_spec
from tidegate.views.plan import change_data, changes, operation_data

ONE = "/v1/environments/{environment}/agents/{agent}"
PROBES_S = 2.0
NOWHERE = "/request/tidegate.yaml"
"""Where a spec in a request counts as standing: its relative paths lead nowhere on this machine."""

router = APIRouter(tags=["releases"])

ReleaseName = Annotated[str, Path(min_length=1, max_length=300, description="Its id, its beginning, or its version.")]


class DeployBody(BaseModel):
    """A release (id, beginning, version or image), and the spec with the keys of tidegate.yaml.

    No spec: the one that `tidegate serve` was started with. `variables` fill in ${NAME} of the spec.
    """

    model_config = ConfigDict(extra="forbid")

    release: str = Field("", max_length=300)
    spec: dict[str, Any] | None = None
    variables: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")], Annotated[str, Field(max_length=10000)]] = Field({}, max_length=200)  # fmt: skip # noqa: E501
    reason: str = Field("", max_length=1000)
    automatic: bool = False
    override_quarantine: bool = False
    override_freeze: bool = False
    accept_breaking: bool = False
    lock_epoch: int | None = Field(None, ge=0, le=2**31 - 1)


@router.get("/v1/releases/{agent}")
async def releases(api: Application, caller: Reader, agent: AgentName) -> Any:
    """All releases of an agent, oldest first."""
    return shown_to(caller, [codec.dump(one) for one in await api.books.journal.releases(own(caller, agent))])


@router.get("/v1/releases/{agent}/{release:path}")
async def release(api: Application, caller: Reader, agent: AgentName, release: ReleaseName) -> Any:
    """One release."""
    found = await api.books.journal.find_release(own(caller, agent), release)
    if found is None:
        raise NotFoundError(f"{agent} has no such release")
    return shown_to(caller, codec.dump(found))


@router.post(f"{ONE}/deploy", status_code=202)
async def deploy(
    request: Request,
    api: Application,
    caller: Deliverer,
    key: Key,
    body: DeployBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Move the environment to a release, as the spec says."""
    order = _order(api, key, body)
    action = await deploy_action(order, body.release, caller.name, _insisting(body))
    await api.books.journal.add_release(action.release)
    return await ask(request, caller, key, for_hosts(order, action), body.reason)


@router.post(f"{ONE}/plan")
async def plan(api: Application, caller: Deliverer, key: Key, body: DeployBody) -> dict[str, Any]:
    """What a deploy would do: operations with their causes, and the difference of the configuration."""
    action = await deploy_action(_order(api, key, body), body.release, caller.name, _insisting(body))
    return await _planned(api, key, (Intent("plan", key, action, caller.name, api.now()),))


@router.get(f"{ONE}/plan")
async def plan_now(api: Application, caller: Reader, key: Key) -> dict[str, Any]:
    """What is left to do now, nothing asked."""
    if await api.books.store.load(key) is None:
        raise NotFoundError(f"{key}: nothing was ever deployed")
    return await _planned(api, key, ())


async def _planned(api: Api, key: AgentKey, asked: tuple[Intent, ...]) -> dict[str, Any]:
    before = await api.books.store.load(key)
    seen = await api.site.preview(here(api, key), asked, PROBES_S)
    if not seen.observation.reachable:
        raise UnreachableError(seen.observation.detail, hint="tidegate doctor, on the server, says what is missing")
    answer = seen.decision.answers[-1].because if asked and seen.decision.answers else ""
    rollout = seen.decision.state.active
    changed = changes(before.stable if before else None, rollout.candidate if rollout else None)
    return {
        "agent": key.agent,
        "environment": key.environment,
        "answer": answer,
        "operations": [operation_data(one) for one in seen.plan],
        "configuration": [change_data(one) for one in changed],
    }


def here(api: Api, key: AgentKey) -> AgentKey:
    """The key, when this server looks after its environment. Raises ConflictError."""
    if key.environment != api.place.name:
        raise ConflictError(f"this server looks after {api.place.name}, not {key.environment}")
    return key


def _order(api: Api, key: AgentKey, body: DeployBody) -> Order:
    spec = parse_spec(json.dumps(body.spec), NOWHERE, body.variables) if body.spec is not None else _servers(api)
    if spec.agent != key.agent:
        raise UsageError(f"the spec is for {spec.agent}, not {key.agent}", hint="send the spec of this agent")
    if key.environment not in spec.environments:
        known = ", ".join(spec.environments)
        raise UsageError(f"the spec has no environment {key.environment}", hint=f"there are: {known}")
    return Order(here(api, key), spec, spec.environments[key.environment], api.books, api.site)


def _servers(api: Api) -> Spec:
    if api.spec is None:
        raise UsageError(
            "this server was started without a spec", hint="send one: `spec`, with the keys of tidegate.yaml"
        )
    return api.spec


def _insisting(body: DeployBody) -> Insisting:
    return Insisting(
        body.override_quarantine, body.override_freeze, body.lock_epoch, body.automatic, body.accept_breaking
    )


def own(caller: Caller, agent: str) -> str:
    """An agent's name, when the token reaches it somewhere: a release belongs to no environment. Raises AccessError."""
    if caller.token.agent not in ("", agent):
        raise AccessError(f"this token is for {caller.token.agent}")
    return agent
