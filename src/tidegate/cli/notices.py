"""notices: who is told of every end, how far they were told, and a trial."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk
    from tidegate.model.policy import Endpoint


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="Who is told of every end.")
    noun.command("list")(listing)
    noun.command("test")(trial)
    app.add_typer(noun, name="notices")


def listing(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """Show the receivers in force, and how many notices each still waits for."""
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.fleet import standing
    from tidegate.cli.output import Output
    from tidegate.views.lines import line, table

    async def work() -> int:
        output = Output(as_json)
        async with open_desk(ctx.obj, Where(file, environment, agent), output) as desk:
            state = await standing(desk)
            rows = [
                (one.name, one.channel.value, await _waiting(desk, one, state.told_since)) for one in state.endpoints
            ]
            if as_json:
                output.data([{"name": name, "channel": channel, "waiting": count} for name, channel, count in rows])
            elif rows:
                cells = [(name, channel, str(count)) for name, channel, count in rows]
                output.lines(table(cells, ("receiver", "channel", "waiting")))
            else:
                output.lines([line("nobody is told; notify in tidegate.yaml names receivers, from the next deploy on")])
            return 0

    perform(work())


async def _waiting(desk: "Desk", endpoint: "Endpoint", since: float) -> int:
    from tidegate.cli.reading import all_events
    from tidegate.core.notices import concerns

    position = await desk.books.outbox.position(f"{desk.key}/{endpoint.name}") or 0
    events = await all_events(desk.books.journal, desk.key, position)
    return sum(1 for _, event in events if concerns(endpoint, event, since))


def trial(
    ctx: typer.Context,
    receiver: Annotated[str, typer.Argument(help="A receiver's name; by default all of the spec's.")] = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """Send a trial notice to the receivers that the spec names: one attempt each."""
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output
    from tidegate.model.errors import NotFoundError, TidegateError
    from tidegate.model.event import Event, EventKind
    from tidegate.views.lines import Span, table

    async def work() -> int:
        output = Output(as_json)
        async with open_desk(ctx.obj, Where(file, environment, ""), output) as desk, desk.site() as site:
            desk.spec()
            known = desk.target.environment.policy.notify
            chosen = [one for one in known if receiver in ("", one.name)]
            if not chosen or site.ports.notifier is None:
                names = ", ".join(one.name for one in known) or "none"
                raise NotFoundError(f"there is no receiver {receiver}".rstrip(), hint=f"there are: {names}")
            now, results = site.ports.clock.now(), []
            event = Event(now, desk.key, EventKind.NOTICE, f"A trial of Tidegate's notices for {desk.key}.", 0)
            for one in chosen:
                try:
                    await site.ports.notifier.deliver(one, 0, event)
                    results.append((one.name, "told", ""))
                except TidegateError as error:
                    results.append((one.name, "failed", error.message))
            if as_json:
                output.data([{"name": name, "outcome": outcome, "why": why} for name, outcome, why in results])
            else:
                tones = {"told": "green", "failed": "red"}
                output.lines(table([(name, Span(outcome, tones[outcome]), why) for name, outcome, why in results]))
            return 1 if any(outcome == "failed" for _, outcome, _ in results) else 0

    perform(work())
