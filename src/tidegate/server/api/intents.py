"""/v1/intents, and intents in plain form: what the command line sends when it has read the spec on its machine."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tidegate.model import codec
from tidegate.model.errors import AccessError, NotFoundError, UsageError
from tidegate.model.intent import Adopt, Deploy, DeployFleet
from tidegate.model.release import AgentKey
from tidegate.server.api.asking import IdempotencyKey, ask, intent_data
from tidegate.server.api.parts import Application, Deliverer, Key, Reader

router = APIRouter(tags=["intents"])

Identity = Annotated[str, Path(pattern=r"^[A-Za-z0-9._@:-]{1,300}$")]


class PlainIntent(BaseModel):
    """An action as model/intent.py has it, with its class's name as `type`: deploy, deploy to a fleet, adopt."""

    model_config = ConfigDict(extra="forbid")

    action: dict[str, Any]
    reason: str = Field("", max_length=1000)


@router.get("/v1/intents/{intent}")
async def find(api: Application, caller: Reader, intent: Identity) -> Any:
    """What was asked, and what became of it: `answer` is null while it is open."""
    found = await api.books.store.find_intent(intent)
    if found is None or not caller.sees(found.key):
        raise NotFoundError(f"there is no intent {intent}")
    return intent_data(found, await api.books.store.answer(intent))


@router.post("/v1/environments/{environment}/agents/{agent}/intents", status_code=202)
async def submit(
    request: Request,
    api: Application,
    caller: Deliverer,
    key: Key,
    body: PlainIntent,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask for a deployment that was put together elsewhere. Whoever may do this may run anything on the host."""
    action = action_of(body.action, key)
    release = action.deploy.release if isinstance(action, DeployFleet) else action.release
    await api.books.journal.add_release(release)
    return await ask(request, caller, key, action, body.reason)


def action_of(plain: dict[str, Any], key: AgentKey) -> Deploy | DeployFleet | Adopt:
    """The action of a plain form. Raises UsageError for what is none, AccessError for another agent's release."""
    kinds: dict[str, type[Deploy] | type[DeployFleet] | type[Adopt]] = {
        "Deploy": Deploy,
        "DeployFleet": DeployFleet,
        "Adopt": Adopt,
    }
    kind = kinds.get(str(plain.get("type")))
    if kind is None:
        raise UsageError(f"an intent in plain form is one of {', '.join(kinds)}", hint="other verbs have their routes")
    action: Deploy | DeployFleet | Adopt = loaded(plain, kind)
    release = action.deploy.release if isinstance(action, DeployFleet) else action.release
    if release.agent != key.agent:
        raise AccessError(f"a release of {release.agent[:50]} is none of {key.agent}")
    return action


def loaded(plain: Any, kind: type[Any]) -> Any:
    """A model value of its plain form, when it is the same again in that form. Raises UsageError."""
    try:
        value = codec.load(plain, kind)
        codec.dump(value)
    except Exception as error:
        # cattrs raises exception groups of many classes; whichever it is, the request is what is wrong.
        raise UsageError(f"this is no {kind.__name__} in plain form ({type(error).__name__})") from None
    return value
