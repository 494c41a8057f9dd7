"""agents config, agents task, agents restart; agents orders, agents withdraw: what agents are asked to do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Who

if TYPE_CHECKING:
    from tidegate.model.order import Selector, Work

Agent = Annotated[str, typer.Option("--agent", "-a", help="Instances of this agent.", metavar="NAME")]
Environment = Annotated[str, typer.Option("--environment", "-e", help="In this environment.", metavar="NAME")]
Instance = Annotated[str, typer.Option("--instance", "-i", help="Only this one.", metavar="NAME")]
Deadline = Annotated[float, typer.Option("--deadline", help="Seconds to wait for an answer.", min=1.0, metavar="S")]


def register(noun: typer.Typer) -> None:
    """Add the commands."""
    noun.command("config")(config)
    noun.command("task")(task)
    noun.command("restart")(restart)
    noun.command("orders")(orders)
    noun.command("withdraw")(withdraw)


def config(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="All files of the configuration.", metavar="FILE...")],
    agent: Agent = "",
    environment: Environment = "",
    instance: Instance = "",
    label: options.Label = None,
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Offer it again to who reports another one later, or only tell.")
    ] = True,
    reason: options.Reason = "",
    by: options.By = "",
    as_json: options.Json = False,
) -> None:
    """Offer a configuration: whoever is meant gets it, now or when it reports next, until it says what became of it.

    The newest offer that is meant for an instance holds, until it is withdrawn.
    """
    from tidegate.model.order import ConfigText, Configure

    found = {path.name: ConfigText(*_read(path)) for path in files}
    _give(ctx, _selector(agent, environment, instance, label), Configure(found, keep), Who(by, reason), as_json)


def task(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The task's name, as the agent knows it.", metavar="NAME")],
    agent: Agent = "",
    environment: Environment = "",
    instance: Instance = "",
    label: options.Label = None,
    arguments: Annotated[str, typer.Option("--arguments", help="A JSON object.", metavar="JSON")] = "{}",
    cron: Annotated[str, typer.Option("--cron", help="When, as in '*/5 * * * *'; else at once.", metavar="EXPR")] = "",
    zone: Annotated[str, typer.Option("--zone", help="The schedule's time zone.", metavar="ZONE")] = "UTC",
    deadline: Deadline = 300.0,
    reason: options.Reason = "",
    by: options.By = "",
    as_json: options.Json = False,
) -> None:
    """Hand a task to agents, at once or on a schedule: each time at most once an instance, with a deadline."""
    from tidegate.model.order import RunTask

    work = RunTask(name, arguments, cron, zone, deadline)
    _give(ctx, _selector(agent, environment, instance, label), work, Who(by, reason), as_json)


def restart(
    ctx: typer.Context,
    agent: Agent = "",
    environment: Environment = "",
    instance: Instance = "",
    label: options.Label = None,
    deadline: Deadline = 300.0,
    reason: options.Reason = "",
    by: options.By = "",
    as_json: options.Json = False,
) -> None:
    """Ask agents to start again: by OpAMP's command, or (JSON) by ending, where something starts them anew."""
    from tidegate.model.order import Restart

    _give(ctx, _selector(agent, environment, instance, label), Restart(deadline), Who(by, reason), as_json)


def orders(
    ctx: typer.Context,
    order: Annotated[str, typer.Argument(help="One of them, with what became of it.", metavar="[ORDER]")] = "",
    as_json: options.Json = False,
) -> None:
    """What agents were asked to do; of one of them, what each instance made of it."""
    from dataclasses import asdict

    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.model.errors import NotFoundError
    from tidegate.views.orders import order_lines, run_lines

    async def work() -> int:
        output, books = Output(as_json), await ctx.obj.books()
        try:
            known = await books.orders.orders()
            chosen = [one for one in known if one.id == order] if order else known
            runs = await books.orders.runs(order) if order else []
        finally:
            await books.close()
        if order and not chosen:
            raise NotFoundError(f"there is no order {order}", hint="tidegate agents orders lists them")
        if as_json:
            rows = [{"order": one.id, "kind": type(one.work).__name__, **asdict(one)} for one in chosen]
            output.data({**rows[0], "runs": [{"id": run.id, **asdict(run)} for run in runs]} if order else rows)
        elif chosen:
            output.lines([*order_lines(chosen), *(run_lines(runs) if order else ())])
        else:
            output.message("agents were never asked to do anything")
        return 0

    perform(work())


def withdraw(
    ctx: typer.Context,
    order: Annotated[str, typer.Argument(help="Its id.", metavar="ORDER")],
    reason: options.Reason = "",
    by: options.By = "",
) -> None:
    """Take an order back: nothing is handed out for it any more. What agents have begun or applied stays."""
    import time

    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.controller.ordering import withdraw as take_back
    from tidegate.model.audit import Act

    async def work() -> int:
        books = await ctx.obj.books()
        try:
            await take_back(books, order, Act(time.time(), Who(by).name, "withdraw", order, reason))
        finally:
            await books.close()
        Output().message(f"{order} is withdrawn")
        return 0

    perform(work())


def _give(ctx: typer.Context, selector: "Selector", work: "Work", who: Who, as_json: bool) -> None:
    import secrets
    import time
    from dataclasses import asdict

    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.controller.ordering import give
    from tidegate.model.order import Order

    order = Order(f"o{secrets.token_hex(4)}", selector, work, time.time(), who.name, who.reason)

    async def ask() -> int:
        output, books = Output(as_json), await ctx.obj.books()
        try:
            await give(books, order, "command line")
        finally:
            await books.close()
        if as_json:
            output.data({"order": order.id, "kind": type(work).__name__, **asdict(order)})
        else:
            print(order.id)
            output.message(f"asked of {selector}; tidegate agents orders {order.id} shows what becomes of it")
        return 0

    perform(ask())


def _selector(agent: str, environment: str, instance: str, label: list[str] | None) -> "Selector":
    from tidegate.model.order import Selector

    return Selector(agent, environment, instance, options.labels(label))


TYPES = {".yaml": "text/yaml", ".yml": "text/yaml", ".json": "application/json", ".toml": "application/toml"}


def _read(path: Path) -> tuple[str, str]:
    """Text and type of a configuration file. Raises UsageError."""
    from tidegate.model.errors import UsageError

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{path} cannot be read: {why}") from None
    return text, TYPES.get(path.suffix, "text/plain")
