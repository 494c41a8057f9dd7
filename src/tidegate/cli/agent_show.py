"""agents show: everything that is known of one instance."""

from typing import Annotated

import typer

from tidegate.cli import options


def register(noun: typer.Typer) -> None:
    """Add the command."""
    noun.command("show")(show)


def show(
    ctx: typer.Context,
    instance: Annotated[str, typer.Argument(help="Its name, or the beginning of its OpAMP uid.", metavar="INSTANCE")],
    config: Annotated[bool, typer.Option("--config", help="The configuration that it runs with, too.")] = False,
    as_json: options.Json = False,
) -> None:
    """One instance: what it reports, its health by part, its configuration, its history."""
    from tidegate.cli.desk import perform

    perform(_show(ctx, instance, config, as_json))


async def _show(ctx: typer.Context, instance: str, config: bool, as_json: bool) -> int:
    import time
    from dataclasses import asdict

    from tidegate.cli.output import Output
    from tidegate.controller.rosters import read_rosters
    from tidegate.model.errors import ConflictError, NotFoundError
    from tidegate.views.record import record_lines
    from tidegate.views.roster import as_of

    output, books = Output(as_json), await ctx.obj.books()
    try:
        found = await read_rosters(books, as_of(await books.pulses.last_listening(), time.time()))
        records = {(one.key, one.instance): one for one in await books.records.records(None)}
        rows = [
            (state.key, row)
            for state, each in found
            for row in each
            if row.instance == instance
            or ((one := records.get((state.key, row.instance))) and one.uid.startswith(instance.replace("-", "")))
        ]
        if not rows:
            raise NotFoundError(f"no instance {instance} ever reported", hint="tidegate agents lists them")
        if len(rows) > 1:
            named = ", ".join(f"{row.instance} of {key}" for key, row in rows[:5])
            raise ConflictError(f"{instance} is the beginning of several: {named}")
        ((key, row),) = rows
        record = records.get((key, row.instance))
        files = {}
        for file in record.effective if record is not None and config else ():
            body = await books.records.content(key, row.instance, file.digest)
            files[file.name] = body.decode(errors="replace") if body is not None else None
    finally:
        await books.close()
    if as_json:
        told = {"agent": key.agent, "environment": key.environment, **asdict(row)}
        more = {"files": files} if config else {}
        output.data({**told, "record": asdict(record) if record is not None else None, **more})
    else:
        output.lines(record_lines(key, row, record, files))
    return 0
