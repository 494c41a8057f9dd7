"""deliver: from a commit to its end, promoted or taken back."""

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tidegate.cli.asking import Asking
    from tidegate.cli.desk import Desk
    from tidegate.controller.site import Site
    from tidegate.pipeline.deliver import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(deliver)


def deliver(
    ctx: typer.Context,
    commit: Annotated[
        str, typer.Argument(help="A commit, tag or branch; by default the spec's branch.", metavar="[COMMIT]")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    reason: options.Reason = "",
    by: options.By = "",
    wait: Annotated[bool, typer.Option("--wait", help="Stay and watch while the rollout waits for a person.")] = False,
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Build a commit, roll it out, and watch it.

    Until it is promoted or taken back by itself.
    """
    from tidegate.cli.asking import Asking
    from tidegate.cli.desk import perform

    asking = Asking(Who(by, reason), timeout, wait)
    perform(_deliver(ctx, Where(file, environment), commit, dry_run, asking, as_json))


async def _deliver(
    ctx: typer.Context, where: Where, commit: str, dry_run: bool, asking: "Asking", as_json: bool
) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.journey import see_delivery
    from tidegate.cli.output import Output
    from tidegate.pipeline.deliver import Asked, new_delivery, plan

    async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
        source = site.source()
        if dry_run:
            return await _tell_plan(desk, await plan(desk.spec(), commit, source))
        asked = Asked(desk.key, commit, asking.who.name, site.ports.clock.now(), asking.who.reason)
        delivery = new_delivery(desk.spec(), asked)
        async with _looking(desk, site):
            return await see_delivery(desk, site, delivery, asking)


@asynccontextmanager
async def _looking(desk: "Desk", site: "Site") -> "AsyncIterator[None]":
    """Meet the host while the image is made, so that connections are open when the rollout begins."""
    import asyncio

    from tidegate.model.desired import Desired

    ports = site.ports
    looks = [
        asyncio.create_task(ports.gateway.observe(desk.key)),
        asyncio.create_task(ports.platform.observe(Desired(desk.key))),
        asyncio.create_task(ports.store.load(desk.key)),
    ]
    try:
        yield
        await asyncio.wait(looks)
    finally:
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)


async def _tell_plan(desk: "Desk", what: "Plan") -> int:
    from tidegate.model.errors import Exit
    from tidegate.views.lines import line

    state = await desk.books.store.load(desk.key)
    running = state.stable.title if state is not None and state.stable is not None else "nothing"
    data: dict[str, Any] = {
        "commit": what.commit.id,
        "subject": what.commit.subject,
        "version": what.commit.version,
        "image": what.tag,
        "dockerfile": what.dockerfile,
        "stages": [one.name.value for one in what.stages],
        "environment": desk.key.environment,
        "running": running,
        "warnings": list(what.commit.warnings),
    }
    if desk.output.as_json:
        desk.output.data(data)
        return Exit.DONE
    desk.output.lines(
        [
            line(f"source   commit {what.commit.short} ({what.commit.subject}) of {what.repository}"),
            *(line(f"source   {warning}") for warning in what.commit.warnings),
            line(f"build    {what.tag} from {what.dockerfile}"),
            line(f"stages   {', '.join(one.name for one in what.stages)}"),
            line(f"rollout  {desk.key}: {running} runs now; tidegate plan shows the operations"),
        ]
    )
    return Exit.DONE
