"""promote, pause, resume, abort, weight: a person's words to the rollout under way."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from tidegate.model.intent import Action


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (promote, pause, resume, abort, weight):
        app.command()(command)


def promote(
    ctx: typer.Context,
    agent: options.Agent = "",
    full: Annotated[bool, typer.Option("--full", help="Skip every step that is left.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Skip the step or pause under way.

    A person's word stands in for the evidence; the history names the person.
    """
    from tidegate.model.intent import Promote

    say(ctx, Where(file, environment, agent), Promote(full), Who(by, reason), timeout, as_json)


def pause(
    ctx: typer.Context,
    agent: options.Agent = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Everything of this state: nothing begins, no weight rises.")
    ] = False,
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Hold the rollout as it is, traffic and all."""
    if everything:
        _switch(ctx, Who(by, reason), True, as_json)
        return
    from tidegate.model.intent import Pause

    say(ctx, Where(file, environment, agent), Pause(), Who(by, reason), timeout, as_json)


def resume(
    ctx: typer.Context,
    agent: options.Agent = "",
    everything: Annotated[bool, typer.Option("--all", help="Turn pause --all off again.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Go on with a rollout that was paused or left."""
    if everything:
        _switch(ctx, Who(by, reason), False, as_json)
        return
    from tidegate.model.intent import Resume

    say(ctx, Where(file, environment, agent), Resume(), Who(by, reason), timeout, as_json)


def abort(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Traffic back to stable at once, then the rollout stops."""
    from tidegate.model.intent import Abort

    say(ctx, Where(file, environment, agent), Abort(), Who(by, reason), timeout, as_json)


def weight(
    ctx: typer.Context,
    percent: Annotated[int, typer.Argument(help="Percent of the requests.", min=0, max=100)],
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Send this share to the canary now, by hand.

    In force once the instances for it are ready; the next set_weight goes on from there. Never up on bad evidence.
    """
    from tidegate.cli.asking import Asking, ask_short
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.follow import Progress
    from tidegate.cli.output import Output
    from tidegate.model.intent import SetWeight

    def done(progress: Progress) -> bool:
        rollout = progress.state.active if progress.state is not None else None
        return rollout is None or rollout.wish is None

    async def work() -> int:
        async with open_desk(ctx.obj, Where(file, environment, agent), Output(as_json)) as desk, desk.site() as site:
            return await ask_short(desk, site, SetWeight(percent), Asking(Who(by, reason), timeout), done)

    perform(work())


def say(ctx: typer.Context, where: Where, action: "Action", who: Who, timeout: float | None, as_json: bool) -> None:
    """Give a person's word to the rollout under way."""
    from tidegate.cli.asking import Asking, ask_rollout, ask_short
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output
    from tidegate.model.intent import Pause, Resume
    from tidegate.model.rollout import Phase

    async def work() -> int:
        async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
            asking = Asking(who, timeout)
            if isinstance(action, Pause):
                return await ask_short(desk, site, action, asking)
            under_way = (await desk.state()).active
            left = isinstance(action, Resume) and under_way is not None and under_way.phase is not Phase.PAUSED
            return await ask_rollout(desk, site, None if left else action, asking)

    perform(work())


def _switch(ctx: typer.Context, who: Who, on: bool, as_json: bool) -> None:
    """The switch for everything: whoever decides sees it at the next turn. It needs no controller to be set."""
    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.views.lines import line

    async def work() -> int:
        import time

        from tidegate.controller.switching import turn
        from tidegate.model.audit import Act

        output, books = Output(as_json), await ctx.obj.books()
        try:
            act = Act(time.time(), who.name, "pause-all" if on else "resume-all", "everything", who.reason)
            text, keys = await turn(books, act, on)
            if as_json:
                output.data({"paused": on, "by": who.name, "reason": who.reason, "agents": [str(key) for key in keys]})
            else:
                output.lines([line(f"{text} ({len(keys)} agents)")])
            return 0
        finally:
            await books.close()

    perform(work())
