"""history and events: what was decided and what was told, read back."""

from typing import Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(history)
    app.command()(events)


def history(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """Every revision: who, why, and how it ended."""
    from tidegate.cli.desk import perform

    perform(_history(ctx, Where(file, environment, agent), as_json))


async def _history(ctx: typer.Context, where: Where, as_json: bool) -> int:
    from dataclasses import asdict

    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.cli.reading import all_events
    from tidegate.views.events import event_data
    from tidegate.views.history import history_lines, history_of

    output = Output(as_json)
    async with open_desk(ctx.obj, where, output) as desk:
        state = await desk.state()
        log = await all_events(desk.books.journal, desk.key)
        revisions = await desk.books.journal.revisions(desk.key)
        rows = history_of(revisions, [event for _, event in log], state)
    if as_json:
        told = [event_data(sequence, event) for sequence, event in log]
        output.data(
            {
                "agent": desk.key.agent,
                "environment": desk.key.environment,
                "revisions": [asdict(row) for row in rows],
                "events": told,
            }
        )
    else:
        output.lines(history_lines(rows))
    return 0


def events(
    ctx: typer.Context,
    agent: options.Agent = "",
    after: Annotated[int, typer.Option("--after", help="Only those after this number.", min=0, metavar="SEQ")] = 0,
    last: Annotated[int, typer.Option("--last", "-n", help="Only the last ones; 0: all.", min=0, metavar="N")] = 100,
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """The log of every decision and operation.

    Each with its cause. With --json one document a line.
    """
    from tidegate.cli.desk import perform

    perform(_events(ctx, Where(file, environment, agent), (after, last), as_json))


async def _events(ctx: typer.Context, where: Where, span: tuple[int, int], as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.cli.reading import all_events
    from tidegate.views.events import event_data, event_lines

    output, (after, last) = Output(as_json), span
    async with open_desk(ctx.obj, where, output) as desk:
        log = (await all_events(desk.books.journal, desk.key, after))[-last:]
    if as_json:
        for sequence, event in log:
            output.record(event_data(sequence, event))
    else:
        output.lines(event_lines((event for _, event in log), whole=True))
    return 0
