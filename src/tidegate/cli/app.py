"""The application: every command, and what becomes of whatever goes wrong in one."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import (
    adopt,
    agents,
    alerts,
    audit,
    backup,
    deliver,
    deploy,
    doctor,
    drill,
    explain,
    gates,
    gateway,
    history,
    instances,
    lock,
    notices,
    plan,
    quarantine,
    replay,
    rollout,
    serve,
    simulate,
    spec,
    stages,
    state,
    status,
    token,
    trim,
)

if TYPE_CHECKING:
    from tidegate.cli.toolbox import Toolbox

INTERRUPTED = 130
"""Exit code after Ctrl-C while nothing was being decided. Source: the shell's 128 + SIGINT."""

ABOUT = "Closed-loop delivery of containerised agents: a release flows on while the evidence is good."
NOUNS = (
    deliver,
    stages,
    deploy,
    rollout,
    gates,
    lock,
    quarantine,
    notices,
    alerts,
    status,
    explain,
    replay,
    history,
    trim,
    plan,
    instances,
    adopt,
    backup,
    agents,
    gateway,
    serve,
    token,
    audit,
    state,
    doctor,
    simulate,
    drill,
    spec,
)


def make_app() -> typer.Typer:
    """The application with all of its commands."""
    app = typer.Typer(
        name="tidegate",
        help=ABOUT,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_top)
    for noun in NOUNS:
        noun.register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"tidegate {version('tidegate')}")
        except PackageNotFoundError:
            print("tidegate, from its source")
        raise typer.Exit


def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Closed-loop delivery of containerised agents: a release flows on while the evidence is good."""


def run(toolbox: "Toolbox", arguments: Sequence[str]) -> int:
    """Run a command line and give its exit code; every error ends here, as one sentence with a hint."""
    as_json = "--json" in arguments
    try:
        command = typer.main.get_command(make_app())
        code = command.main(list(arguments), prog_name="tidegate", standalone_mode=False, obj=toolbox)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        return _unread()
    except SystemExit as end:  # what typer makes of a broken pipe
        return _unread() if isinstance(end.__context__, BrokenPipeError) else int(end.code or 0)
    except (KeyboardInterrupt, typer.Abort):
        print(file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        from tidegate.cli.problems import report

        return report(error, as_json)


def _unread() -> int:
    """The reader went away (| head): nobody is left to tell, and Python must not complain at its end either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return 0
