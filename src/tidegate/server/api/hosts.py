"""The environment's host: previews, logs, images, builds, the gateway. Long work is a job: 202 and where to look."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.controller.preview import Preview
from tidegate.model import codec
from tidegate.model.access import Right
from tidegate.model.audit import Act
from tidegate.model.errors import AccessError, ConflictError, NotFoundError, UnreachableError, UsageError
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Intent
from tidegate.model.policy import Endpoint
from tidegate.model.release import AgentKey
from tidegate.server.api.agents import state_of
from tidegate.server.api.intents import loaded
from tidegate.server.api.jobs import jobs_of
from tidegate.server.api.masking import shown_to
from tidegate.server.api.parts import Api, Application, Caller, Deliverer, EnvironmentName, Key, Reader, Steerer
from tidegate.server.api.releases import here
from tidegate.server.api.streams import EventStream

ONE = "/v1/environments/{environment}/agents/{agent}"
PLACE = "/v1/environments/{environment}"
router = APIRouter(tags=["hosts"])

Instance = Annotated[str, Query(pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9_.@-]{0,199}$")]
OneInstance = Annotated[str, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,199}$")]
Lines = Annotated[int, Query(ge=1, le=10_000)]
ImageName = Annotated[str, Query(min_length=1, max_length=300, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/@-]*$")]


class PreviewBody(BaseModel):
    """A dry turn, as if this were asked: an action in plain form. `probes_s`: how long to wait for probes."""

    model_config = ConfigDict(extra="forbid")

    action: dict[str, Any] | None = None
    probes_s: float = Field(0.0, ge=0, le=5, allow_inf_nan=False)


class TrialBody(BaseModel):
    """A receiver of notices in plain form (model/policy.py, Endpoint)."""

    model_config = ConfigDict(extra="forbid")

    endpoint: dict[str, Any]


@router.post(f"{ONE}/preview")
async def preview(api: Application, caller: Reader, key: Key, body: PreviewBody) -> Any:
    """What is seen, what would be decided, which operations would follow; nothing is saved and nothing touched."""
    intents: tuple[Intent, ...] = ()
    if body.action is not None:
        if not caller.token.may(Right.DELIVER):
            raise AccessError(f"a token with the role {caller.token.role} may only look at what is")
        plain = {"id": "preview", "key": codec.dump(key), "action": body.action, "by": caller.name, "at": api.now()}
        intents = (loaded(plain, Intent),)
    seen: Preview = await api.site.preview(here(api, key), intents, body.probes_s)
    return shown_to(caller, codec.dump(seen, Preview))


@router.get(f"{ONE}/logs")
async def logs(
    api: Application,
    caller: Reader,
    key: Key,
    instance: Instance = "",
    lines: Lines = 50,
) -> list[dict[str, str]]:
    """The last lines of each instance."""
    observed = (await api.site.preview(here(api, key))).observation
    if not observed.reachable:
        raise UnreachableError(observed.detail)
    names = [one.name for one in observed.instances if instance in ("", one.name)]
    if not names:
        raise NotFoundError(f"{key} has no such instance", hint="GET .../status lists them")
    return [
        {"instance": name, "line": text}
        for name in sorted(names)
        for text in await api.site.ports.platform.logs(name, lines)
    ]


@router.get(f"{ONE}/logs/stream", response_class=Response, responses={200: {"content": {"text/event-stream": {}}}})
async def follow(api: Application, caller: Reader, key: Key, instance: OneInstance, lines: Lines = 50) -> Response:
    """One instance's log as it is written, as server-sent events."""
    _mine(here(api, key), instance)
    begun = api.site.follow(instance, lines)
    first = await anext(begun, None)

    async def told() -> AsyncIterator[str]:
        if first is not None:
            yield _message(instance, first)
        async for text in begun:
            yield _message(instance, text)

    return EventStream(told(), api.measures)


@router.post(f"{ONE}/notices/trial", status_code=204)
async def trial(api: Application, caller: Steerer, key: Key, body: TrialBody) -> None:
    """Send a trial notice to a receiver in plain form, as tidegate.yaml has it: one attempt."""
    notifier = api.site.ports.notifier
    if notifier is None:
        raise UsageError("this platform sends no notices")
    receiver: Endpoint = loaded(body.endpoint, Endpoint)
    await _audit(api, caller, "notice-trial", f"{here(api, key)}/{receiver.name[:100]}", "")
    text = f"A trial of Tidegate's notices for {key}."
    await notifier.deliver(receiver, 0, Event(api.now(), key, EventKind.NOTICE, text, 0))


@router.get(f"{ONE}/backups")
async def backups(
    api: Application,
    caller: Deliverer,
    key: Key,
    backup: Annotated[str, Query(max_length=200, pattern=r"^[A-Za-z0-9_.:-]*$")] = "",
    volume: Annotated[list[str] | None, Query(max_length=50)] = None,
) -> list[str]:
    """The backups of an agent; of one backup: what was written since."""
    await state_of(api, key)
    return list(await api.site.backups(here(api, key), backup, tuple(volume or ())))


@router.get(f"{PLACE}/image")
async def image(api: Application, caller: Deliverer, environment: EnvironmentName, reference: ImageName) -> Any:
    """An image as the host knows it; without digests where it is not there."""
    _place(api, environment)
    return codec.dump(await api.site.image(reference))


@router.get(f"{PLACE}/gateway")
async def gateway(api: Application, caller: Reader, environment: EnvironmentName) -> dict[str, Any]:
    """The host's gateway: whether it runs, whether it is outdated, whose routes it has."""
    _place(api, environment)
    seen = await api.site.ports.gateway.observe(AgentKey("", environment))
    agents = [codec.dump(key) for key in await api.site.data_plane.agents() if caller.sees(key)]
    outdated = seen.running and await api.site.data_plane.outdated()
    return {"running": seen.running, "outdated": outdated, "agents": agents, "detail": seen.detail}


class ReasonBody(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=1000)


@router.post(f"{PLACE}/gateway/upgrade", status_code=202)
async def upgrade(
    request: Request, api: Application, caller: Steerer, environment: EnvironmentName, body: ReasonBody
) -> Response:
    """Replace the gateway without a lost request: a job, whose result is the number of long connections cut."""
    _place(api, environment)
    await _audit(api, caller, "gateway-upgrade", environment, body.reason)
    return jobs_of(request).begin(api.site.data_plane.replace(), caller)


@router.post(f"{PLACE}/gateway/stop", status_code=202)
async def stop(
    request: Request, api: Application, caller: Steerer, environment: EnvironmentName, body: ReasonBody
) -> Response:
    """Drain it and take it away: a job. Whether agents have routes is for whoever asks to look at."""
    _place(api, environment)
    await _audit(api, caller, "gateway-stop", environment, body.reason)
    return jobs_of(request).begin(api.site.data_plane.stop(), caller)


@router.post(f"{PLACE}/gateway/purge", status_code=204)
async def purge(api: Application, caller: Steerer, environment: EnvironmentName, body: ReasonBody) -> None:
    """Remove what a gateway that was stopped left: its volume, and the agents' network."""
    _place(api, environment)
    await _audit(api, caller, "gateway-purge", environment, body.reason)
    await api.site.data_plane.purge()
    await api.site.forget_network()


async def _audit(api: Api, caller: Caller, what: str, on: str, why: str) -> None:
    await api.books.audit.record(Act(api.now(), caller.name, what, on, why, caller.token.id))


def _message(instance: str, text: str) -> str:
    return f"data: {json.dumps({'instance': instance, 'line': text})}\n\n"


def _mine(key: AgentKey, instance: str) -> None:
    """Instances carry their agent's name. Raises NotFoundError for another's."""
    if not instance.startswith(f"{key.agent}.{key.environment}.r"):
        raise NotFoundError(f"{key} has no such instance", hint="GET .../status lists them")


def _place(api: Api, environment: str) -> None:
    if environment != api.place.name:
        raise ConflictError(f"this server looks after {api.place.name}, not {environment}")
