"""Records of agents, and orders: what agents say of themselves, what they are asked to do, what became of it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.controller.ordering import give, withdraw
from tidegate.model import codec
from tidegate.model.audit import Act
from tidegate.model.errors import AccessError, ConflictError, NotFoundError
from tidegate.model.order import ConfigText, Configure, Order, Restart, RunTask, Selector, Work
from tidegate.model.release import AgentKey
from tidegate.server.api.parts import NAME, Api, Application, Caller, Key, Reader, Steerer

ONE = "/v1/environments/{environment}/agents/{agent}"
MOST_DEADLINE_S = 30 * 86400.0

router = APIRouter(tags=["orders"])

Id = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,40}$", description="The order.")]
Label = Annotated[str, Field(max_length=1000)]
Deadline = Annotated[float, Field(gt=0, le=MOST_DEADLINE_S, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewSelector(_Body):
    """Who is meant: everything that is given must fit."""

    agent: str = Field("", pattern=rf"^$|{NAME}")
    environment: str = Field("", pattern=rf"^$|{NAME}")
    instance: str = Field("", max_length=200)
    labels: dict[Label, Label] = Field({}, max_length=50)


class NewText(_Body):
    """A file of a configuration."""

    text: str = Field(max_length=1 << 20)
    content_type: str = Field("", max_length=200)


class NewConfigure(_Body):
    """Take a configuration, all of it."""

    type: Literal["Configure"]
    files: dict[Label, NewText] = Field(min_length=1, max_length=100)
    keep: bool = True


class NewRunTask(_Body):
    """Run a task, at once or on a schedule."""

    type: Literal["RunTask"]
    task: str = Field(min_length=1, max_length=200)
    arguments: str = Field("{}", max_length=20_000, description="JSON, an object.")
    cron: str = Field("", max_length=200)
    zone: str = Field("UTC", max_length=100)
    deadline_s: Deadline = 300.0


class NewRestart(_Body):
    """Start again."""

    type: Literal["Restart"]
    deadline_s: Deadline = 300.0


class NewOrder(_Body):
    """What is asked of whom. Giving the same id twice is one order."""

    id: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    selector: NewSelector
    work: NewConfigure | NewRunTask | NewRestart = Field(discriminator="type")
    reason: str = Field("", max_length=1000)


@router.get("/v1/reporting")
async def reporting(api: Application, caller: Reader) -> list[Any]:
    """The names of all agents of which an instance reported."""
    return [codec.dump(key) for key in await api.books.pulses.reporting() if caller.sees(key)]


@router.get(f"{ONE}/records")
async def records(api: Application, caller: Reader, key: Key) -> list[Any]:
    """What each instance says of itself."""
    return [codec.dump(record) for record in await api.books.records.records(key.fleet)]


@router.get(f"{ONE}/configurations/{{digest}}")
async def configuration(
    api: Application,
    caller: Steerer,
    key: Key,
    digest: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
    instance: Annotated[str, Query(max_length=200)],
) -> dict[str, str]:
    """A file of the configuration that an instance runs with; it may hold what is not for everybody."""
    found = await api.books.records.content(key.fleet, instance, digest)
    if found is None:
        raise NotFoundError(f"{instance} runs with no such file", hint=f"GET {ONE}/records names them")
    return {"text": found.decode(errors="replace")}


@router.get("/v1/orders")
async def orders(api: Application, caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[Any]:
    """The newest orders, oldest first, those that are over included."""
    return [codec.dump(one) for one in await api.books.orders.orders(limit) if _sees(caller, one.selector)]


@router.post("/v1/orders", status_code=201)
async def order(api: Application, caller: Steerer, body: NewOrder) -> Any:
    """Ask agents to do something."""
    selector = Selector(**body.selector.model_dump())
    if not _sees(caller, selector):
        raise AccessError("this token is for one agent in one environment: the selector must name them")
    given = Order(body.id, selector, _work(body), api.now(), caller.name, body.reason)
    known = next((one for one in await api.books.orders.orders(1000) if one.id == body.id), None)
    if known is not None:
        if (known.selector, known.work) != (given.selector, given.work):
            raise ConflictError(f"order {body.id} was given before and said something else")
        return codec.dump(known)
    await give(api.books, given, caller.token.id)
    return codec.dump(given)


@router.delete("/v1/orders/{order}")
async def take_back(
    api: Application, caller: Steerer, order: Id, reason: Annotated[str, Query(max_length=1000)] = ""
) -> dict[str, str]:
    """Nothing is handed out for it any more."""
    await _find(api, caller, order)
    await withdraw(api.books, order, Act(api.now(), caller.name, "withdraw", order, reason, caller.token.id))
    return {"because": f"order {order} was withdrawn by {caller.name}"}


@router.get("/v1/orders/{order}/runs")
async def runs(api: Application, caller: Reader, order: Id) -> list[Any]:
    """What became of it, by due time and instance."""
    await _find(api, caller, order)
    return [codec.dump(run) for run in await api.books.orders.runs(order)]


async def _find(api: Api, caller: Caller, order: str) -> None:
    known = [one for one in await api.books.orders.orders(1000) if one.id == order]
    if not any(_sees(caller, one.selector) for one in known):
        raise NotFoundError(f"there is no order {order}", hint="GET /v1/orders lists them")


def _sees(caller: Caller, selector: Selector) -> bool:
    """Whether the token reaches everybody who is meant; one that is bound reaches no more than what it is bound to."""
    return caller.sees(AgentKey(selector.agent, selector.environment))


def _work(body: NewOrder) -> Work:
    match body.work:
        case NewConfigure(files=files, keep=keep):
            return Configure({name: ConfigText(file.text, file.content_type) for name, file in files.items()}, keep)
        case NewRunTask() as work:
            return RunTask(work.task, work.arguments, work.cron, work.zone, work.deadline_s)
        case NewRestart(deadline_s=deadline):
            return Restart(deadline)
