"""agents and decommission: what there is, and taking it away."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk
    from tidegate.cli.follow import Progress
    from tidegate.controller.site import Site


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(agents)
    app.command()(decommission)


def agents(ctx: typer.Context, as_json: options.Json = False) -> None:
    """Every agent in every environment that the state knows, with its instances and what they report."""
    from tidegate.cli.desk import perform

    perform(_agents(ctx, as_json))


async def _agents(ctx: typer.Context, as_json: bool) -> int:
    import time
    from dataclasses import asdict

    from tidegate.cli.output import Output
    from tidegate.cli.toolbox import Toolbox
    from tidegate.core.roster import roster
    from tidegate.views.agents import agent_lines, agent_row
    from tidegate.views.lines import line
    from tidegate.views.roster import as_of, listening_line, roster_lines

    toolbox: Toolbox = ctx.obj
    output = Output(as_json)
    books = await toolbox.books()
    try:
        loaded = [await books.store.load(key) for key in await books.store.keys()]
        states = [state for state in loaded if state is not None]
        now = time.time()
        listening = as_of(await books.pulses.last_listening(), now)
        heard = [{pulse.instance: pulse for pulse in await books.pulses.pulses(state.key)} for state in states]
    finally:
        await books.close()
    rows = [agent_row(state) for state in states]
    rosters = [(s.key, roster(s, pulses, listening)) for s, pulses in zip(states, heard, strict=True)]
    if as_json:
        instances = [[asdict(one) for one in each] for _, each in rosters]
        output.data([{**asdict(row), "instances": each} for row, each in zip(rows, instances, strict=True)])
    elif rows:
        output.lines([*agent_lines(rows), line(), *roster_lines(rosters, now)])
        if why := listening_line(listening):
            output.message(why)
    else:
        output.message("nothing was ever deployed; tidegate deploy begins")
    return 0


def decommission(
    ctx: typer.Context,
    agent: options.Agent = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Take the agent away from an environment.

    Routes first, then its instances. Volumes stay.
    """
    from tidegate.cli.desk import perform

    perform(_decommission(ctx, Where(file, environment, agent), (Who(by, reason), timeout), yes, as_json))


async def _decommission(
    ctx: typer.Context, where: Where, asked: tuple[Who, float | None], yes: bool, as_json: bool
) -> int:
    from tidegate.cli.asking import Asking, ask_short
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.model.intent import Decommission

    async with open_desk(ctx.obj, where, Output(as_json)) as desk:
        await _sure(desk, yes)
        async with desk.site() as site:
            code = await ask_short(desk, site, Decommission(), Asking(*asked), gone)
            for name in await _kept(desk, site):
                desk.output.message(f"{name} was started by hand: stopped, and left to you (docker rm {name})")
            return code


async def _kept(desk: "Desk", site: "Site") -> tuple[str, ...]:
    from tidegate.model.desired import Desired

    observed = await site.ports.platform.observe(Desired(desk.key))
    return tuple(one.name for one in observed.instances if one.adopted)


def gone(progress: "Progress") -> bool:
    """Whether nothing of the agent is left on the host, but for what a person started by hand: stopped, and kept."""
    from tidegate.model.diff import UP

    seen = progress.seen
    if seen is None or not seen.state.decommissioned or not seen.settled:
        return False
    return all(one.adopted and one.state not in UP for one in seen.observation.instances)


async def _sure(desk: "Desk", yes: bool) -> None:
    """Ask a person. Raises UsageError where there is none to ask."""
    import sys

    from tidegate.model.errors import UsageError

    state = await desk.state()
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"{desk.key} would stop serving, and nobody is there to ask", hint="--yes says that you mean it"
        )
    serving = f"revision {state.stable.title} with {state.replicas} instances" if state.stable else "nothing"
    typer.confirm(f"{desk.key} runs {serving}. Take it away?", abort=True, err=True)
