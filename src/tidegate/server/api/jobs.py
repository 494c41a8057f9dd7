"""/v1/jobs: long work of this process. 202 and where to look; what it does is safe to begin again, so none is kept."""

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from tidegate.model import codec
from tidegate.model.errors import ConflictError, NotFoundError, TidegateError
from tidegate.server.api.parts import Caller, Reader

MOST_JOBS = 200
MOST_RUNNING = 4

log = logging.getLogger(__name__)
router = APIRouter(tags=["jobs"])


@router.get("/v1/jobs/{job}")
async def job(request: Request, caller: Reader, job: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]) -> dict[str, Any]:
    """What became of long work: state running, done or failed. Forgotten when the server ends."""
    return jobs_of(request).look(job, caller)


@dataclass
class Jobs:
    """Long work of this process. What it does is safe to begin again, so that nothing of it is kept."""

    _jobs: OrderedDict[str, tuple[str, asyncio.Task[Any]]] = field(default_factory=OrderedDict)

    def begin(self, work: Coroutine[Any, Any, Any], caller: Caller) -> Response:
        """202 and where to look. Raises ConflictError when too many run."""
        if sum(not task.done() for _, task in self._jobs.values()) >= MOST_RUNNING:
            work.close()
            raise ConflictError(f"{MOST_RUNNING} jobs run already", hint="wait for one of them to end")
        identity = uuid.uuid4().hex
        self._jobs[identity] = (caller.token.id, asyncio.create_task(work))
        while len(self._jobs) > MOST_JOBS:
            self._jobs.popitem(last=False)
        return JSONResponse({"id": identity, "state": "running"}, 202, {"Location": f"/v1/jobs/{identity}"})

    def look(self, identity: str, caller: Caller) -> dict[str, Any]:
        """How it stands. Raises NotFoundError for another token's."""
        owner, task = self._jobs.get(identity, ("", None))
        if task is None or owner != caller.token.id:
            raise NotFoundError(f"there is no job {identity}", hint="a restarted server has forgotten its jobs")
        if not task.done():
            return {"id": identity, "state": "running"}
        error = task.exception() if not task.cancelled() else None
        if task.cancelled() or error is not None:
            known = isinstance(error, TidegateError)
            if error is not None and not known:
                log.error("a job failed", exc_info=error)
            why = error.message if isinstance(error, TidegateError) else "a fault of Tidegate's own"
            return {"id": identity, "state": "failed", "detail": why, "code": getattr(error, "code", "internal")}
        return {"id": identity, "state": "done", "result": codec.dump(task.result())}


def jobs_of(request: Request) -> Jobs:
    """The application's."""
    jobs: Jobs = request.app.state.jobs
    return jobs
