"""serve: the controller, the control centre and the HTTP API as a process that stays."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

    from tidegate.controller.site import Books, Site
    from tidegate.model.door import Door
    from tidegate.model.spec import Environment, Spec

END_S = 20.0
"""How long after SIGTERM everything may take to end; then the process ends all the same."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    ctx: typer.Context,
    file: options.File = None,
    environment: options.Place = "",
    listen: Annotated[
        str,
        typer.Option("--listen", help="The API's address, or off.", metavar="HOST:PORT", envvar="TIDEGATE_LISTEN"),
    ] = "127.0.0.1:4321",
    certificate: Annotated[
        str, typer.Option("--tls-certificate", help="PEM file: TLS certificate and its chain.", metavar="PATH")
    ] = "",
    key: Annotated[str, typer.Option("--tls-key", help="PEM file: the certificate's key.", metavar="PATH")] = "",
    plain: Annotated[
        bool, typer.Option("--plain", help="No TLS though not on loopback: a proxy in front of it has it.")
    ] = False,
    open_door: Annotated[
        bool, typer.Option("--open", help="No tokens: whoever is on this machine may do everything. Loopback only.")
    ] = False,
    rate: Annotated[
        float, typer.Option("--rate", help="Requests a second that a token may make.", min=1.0, metavar="N")
    ] = 100.0,
    log_format: Annotated[
        str, typer.Option("--log-format", help="logfmt or json.", metavar="FORMAT", envvar="TIDEGATE_LOG_FORMAT")
    ] = "logfmt",
    verbose: Annotated[bool, typer.Option("--verbose", help="Every operation and request, too.")] = False,
    keep: Annotated[
        int, typer.Option("--keep", help="Days to keep measurement blocks; 0: for ever.", min=0, metavar="DAYS")
    ] = 0,
) -> None:
    """Decide for every agent of an environment, hear heartbeats and serve the API, until SIGTERM or Ctrl-C.

    One decides at a time: while another controller does, this one stands by and takes over when it ends.
    """
    import os

    from tidegate.cli.desk import perform
    from tidegate.cli.logfmt import log_to_stderr
    from tidegate.model.door import Door, check, parse_address
    from tidegate.model.errors import UsageError

    if os.environ.get("TIDEGATE_URL"):
        raise UsageError("this is to be a server, and TIDEGATE_URL names another one", hint="unset TIDEGATE_URL")
    door = None
    if listen != "off":
        door = check(Door(*parse_address(listen), certificate, key, open_door, plain, rate))
    log_to_stderr(verbose, log_format)
    perform(_serve(ctx, Where(file, environment), door, keep))


async def _serve(ctx: typer.Context, where: Where, door: "Door | None", keep: int) -> int:
    import asyncio
    import logging

    from tidegate.cli.toolbox import Toolbox

    log = logging.getLogger(__name__)
    toolbox: Toolbox = ctx.obj
    stop = asyncio.Event()
    _on_signals(stop)
    books = await toolbox.books()
    try:
        place, spec, folder = await find_place(books, where)
        site = await toolbox.site(books, place, folder)
        try:
            log.info("serving environment %s; the state is %s", place.name, toolbox.location())
            parts = _parts(toolbox, (books, site), (place, spec, door), stop)
            await _together([*parts, *_trimming(site, keep, stop)], stop)
            log.info("stopped; agents and gateway go on")
        finally:
            await site.close()
    finally:
        await books.close()
    return 0


def _parts(
    toolbox: "Any",
    opened: "tuple[Books, Site]",
    what: "tuple[Environment, Spec | None, Door | None]",
    stop: "asyncio.Event",
) -> "list[Coroutine[Any, Any, None]]":
    """What runs side by side: the controller (with the control centre in it), and the API."""
    import os
    import socket

    from tidegate.cli.toolbox import Serving
    from tidegate.controller.standby import Standby

    (books, site), (place, spec, door) = opened, what
    standby = Standby(site.ports, books.lease_of(place.name), f"serve-{socket.gethostname()}-{os.getpid()}")
    if door is None:
        return [standby.run(stop)]
    serving = Serving(books, site, place, spec, lambda: standby.deciding)
    return [standby.run(stop), toolbox.api(serving, door).run(stop)]


def _trimming(site: "Site", keep: int, stop: "asyncio.Event") -> "list[Coroutine[Any, Any, None]]":
    from tidegate.controller.trimming import DAY_S, keep_trimmed

    return [keep_trimmed(site.ports, keep * DAY_S, stop)] if keep else []


async def _together(parts: "list[Coroutine[Any, Any, None]]", stop: "asyncio.Event") -> None:
    """Run all parts until told to stop; when one ends in an error, all end, and it is raised. END_S bounds the end."""
    import asyncio

    tasks = [asyncio.create_task(part) for part in parts]
    told = asyncio.create_task(stop.wait())
    await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    _, late = await asyncio.wait(tasks, timeout=END_S)
    for task in late:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


async def find_place(books: "Books", where: Where) -> "tuple[Environment, Spec | None, Path]":
    """The environment to decide in: the spec's, else the one that was named, else the only one that the state knows."""
    from pathlib import Path

    from tidegate.cli.desk import choose, folder_of, read_spec
    from tidegate.model.errors import UsageError
    from tidegate.model.spec import Environment

    spec = read_spec(where.file)
    if spec is not None:
        return choose(spec, where.environment), spec, folder_of(spec)
    known = {where.environment} if where.environment else {key.environment for key in await books.store.keys()}
    if len(known) == 1:
        return Environment(known.pop()), None, Path.cwd()
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
