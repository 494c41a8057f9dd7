"""audit list, audit export, audit verify: who did what and why, and the proof that nobody rewrote it."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tidegate.model.audit import Entry
    from tidegate.ports import Audit

BATCH = 1000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    noun = typer.Typer(help="Who did what and why.", no_args_is_help=True)
    noun.command("list")(listing)
    noun.command("export")(export)
    noun.command("verify")(verify)
    app.add_typer(noun, name="audit")


def listing(
    ctx: typer.Context,
    last: Annotated[int, typer.Option("--last", "-n", help="Only the last ones; 0: all.", min=0, metavar="N")] = 50,
    as_json: options.Json = False,
) -> None:
    """Show the audit log."""
    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.views.access import audit_lines, entry_data

    async def work() -> int:
        output, books = Output(as_json), await ctx.obj.books()
        try:
            after = max(0, (await books.audit.head()).sequence - last) if last else 0
            found = [entry async for entry in _entries(books.audit, after)]
        finally:
            await books.close()
        if as_json:
            output.data([entry_data(entry) for entry in found])
        else:
            output.lines(audit_lines(found))
        return 0

    perform(work())


def export(ctx: typer.Context) -> None:
    """The whole audit log as JSON, an entry a line, with what was hashed: enough to verify it elsewhere."""
    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.views.access import entry_data

    async def work() -> int:
        output, books = Output(True), await ctx.obj.books()
        try:
            async for entry in _entries(books.audit, 0):
                output.record(entry_data(entry))
        finally:
            await books.close()
        return 0

    perform(work())


def verify(
    ctx: typer.Context,
    head: Annotated[
        str, typer.Option("--head", help="A head that a notice carried: it must be in the chain.", metavar="N:HASH")
    ] = "",
    as_json: options.Json = False,
) -> None:
    """Follow the chain from its beginning to its end. Exit code 1 when it was rewritten."""
    from tidegate.cli.desk import perform
    from tidegate.cli.output import Output
    from tidegate.model.audit import Head, follow, parse_head
    from tidegate.model.errors import StoreError, UsageError

    try:
        wanted = parse_head(head) if head else None
    except ValueError as error:
        raise UsageError(f"--head: {error}", hint="as audit_head in a notice has it") from None

    async def work() -> int:
        output, books = Output(as_json), await ctx.obj.books()
        try:
            last, seen = Head(), wanted is None or wanted == Head()
            async for entry in _entries(books.audit, 0):
                last = follow(last, (entry,))
                seen = seen or last == wanted
            if last != await books.audit.head():
                raise ValueError(f"it ends at entry {last.sequence}, and its head says another end")
            if not seen and wanted is not None:
                raise ValueError(f"entry {wanted.sequence} is not the one that the notice told of")
        except ValueError as error:
            raise StoreError(
                f"the audit log was rewritten: {error}", hint="compare it with a backup, and with the heads in notices"
            ) from None
        finally:
            await books.close()
        if as_json:
            output.data({"intact": True, "head": str(last), "entries": last.sequence})
        else:
            output.message(f"intact: {last.sequence} entries, head {last}")
        return 0

    perform(work())


async def _entries(audit: "Audit", after: int) -> "AsyncIterator[Entry]":
    while batch := await audit.entries(after, BATCH):
        for entry in batch:
            yield entry
        after = batch[-1].sequence
