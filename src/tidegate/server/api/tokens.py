"""/v1/tokens: who may use this API. For administrators."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.core import tokens
from tidegate.model.access import Role, new_secret
from tidegate.model.errors import NotFoundError, UsageError
from tidegate.server.api.parts import NAME, Administrator, Application
from tidegate.views.access import token_data

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

Identity = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$", description="The token's public id.")]


class NewToken(BaseModel):
    """What a token is to be. `seconds` is its life.

    Whoever made the secret elsewhere gives the public id and the SHA-256 of the token, and the server never sees it.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=NAME)
    role: Role
    seconds: float = Field(tokens.DEFAULT_S, ge=60, le=tokens.LONGEST_S, allow_inf_nan=False)
    agent: str = Field("", pattern=rf"^$|{NAME}")
    environment: str = Field("", pattern=rf"^$|{NAME}")
    reason: str = Field("", max_length=1000)
    id: str = Field("", pattern=r"^$|^[0-9a-f]{12}$")
    digest: str = Field("", pattern=r"^$|^[0-9a-f]{64}$")


@router.get("")
async def listing(api: Application, caller: Administrator) -> list[dict[str, Any]]:
    """Every token that was ever made, oldest first; never its secret."""
    now = api.now()
    return [token_data(token, now) for token in await api.books.access.tokens()]


@router.post("", status_code=201)
async def create(api: Application, caller: Administrator, body: NewToken) -> dict[str, Any]:
    """Make a token. `token` in the answer is shown this once; absent where the digest was given."""
    if bool(body.id) != bool(body.digest):
        raise UsageError("id and digest go together", hint="give both, or neither")
    secret, now = new_secret(), api.now()
    wanted = tokens.Wanted(body.name, body.role, body.seconds, body.agent, body.environment)
    token = tokens.make(wanted, secret, caller.name, now)
    if body.digest:
        token = replace(token, id=body.id, digest=body.digest)
    await api.books.access.add(token, tokens.made(token, body.reason, caller.token.id))
    return token_data(token, now) if body.digest else {**token_data(token, now), "token": secret[1]}


@router.delete("/{token}", status_code=204)
async def revoke(
    api: Application, caller: Administrator, token: Identity, reason: Annotated[str, Query(max_length=1000)] = ""
) -> None:
    """Refuse it from now on; this server believes it for a second more at most."""
    found = await api.books.access.find(token)
    if found is not None:
        act = tokens.revoked(found, caller.name, api.now(), reason, caller.token.id)
        if await api.books.access.revoke(token, act):
            return
    raise NotFoundError(f"there is no token {token} to revoke")
