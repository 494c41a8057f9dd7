"""From a request to an intent: in the token's name, once for an Idempotency-Key, refused when it cannot be decided on.

An intent is answered by whoever decides, a moment later: 202, and where to look.
Source of Idempotency-Key: draft-ietf-httpapi-idempotency-key-header.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.responses import JSONResponse, Response

from tidegate.core.rollout import decide
from tidegate.model import codec
from tidegate.model.access import Right
from tidegate.model.audit import verb
from tidegate.model.decision import Facts
from tidegate.model.errors import AccessError, ConflictError, NotFoundError, UsageError
from tidegate.model.intent import Abort, Action, Adopt, Answer, Deploy, DeployFleet, Intent, Retry, Undo
from tidegate.model.observation import Observation
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.server.api.answers import stale
from tidegate.server.api.parts import Api, Caller

DELIVERIES = (Deploy, DeployFleet, Undo, Retry, Abort)
"""What brings a release or takes it back. Everything else steers, and needs that right."""

OF_A_KEY = uuid.UUID("4f0c9a52-8c5b-5d0e-9d55-2b1f1b7f3a10")

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="The same key again: the same intent, not a second one."),
]


async def ask(request: Request, caller: Caller, key: AgentKey, action: Action, reason: str) -> Response:
    """Write the intent that a request amounts to. Raises AccessError, ConflictError, NotFoundError, UsageError."""
    api: Api = request.app.state.api
    _may(caller, action)
    if key.environment != api.place.name:
        raise ConflictError(
            f"this server decides in {api.place.name}, and nobody would answer for {key.environment}",
            hint="ask the server of that environment",
        )
    state = await _known(api, key, action)
    refusal = stale(request, codec.dump(state)) if state is not None else None
    if refusal is not None:
        return refusal
    if caller.token.role == "ci" and isinstance(action, Deploy):
        action = replace(action, automatic=True)
    given = request.headers.get("idempotency-key")
    identity = uuid.uuid5(OF_A_KEY, f"{caller.token.id}/{given}") if given else uuid.uuid4()
    intent = Intent(identity.hex, key, action, caller.name, api.now(), reason, caller.token.id)
    return accepted(await _submit(api, intent, state))


def accepted(intent: Intent) -> Response:
    """202 and where to look what became of it."""
    return JSONResponse(intent_data(intent, None), 202, {"Location": f"/v1/intents/{intent.id}"})


def intent_data(intent: Intent, answer: Answer | None) -> Mapping[str, Any]:
    """An intent and what became of it, as plain data."""
    return {
        "id": intent.id,
        "agent": intent.key.agent,
        "environment": intent.key.environment,
        "host": intent.key.host,
        "action": verb(type(intent.action)),
        "by": intent.by,
        "at": intent.at,
        "reason": intent.reason,
        "answer": codec.dump(answer) if answer is not None else None,
    }


def _may(caller: Caller, action: Action) -> None:
    """Whether the token's role may ask for this, overrides included."""
    deploy = action.deploy if isinstance(action, DeployFleet) else action
    insists = [
        name for name in ("override_quarantine", "override_freeze", "accept_breaking") if getattr(deploy, name, False)
    ]
    if (insists or not isinstance(action, DELIVERIES)) and not caller.token.may(Right.STEER):
        what = insists[0] if insists else verb(type(action))
        raise AccessError(f"a token with the role {caller.token.role} may not ask for {what.replace('_', '-')}")


async def _known(api: Api, key: AgentKey, action: Action) -> AgentState | None:
    """The state that an intent is about. Raises NotFoundError where there is none and there must be one."""
    state = await api.books.store.load(key)
    begins = isinstance(action, Deploy | DeployFleet | Adopt)
    if state is None and not begins and key not in await api.books.store.keys():
        raise NotFoundError(f"{key}: nothing was ever deployed", hint="deploy begins")
    return state


async def _submit(api: Api, intent: Intent, state: AgentState | None) -> Intent:
    """Write it, unless the same key brought the same one before."""
    found = await api.books.store.find_intent(intent.id)
    if found is None:
        decidable(intent, state or AgentState(intent.key))
        try:
            await api.books.store.submit(intent)
        except ConflictError:
            found = await api.books.store.find_intent(intent.id)
    if found is not None and _content(found) != _content(intent):
        raise UsageError("this Idempotency-Key came before with another request", hint="a new request has a new key")
    return found or intent


def decidable(intent: Intent, state: AgentState) -> None:
    """One dry decision. Raises UsageError for what nobody could ever decide on: it must not reach the loop."""
    if isinstance(intent.action, DeployFleet):
        return
    away = Observation(intent.at, reachable=False)
    try:
        decide(state, Facts(intent.at, away, intents=(intent,)))
    except Exception as error:
        what = verb(type(intent.action))
        raise UsageError(f"{what}: this cannot be decided on ({type(error).__name__})") from None


def _content(intent: Intent) -> Any:
    """What of an intent is the request's: not when it came, nor what follows from that."""
    plain = codec.dump(replace(intent, id="", at=0.0))
    return _without_times(plain)


def _without_times(plain: Any) -> Any:
    if isinstance(plain, Mapping):
        return {name: _without_times(value) for name, value in plain.items() if name != "created_at"}
    return [_without_times(one) for one in plain] if isinstance(plain, list | tuple) else plain
