"""logs, restart, scale: the instances of an agent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk
    from tidegate.cli.follow import Progress
    from tidegate.controller.site import Site
    from tidegate.model.intent import Action
    from tidegate.model.observation import ObservedInstance


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(logs)
    app.command()(restart)
    app.command()(scale)


def logs(
    ctx: typer.Context,
    agent: options.Agent = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as new lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Last lines of each.", min=1, metavar="N")] = 50,
    instance: Annotated[str, typer.Option("--instance", "-i", help="Only this one.", metavar="NAME")] = "",
    file: Annotated[Path | None, typer.Option("--file", help="The spec.", metavar="PATH")] = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """What the instances write.

    Each line with its instance's name. Here -f follows; the spec is --file.
    """
    from tidegate.cli.desk import perform

    perform(_logs(ctx, Where(file, environment, agent), (instance, lines, follow), as_json))


async def _logs(ctx: typer.Context, where: Where, what: tuple[str, int, bool], as_json: bool) -> int:
    import asyncio

    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output

    instance, count, follow = what
    output = Output(as_json)
    async with open_desk(ctx.obj, where, output) as desk, desk.site() as site:
        names = await _names(desk, site, instance)
        if follow:
            await asyncio.gather(*(_follow(site, name, count, output) for name in names))
            return 0
        for name in names:
            for text in await site.ports.platform.logs(name, count):
                _put(name, text, output)
    return 0


async def _names(desk: "Desk", site: "Site", instance: str) -> list[str]:
    from tidegate.model.errors import NotFoundError, UnreachableError

    observed = (await site.preview(desk.key)).observation
    if not observed.reachable:
        raise UnreachableError(observed.detail, hint="tidegate doctor says what is missing")
    names = sorted(one.name for one in observed.instances)
    chosen = [name for name in names if instance in ("", name)]
    if not chosen:
        raise NotFoundError(
            f"{desk.key} has no instance {instance}".rstrip(), hint=f"there are: {', '.join(names) or 'none'}"
        )
    return chosen


async def _follow(site: "Site", name: str, count: int, output: object) -> None:
    async for text in site.follow(name, count):
        _put(name, text, output)


def _put(name: str, text: str, output: object) -> None:
    from tidegate.cli.output import Output
    from tidegate.views.lines import Span, line

    assert isinstance(output, Output)
    if output.as_json:
        output.record({"instance": name, "line": text})
    else:
        output.lines([line(Span(f"{name}  ", "dim"), text)])


def restart(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Restart the instances, one after the other.

    Each only while the others are ready.
    """
    from tidegate.model.intent import Restart

    _ask(ctx, Where(file, environment, agent), Restart(), Who(by, reason), timeout, as_json)


def scale(
    ctx: typer.Context,
    replicas: Annotated[int, typer.Argument(help="Instances of stable.", min=1, metavar="N")],
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Run this number of instances.

    Ends when they are ready.
    """
    from tidegate.model.intent import Scale

    _ask(ctx, Where(file, environment, agent), Scale(replicas), Who(by, reason), timeout, as_json)


def _ask(ctx: typer.Context, where: Where, action: "Action", who: Who, timeout: float | None, as_json: bool) -> None:
    from tidegate.cli.asking import Asking, ask_short
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output

    async def work() -> int:
        async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
            return await ask_short(desk, site, action, Asking(who, timeout), all_ready)

    perform(work())


def all_ready(progress: "Progress") -> bool:
    """Whether stable has all its instances, each of them ready, and no restart is left to do."""
    state, seen = progress.state, progress.seen
    if state is None or seen is None or state.restart_of or seen.state != state:
        return False
    if state.stable is None:
        return state.active is not None
    here = seen.observation.of_revision(state.stable.runs_as)
    return len(here) == state.replicas and all(_up(instance) for instance in here)


def _up(instance: "ObservedInstance") -> bool:
    from tidegate.model.observation import InstanceState

    return instance.state is InstanceState.RUNNING and instance.ready is True
