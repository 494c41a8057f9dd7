"""deploy, undo, retry: what begins a rollout."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from tidegate.cli.asking import Asking
    from tidegate.controller.releases import Insisting
    from tidegate.model.intent import Action

OverrideQuarantine = Annotated[
    bool, typer.Option("--override-quarantine", help="A release that was rejected before; needs --reason.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Stay and watch while the rollout waits for a person.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(deploy)
    app.command()(undo)
    app.command()(retry)


def deploy(
    ctx: typer.Context,
    release: Annotated[
        str,
        typer.Argument(
            help="A release's id, its beginning, its version, or an image; by default the spec's image, or what runs "
            "with the spec's configuration.",
            metavar="[RELEASE]",
        ),
    ] = "",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    accept_breaking: Annotated[
        bool, typer.Option("--accept-breaking", help="Replace in place though the release breaks what runs.")
    ] = False,
    wait: Wait = False,
    override_quarantine: OverrideQuarantine = False,
    override_freeze: Annotated[
        bool, typer.Option("--override-freeze", help="Inside a freeze window too; needs --reason.")
    ] = False,
    lock_epoch: Annotated[
        int | None, typer.Option("--lock-epoch", help="Only while the lock of this number holds.", metavar="N")
    ] = None,
    automatic: Annotated[
        bool, typer.Option("--automatic", help="A trigger asks: held after a rollback until acknowledged.")
    ] = False,
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Move an environment to a release, and watch it.

    Until it is promoted or taken back by itself.
    """
    from tidegate.cli.asking import Asking
    from tidegate.cli.desk import perform
    from tidegate.controller.releases import Insisting

    asking = Asking(Who(by, reason), timeout, wait)
    insisting = Insisting(override_quarantine, override_freeze, lock_epoch, automatic, accept_breaking)
    perform(_deploy(ctx, Where(file, environment), (release, insisting), asking, as_json))


async def _deploy(
    ctx: typer.Context, where: Where, what: "tuple[str, Insisting]", asking: "Asking", as_json: bool
) -> int:
    from tidegate.cli.asking import ask_rollout
    from tidegate.cli.desk import open_desk, order_of
    from tidegate.cli.output import Output
    from tidegate.controller.releases import deploy_action

    async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
        action = await deploy_action(order_of(desk, site), what[0], asking.who.name, what[1])
        await desk.books.journal.add_release(action.release)
        return await ask_rollout(desk, site, action, asking)


def undo(
    ctx: typer.Context,
    agent: options.Agent = "",
    to_revision: Annotated[
        int | None, typer.Option("--to-revision", help="Which one; by default the one before.", min=1, metavar="N")
    ] = None,
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    wait: Wait = False,
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Go back to an earlier revision.

    Its image and its configuration both. During a rollout, without --to-revision, this aborts it.
    """
    from tidegate.cli.asking import Asking
    from tidegate.model.intent import Undo

    asking = Asking(Who(by, reason), timeout, wait)
    _begin(ctx, Where(file, environment, agent), Undo(to_revision), asking, as_json)


def retry(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    wait: Wait = False,
    override_quarantine: OverrideQuarantine = False,
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Start the rollout that went back once more."""
    from tidegate.cli.asking import Asking
    from tidegate.model.intent import Retry

    asking = Asking(Who(by, reason), timeout, wait)
    _begin(ctx, Where(file, environment, agent), Retry(override_quarantine), asking, as_json)


def _begin(ctx: typer.Context, where: Where, action: "Action", asking: "Asking", as_json: bool) -> None:
    from tidegate.cli.asking import ask_rollout
    from tidegate.cli.desk import open_desk, perform
    from tidegate.cli.output import Output

    async def work() -> int:
        async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
            return await ask_rollout(desk, site, action, asking)

    perform(work())
