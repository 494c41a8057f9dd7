"""state backup, state restore, state fence: a copy of everything that Tidegate knows, and the way back to it."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli import options

Folder = Annotated[Path, typer.Argument(help="A folder of the backup's own.", metavar="FOLDER")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="A copy of everything that Tidegate knows, and the way back to it.", no_args_is_help=True)
    noun.command("backup")(backup)
    noun.command("restore")(restore)
    noun.command("fence")(fence)
    app.add_typer(noun, name="state")


def backup(ctx: typer.Context, folder: Folder, as_json: options.Json = False) -> None:
    """Copy the state and the agents' key into a new folder, while tidegate serve runs. SQLite only."""
    from tidegate.cli.output import Output

    copy = ctx.obj.backup_state(folder)
    if as_json:
        Output(True).data({"state": str(copy)})
    else:
        Output().message(f"{ctx.obj.location()} is copied to {copy}; it holds what the state holds: keep it as safe")


def restore(
    ctx: typer.Context,
    folder: Folder,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: options.Json = False,
) -> None:
    """Put a backup in the state's place. What is there is kept beside it. Refused while a controller decides."""
    import sys

    from tidegate.cli.output import Output
    from tidegate.model.errors import UsageError

    where = ctx.obj.location()
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{where} would be what it was at the backup", hint="--yes says that you mean it")
        typer.confirm(f"{where} becomes what it was at the backup. Go ahead?", abort=True, err=True)
    former = ctx.obj.restore_state(folder)
    if as_json:
        Output(True).data({"state": where, "former": str(former) if former else None})
    else:
        kept = f"; what was there is {former}" if former else ""
        Output().message(f"{where} is what it was at the backup{kept}; next: tidegate audit verify, tidegate serve")


def fence(ctx: typer.Context) -> None:
    """Let whoever decides next count for more than whoever decided before: after a database server was restored."""
    from tidegate.cli.output import Output

    Output().message(f"the next controller begins above epoch {ctx.obj.fence_state()}")
