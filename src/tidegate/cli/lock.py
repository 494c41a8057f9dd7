"""lock, unlock, acknowledge: who may deploy."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from tidegate.model.intent import Action


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (lock, unlock, acknowledge):
        app.command()(command)


def lock(
    ctx: typer.Context,
    agent: options.Agent = "",
    lasting: Annotated[str, typer.Option("--for", help="How long: 30m, 2h.", metavar="DURATION")] = "2h",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Let nobody else deploy for a time. Abort, rollback and undo stay open to everybody."""
    from tidegate.model.errors import UsageError
    from tidegate.model.intent import TakeLock
    from tidegate.spec.scalars import duration

    try:
        seconds = duration(lasting)
    except ValueError:
        raise UsageError(f"--for {lasting} is no duration", hint="write 30m or 2h") from None
    ask(ctx, Where(file, environment, agent), TakeLock(seconds), (Who(by, reason), timeout), as_json)


def unlock(
    ctx: typer.Context,
    agent: options.Agent = "",
    force: Annotated[bool, typer.Option("--force", help="Take another's lock away; needs --reason.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Give the lock back."""
    from tidegate.model.intent import Unlock

    ask(ctx, Where(file, environment, agent), Unlock(force), (Who(by, reason), timeout), as_json)


def acknowledge(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Say that a rollback was looked at: automatic deliveries may go on."""
    from tidegate.model.intent import Acknowledge

    ask(ctx, Where(file, environment, agent), Acknowledge(), (Who(by, reason), timeout), as_json)


def ask(ctx: typer.Context, where: Where, action: "Action", asked: tuple[Who, float | None], as_json: bool) -> None:
    """Ask for something that is answered at once."""
    from tidegate.cli.asking import Asking, ask_short
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output

    async def work() -> int:
        async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
            return await ask_short(desk, site, action, Asking(*asked))

    perform(work())
