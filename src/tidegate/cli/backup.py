"""backup list, backup restore: the copies of volumes that in_place makes."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk


def register(app: typer.Typer) -> None:
    """Add the commands."""
    nouns = typer.Typer(help="Copies of volumes that in_place makes.", no_args_is_help=True)
    nouns.command("list")(show)
    nouns.command("restore")(restore)
    app.add_typer(nouns, name="backup")


def show(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """The backups of an agent, the newest first."""
    from tidegate.cli.desk import perform

    perform(_show(ctx, Where(file, environment, agent), as_json))


async def _show(ctx: typer.Context, where: Where, as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.views.lines import line

    output = Output(as_json)
    async with open_desk(ctx.obj, where, output) as desk, desk.site() as site:
        found = [text.partition(" ")[::2] for text in await site.backups(desk.key)]
    if as_json:
        output.data([{"id": name, "about": about} for name, about in found])
    elif found:
        output.lines(line(f"{name}  {about}") for name, about in found)
    else:
        output.message(f"{desk.key} has no backups")
    return 0


def restore(
    ctx: typer.Context,
    backup: Annotated[str, typer.Argument(help="Which one: tidegate backup list.", metavar="BACKUP")],
    agent: options.Agent = "",
    volume: Annotated[
        list[str] | None, typer.Option("--volume", help="Only this volume; may be repeated.", metavar="NAME")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="What was written since may be lost.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Put a backup in the place of what is there.

    Says what was written since, and goes ahead with --yes: the agent stops, what is there is backed up, the backup is
    put in, the agent starts. When it does not come up, what was there is put back.
    """
    from tidegate.cli.asking import Asking
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output

    async def work() -> int:
        from tidegate.cli.asking import ask_rollout
        from tidegate.model.errors import UsageError
        from tidegate.model.intent import RestoreBackup

        async with open_desk(ctx.obj, Where(file, environment, agent), Output(as_json)) as desk, desk.site() as site:
            volumes = tuple(volume or ()) or await _volumes(desk)
            written = "; ".join(await site.backups(desk.key, backup, volumes))
            if not yes:
                mend = f"tidegate backup restore {backup} --yes goes ahead"
                raise UsageError(f"written since backup {backup}, and lost with it: {written}", hint=mend)
            desk.output.message(f"written since backup {backup}, and lost now: {written}")
            asking = Asking(Who(by, reason), timeout)
            return await ask_rollout(desk, site, RestoreBackup(backup, tuple(volume or ())), asking)

    perform(work())


async def _volumes(desk: "Desk") -> tuple[str, ...]:
    """What the last rollout backed up."""
    from tidegate.model.errors import UsageError
    from tidegate.model.spec import InPlace

    state = await desk.state()
    strategy = state.rollout.strategy if state is not None and state.rollout is not None else None
    if isinstance(strategy, InPlace) and strategy.volumes:
        return tuple(volume.name for volume in strategy.volumes)
    raise UsageError(f"{desk.key} was not deployed with backups", hint="name the volumes: --volume NAME")
