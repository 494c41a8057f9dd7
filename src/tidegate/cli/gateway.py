"""gateway: the host's data plane as a thing of its own: look at it, replace it without a lost request, take it away."""

from typing import Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where

app = typer.Typer(help="The host's gateway: look at it, replace it, take it away.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="gateway")


@app.command()
def status(
    ctx: typer.Context, file: options.File = None, environment: options.Place = "", as_json: options.Json = False
) -> None:
    """Whether it runs, whether it is outdated, and whose routes it serves."""
    from tidegate.cli.desk import perform

    perform(_status(ctx, Where(file, environment), as_json))


async def _status(ctx: typer.Context, where: Where, as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.model.errors import Exit
    from tidegate.views.lines import line

    async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
        seen = await site.ports.gateway.observe(desk.key)
        agents = [str(key) for key in await site.data_plane.agents()]
        outdated = seen.running and await site.data_plane.outdated()
        if as_json:
            desk.output.data({"running": seen.running, "outdated": outdated, "agents": agents, "detail": seen.detail})
            return Exit.DONE
        state = "runs" if seen.running else f"does not run: {seen.detail}"
        desk.output.lines(
            [line(f"gateway  {state}" + (", made from an older image: tidegate gateway upgrade" if outdated else ""))]
        )
        desk.output.lines([line(f"serves   {', '.join(agents) or 'nobody'}")])
        return Exit.DONE


@app.command()
def upgrade(
    ctx: typer.Context, file: options.File = None, environment: options.Place = "", as_json: options.Json = False
) -> None:
    """Start a successor, drain the former one and remove it; no request is lost."""
    from tidegate.cli.desk import perform

    perform(_upgrade(ctx, Where(file, environment), as_json))


async def _upgrade(ctx: typer.Context, where: Where, as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.model.errors import Exit
    from tidegate.views.lines import line

    async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
        cut = await site.data_plane.replace()
        if as_json:
            desk.output.data({"replaced": True, "connections_cut": cut})
        else:
            desk.output.lines([line(f"replaced; {cut} long connections were cut after draining")])
        return Exit.DONE


@app.command()
def stop(
    ctx: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="Remove its volume and the agents' network as well.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even while agents have routes.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """Drain it and take it away. Refused while an agent has routes."""
    from tidegate.cli.desk import perform

    perform(_stop(ctx, Where(file, environment), (purge, force), as_json))


async def _stop(ctx: typer.Context, where: Where, how: tuple[bool, bool], as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.model.errors import ConflictError, Exit
    from tidegate.views.lines import line

    purge, force = how
    async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
        agents = [str(key) for key in await site.data_plane.agents()]
        if agents and not force:
            raise ConflictError(
                f"the gateway serves {', '.join(agents)}", hint="tidegate decommission takes an agent away; or --force"
            )
        cut = await site.data_plane.stop()
        if purge:
            await site.data_plane.purge()
            await site.forget_network()
        if as_json:
            desk.output.data({"stopped": True, "purged": purge, "connections_cut": cut})
        else:
            desk.output.lines([line("the gateway is gone" + (", its volume and our network too" if purge else ""))])
        return Exit.DONE
