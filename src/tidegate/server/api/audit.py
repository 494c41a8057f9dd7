"""/v1/audit: who did what and why, to read and to verify elsewhere. For administrators."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from tidegate.server.api.parts import MOST_NUMBER, Administrator, Application
from tidegate.views.access import entry_data

router = APIRouter(prefix="/v1/audit", tags=["audit"])

After = Annotated[int, Query(ge=0, le=MOST_NUMBER, description="Only entries with a higher number.")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("")
async def entries(api: Application, caller: Administrator, after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
    """Entries, oldest first, with what was hashed; `head` is the end of the chain as of now."""
    found = await api.books.audit.entries(after, limit)
    return {"entries": [entry_data(entry) for entry in found], "head": str(await api.books.audit.head())}


@router.get("/head")
async def head(api: Application, caller: Administrator) -> dict[str, str]:
    """The end of the chain: keep it elsewhere, and compare (`tidegate audit verify --head`)."""
    return {"head": str(await api.books.audit.head())}
