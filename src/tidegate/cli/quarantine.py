"""quarantine, cleanup: releases that were rejected, and images that nothing needs."""

from typing import Annotated

import typer

from tidegate.cli import options
from tidegate.cli.lock import ask
from tidegate.cli.options import Where, Who


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="Releases that were rejected, and stay out until somebody says otherwise.")
    noun.command("list")(listing)
    noun.command("release")(release)
    app.add_typer(noun, name="quarantine")
    app.command()(cleanup)


def listing(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """Show what is in quarantine, and why."""
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.fleet import standing
    from tidegate.cli.output import Output
    from tidegate.views.standing import quarantine_data, quarantine_lines

    async def work() -> int:
        output = Output(as_json)
        async with open_desk(ctx.obj, Where(file, environment, agent), output) as desk:
            entries = (await standing(desk)).quarantine
            if as_json:
                output.data(quarantine_data(entries))
            else:
                output.lines(quarantine_lines(entries))
            return 0

    perform(work())


def release(
    ctx: typer.Context,
    entry: Annotated[str, typer.Argument(help="As list shows it: r7.", metavar="ENTRY")],
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Let a rejected release be deployed again; needs --reason."""
    from tidegate.model.errors import UsageError
    from tidegate.model.intent import LiftQuarantine

    number = entry.removeprefix("r")
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"{entry} is no entry of the quarantine", hint="tidegate quarantine list shows them: r7")
    ask(ctx, Where(file, environment, agent), LiftQuarantine(int(number)), (Who(by, reason), timeout), as_json)


def cleanup(
    ctx: typer.Context,
    agent: options.Agent = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and do nothing.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Remove images that Tidegate built or pulled for the agent and that no kept revision needs."""
    from tidegate.model.intent import CleanUp

    where = Where(file, environment, agent)
    if not dry_run:
        ask(ctx, where, CleanUp(), (Who(by, "cleanup"), timeout), as_json)
        return
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output
    from tidegate.core import cleanup as images
    from tidegate.views.standing import cleanup_lines

    async def work() -> int:
        output = Output(as_json)
        async with open_desk(ctx.obj, where, output) as desk:
            state, store = await desk.state(), desk.books.store
            others = [await store.load(key) for key in await store.keys() if key != desk.key]
            elsewhere = {name for other in others if other for name in images.needed(other)}
            surplus = images.surplus(state, elsewhere)
            kept = tuple(own for own in state.images if own not in surplus)
            if as_json:
                names = [[own.image.reference for own in owns] for owns in (surplus, kept)]
                output.data(dict(zip(("goes", "stays"), names, strict=True)))
            else:
                output.lines(cleanup_lines(surplus, kept))
            return 0

    perform(work())
