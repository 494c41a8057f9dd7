"""status: what runs, once or live."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk
    from tidegate.cli.screen import Screen
    from tidegate.controller.site import Site
    from tidegate.model.delivery import Delivery
    from tidegate.views.status import Status

PROBES_S = 2.0
"""How long a single look waits for probes that have not answered."""

TURN_S = 0.2
LOOK_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    ctx: typer.Context,
    agent: options.Agent = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay: a live tree, or lines of events.")] = False,
    file: options.File = None,
    environment: options.Place = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Show rollout, tracks, instances and measurements.

    With --watch until Ctrl-C. It never decides anything.
    """
    from tidegate.cli.desk import perform

    perform(_status(ctx, Where(file, environment, agent), as_json, watch, timeout))


async def _status(ctx: typer.Context, where: Where, as_json: bool, watch: bool, timeout: float | None) -> int:
    from dataclasses import asdict

    from tidegate.cli.desk import open_desk
    from tidegate.cli.fleet import is_fleet, show_fleet, watch_fleet
    from tidegate.cli.output import Output
    from tidegate.views.delivery import delivery_lines
    from tidegate.views.status import status_lines

    output = Output(as_json)
    async with open_desk(ctx.obj, where, output) as desk:
        if await is_fleet(desk):
            if not watch:
                return await show_fleet(desk, _now())
            async with desk.site() as site:
                return await watch_fleet(desk, site, timeout)
        going = await under_way(desk)
        if going is None:
            await desk.state()
        elif not watch and not as_json:
            output.lines(delivery_lines(going, _now()))
            if await desk.books.store.load(desk.key) is None:
                return 0
        if watch:
            return await _watch(desk, timeout)
        seen = await look(desk)
        if as_json:
            output.data(asdict(seen))
        else:
            output.lines(status_lines(seen))
        return 0


async def under_way(desk: "Desk") -> "Delivery | None":
    """The newest delivery, while it is not over."""
    newest = await desk.books.deliveries.latest(desk.key)
    return newest[0] if newest and not newest[0].phase.ended else None


async def look(desk: "Desk") -> "Status":
    """State and host together; a host that cannot be opened shows as one that does not answer."""
    from tidegate.model.errors import UnreachableError
    from tidegate.model.observation import Observation
    from tidegate.views.status import status_of

    state = await desk.state()
    try:
        async with desk.site() as site:
            seen = await site.preview(desk.key, probes_s=PROBES_S)
            return status_of(seen.state, seen.observation, site.ports.clock.now())
    except UnreachableError as error:
        return status_of(state, Observation(0.0, False, error.message), _now())


def _now() -> float:
    import time

    return time.time()


async def _watch(desk: "Desk", timeout: float | None) -> int:
    import asyncio

    from tidegate.cli.screen import Screen

    async with desk.site() as site:
        with Screen(desk.output, on_stdout=True) as screen:
            try:
                async with asyncio.timeout(timeout):
                    await _show(desk, site, screen)
            except TimeoutError:
                return 0
            except asyncio.CancelledError:
                screen.pause()
                raise
    return 0


async def _show(desk: "Desk", site: "Site", screen: "Screen") -> None:
    import asyncio

    from tidegate.controller.preview import Preview
    from tidegate.views.delivery import delivery_lines
    from tidegate.views.status import status_of

    session = desk.session(site)
    await session.skip_history()
    seen: Preview | None = None
    looked = -LOOK_S
    loop = asyncio.get_running_loop()
    while True:
        snapshot = await session.snapshot()
        screen.tell(snapshot.events)
        if screen.live and loop.time() - looked >= LOOK_S:
            seen, looked = await site.preview(desk.key), loop.time()
            going = await under_way(desk)
            screen.above = delivery_lines(going, site.ports.clock.now()) if going is not None else ()
        if snapshot.state is not None:
            screen.draw(status_of(snapshot.state, seen.observation if seen else None, site.ports.clock.now()))
        elif screen.above:
            screen.draw(None)
        await asyncio.sleep(TURN_S)
