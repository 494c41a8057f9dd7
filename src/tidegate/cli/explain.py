"""explain: why it ended as it did."""

import typer

from tidegate.cli import options
from tidegate.cli.options import Where


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """Why the last rollout ended as it did.

    The verdict, the metric and its numbers, the last log lines, and the timeline.
    """
    from tidegate.cli.desk import perform

    perform(_explain(ctx, Where(file, environment, agent), as_json))


async def _explain(ctx: typer.Context, where: Where, as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.cli.reading import all_events
    from tidegate.views import explain as view

    output = Output(as_json)
    async with open_desk(ctx.obj, where, output) as desk:
        state = await desk.state()
        events = [event for _, event in await all_events(desk.books.journal, desk.key)]
    story = view.explain(state, events)
    if as_json:
        output.data(view.explanation_data(story))
    else:
        output.lines(view.explanation_lines(story))
    return 0
