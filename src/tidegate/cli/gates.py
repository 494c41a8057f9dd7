"""approve, reject: a named person's word to the gate that a rollout waits at."""

from typing import Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who
from tidegate.cli.rollout import say

Comment = Annotated[str, typer.Option("--comment", "-c", help="What you looked at, for the history.", metavar="TEXT")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(approve)
    app.command()(reject)


def approve(
    ctx: typer.Context,
    agent: options.Agent = "",
    comment: Comment = "",
    file: options.File = None,
    environment: options.Place = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Open the gate that the rollout waits at."""
    from tidegate.model.intent import Approve

    say(ctx, Where(file, environment, agent), Approve(), Who(by, comment), timeout, as_json)


def reject(
    ctx: typer.Context,
    agent: options.Agent = "",
    comment: Comment = "",
    file: options.File = None,
    environment: options.Place = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Refuse the gate: traffic back to stable, then the rollout stops."""
    from tidegate.model.intent import Reject

    say(ctx, Where(file, environment, agent), Reject(), Who(by, comment), timeout, as_json)
