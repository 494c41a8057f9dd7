"""trim: forget old measurements."""

from typing import Annotated

import typer

from tidegate.cli import options

Keep = Annotated[int, typer.Option("--keep", help="Days to keep.", min=1, metavar="DAYS")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trim)


def trim(ctx: typer.Context, keep: Keep = 90, as_json: options.Json = False) -> None:
    """Forget old measurement blocks of every agent in this state.

    The event log, revisions, and the blocks of each agent's last rollout stay. `tidegate serve --keep DAYS` trims by
    itself.
    """
    from tidegate.cli.desk import perform

    perform(_trim(ctx, keep, as_json))


async def _trim(ctx: typer.Context, keep: int, as_json: bool) -> int:
    import time

    from tidegate.cli.output import Output
    from tidegate.cli.toolbox import Toolbox
    from tidegate.controller.trimming import DAY_S
    from tidegate.controller.trimming import trim as forget
    from tidegate.views.lines import line

    toolbox: Toolbox = ctx.obj
    output, books = Output(as_json), await toolbox.books()
    try:
        gone = await forget(books.store, books.journal, time.time(), keep * DAY_S)
        compacted = await books.compact()
    finally:
        await books.close()
    if as_json:
        output.data({"blocks": gone, "compacted": compacted})
    else:
        output.lines([line(f"forgot {gone:,} measurement blocks older than {keep} days")])
    return 0
