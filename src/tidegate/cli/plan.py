"""plan: what would be done, and why; nothing is touched."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk
    from tidegate.controller.site import Site
    from tidegate.model.intent import Deploy

PROBES_S = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(
    ctx: typer.Context,
    release: Annotated[
        str,
        typer.Argument(
            help="What to deploy, as for deploy; without it, what would be done now, or what the spec changes.",
            metavar="[RELEASE]",
        ),
    ] = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """What would be done, and why; nothing is touched.

    The operations with their causes, and the configuration compared with what runs.
    """
    from tidegate.cli.desk import perform

    perform(_plan(ctx, Where(file, environment), release, as_json))


async def _plan(ctx: typer.Context, where: Where, name: str, as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.model.errors import UnreachableError
    from tidegate.model.intent import Intent
    from tidegate.views.plan import change_data, changes, operation_data, plan_lines

    output = Output(as_json)
    async with open_desk(ctx.obj, where, output) as desk, desk.site() as site:
        state = await desk.books.store.load(desk.key)
        action = await _action(desk, site, name)
        asked = Intent("plan", desk.key, action, Who().name, site.ports.clock.now()) if action else None
        seen = await site.preview(desk.key, (asked,) if asked else (), PROBES_S)
    if not seen.observation.reachable:
        raise UnreachableError(seen.observation.detail, hint="tidegate doctor says what is missing")
    answer = seen.decision.answers[-1].because if asked and seen.decision.answers else ""
    rollout = seen.decision.state.active
    changed = changes(state.stable if state else None, rollout.candidate if rollout else None)
    if as_json:
        output.data(
            {
                "agent": desk.key.agent,
                "environment": desk.key.environment,
                "answer": answer,
                "operations": [operation_data(one) for one in seen.plan],
                "configuration": [change_data(one) for one in changed],
            }
        )
    else:
        output.lines(plan_lines(seen.plan, changed, answer, rollout.strategy if rollout else None))
    return 0


async def _action(desk: "Desk", site: "Site", name: str) -> "Deploy | None":
    """What `deploy` would ask for. Nothing while a rollout is under way and nothing was named."""
    from tidegate.cli.desk import order_of
    from tidegate.controller.releases import deploy_action

    state = await desk.books.store.load(desk.key)
    if not name and (desk.target.spec is None or (state is not None and state.active is not None)):
        return None
    if not name and state is None and not desk.spec().workload.image:
        return None
    return await deploy_action(order_of(desk, site), name, Who().name)
