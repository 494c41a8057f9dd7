"""/v1/pause: the switch that pauses everything of this state."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.controller.switching import turn
from tidegate.model import codec
from tidegate.model.audit import Act
from tidegate.server.api.parts import Api, Application, Caller, Reader, Steerer

router = APIRouter(prefix="/v1/pause", tags=["pause"])


class Why(BaseModel):
    """Why everything is paused, or goes on."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=1000)


@router.get("")
async def paused(api: Application, caller: Reader) -> dict[str, Any]:
    """Who paused everything; `paused` is null while the switch is off."""
    found = await api.books.switches.paused()
    return {"paused": codec.dump(found) if found is not None else None}


@router.put("")
async def pause(api: Application, caller: Steerer, body: Why) -> dict[str, str]:
    """Pause everything: nothing begins, no weight rises."""
    return await _turn(api, caller, body.reason, True)


@router.delete("")
async def resume(
    api: Application, caller: Steerer, reason: Annotated[str, Query(max_length=1000)] = ""
) -> dict[str, str]:
    """Let everything go on."""
    return await _turn(api, caller, reason, False)


async def _turn(api: Api, caller: Caller, reason: str, on: bool) -> dict[str, str]:
    what = "pause-all" if on else "resume-all"
    act = Act(api.now(), caller.name, what, "everything", reason, caller.token.id)
    told, _ = await turn(api.books, act, on)
    return {"because": told}
