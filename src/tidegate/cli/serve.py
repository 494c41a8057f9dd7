"""serve: the controller and the control centre as a process that stays."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from tidegate.cli.toolbox import Books
    from tidegate.controller.loop import Ports
    from tidegate.model.spec import Environment


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    ctx: typer.Context,
    file: options.File = None,
    environment: options.Place = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="Every operation, too.")] = False,
    keep: Annotated[
        int, typer.Option("--keep", help="Days to keep measurement blocks; 0: for ever.", min=0, metavar="DAYS")
    ] = 0,
) -> None:
    """Decide for every agent of an environment and listen for heartbeats, until SIGTERM or Ctrl-C.

    One decides at a time: while another controller does, this one stands by and takes over when it ends.
    """
    from tidegate.cli.desk import perform

    perform(_serve(ctx, Where(file, environment), verbose, keep))


async def _serve(ctx: typer.Context, where: Where, verbose: bool, keep: int) -> int:
    import asyncio
    import logging
    import os
    import socket

    from tidegate.cli.logfmt import log_to_stderr
    from tidegate.cli.toolbox import Toolbox
    from tidegate.controller.standby import Standby

    log_to_stderr(verbose)
    log = logging.getLogger(__name__)
    toolbox: Toolbox = ctx.obj
    stop = asyncio.Event()
    _on_signals(stop)
    books = await toolbox.books()
    try:
        place, folder = await find_place(books, where)
        site = await toolbox.site(books, place, folder)
        try:
            holder = f"serve-{socket.gethostname()}-{os.getpid()}"
            log.info("serving environment %s; the state is %s", place.name, toolbox.location())
            trimming = asyncio.create_task(_trim(site.ports, keep)) if keep else None
            await Standby(site.ports, books.lease_of(place.name), holder).run(stop)
            if trimming is not None:
                trimming.cancel()
            log.info("stopped; agents and gateway go on")
        finally:
            await site.close()
    finally:
        await books.close()
    return 0


async def _trim(ports: "Ports", keep: int) -> None:
    from tidegate.controller.trimming import DAY_S, keep_trimmed

    await keep_trimmed(ports.store, ports.journal, ports.clock, keep * DAY_S)


async def find_place(books: "Books", where: Where) -> "tuple[Environment, Path]":
    """The environment to decide in: the spec's, else the one that was named, else the only one that the state knows."""
    from pathlib import Path

    from tidegate.cli.desk import choose, folder_of, read_spec
    from tidegate.model.errors import UsageError
    from tidegate.model.spec import Environment

    spec = read_spec(where.file)
    if spec is not None:
        return choose(spec, where.environment), folder_of(spec)
    known = {where.environment} if where.environment else {key.environment for key in await books.store.keys()}
    if len(known) == 1:
        return Environment(known.pop()), Path.cwd()
    found = f"the state knows {', '.join(sorted(known))}" if known else "the state knows none yet"
    raise UsageError(f"there is no spec here, and {found}", hint="-e NAME says which environment to serve")


def _on_signals(stop: "asyncio.Event") -> None:
    """SIGTERM and SIGINT ask for a clean end; a second one ends at once."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()

    def asked(number: int) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number)
