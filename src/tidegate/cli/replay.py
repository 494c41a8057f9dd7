"""replay: what another policy would have said of recorded rollouts, or of series recorded elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk
    from tidegate.cli.output import Output
    from tidegate.core.series import Series
    from tidegate.model.spec import Analysis
    from tidegate.views.replay import Row

MOST_BYTES = 256 << 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    ctx: typer.Context,
    rollout: Annotated[
        str, typer.Argument(help="A revision's number or version; by default the last.", metavar="[ROLLOUT]")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Every rollout that was recorded.")] = False,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="A spec, or a file with analysis alone; by default the spec.", metavar="FILE"),
    ] = None,
    series: Annotated[
        Path | None, typer.Option("--series", help="A series recorded elsewhere, as CSV or JSON.", metavar="FILE")
    ] = None,
    agent: Annotated[str, typer.Option("--agent", help="The agent, or AGENT.ENVIRONMENT.", metavar="AGENT")] = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """What another policy would have said, and when.

    Nothing is touched. Traffic stays as it was recorded, whatever the policy would have done to it.
    """
    from tidegate.cli.desk import perform

    where = Where(file, environment, agent)
    perform(
        _series(where, series, policy, as_json) if series else _replay(ctx, where, (rollout, every), policy, as_json)
    )


def _policy(file: Path | None, where: Where) -> "Analysis":
    import os

    from tidegate.cli.desk import find_file
    from tidegate.model.errors import UsageError
    from tidegate.spec import load_policy

    path = find_file(file or where.file)
    if path is None:
        raise UsageError(
            "there is no policy to replay", hint="--policy FILE names a spec, or a file with analysis alone"
        )
    return load_policy(path, os.environ)


async def _replay(ctx: typer.Context, where: Where, which: tuple[str, bool], policy: Path | None, as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output

    output, analysis = Output(as_json), _policy(policy, where)
    async with open_desk(ctx.obj, where, output) as desk:
        rows = await _rollouts(desk, which, analysis)
    _show(output, rows, as_json)
    return 0


async def _rollouts(desk: "Desk", which: tuple[str, bool], analysis: "Analysis") -> "list[Row]":
    from tidegate.cli.reading import all_events
    from tidegate.controller.loop import PAST_S
    from tidegate.core.replay import Recording, replay, spans
    from tidegate.model.errors import NotFoundError
    from tidegate.views.replay import Row, happened

    journal, key = desk.books.journal, desk.key
    events = [event for _, event in await all_events(journal, key)]
    known = spans(await journal.revisions(key), events)
    wanted, every = which
    chosen = [one for one in known if wanted in (str(one.candidate.number), one.candidate.release.version)]
    chosen = known if every else chosen if wanted else known[-1:]
    if not chosen:
        there = ", ".join(one.candidate.title for one in known) or "none was ever watched"
        raise NotFoundError(f"there is no recorded rollout {wanted}".rstrip(), hint=f"there are: {there}")
    rows = []
    for span in chosen:
        until = span.until if span.until is not None else float("inf")
        blocks = await journal.blocks(key, span.began - PAST_S, until)
        past = [block for block in blocks if block.at <= span.began]
        recording = Recording(span, past, blocks[len(past) :])
        rows.append(Row(f"revision {span.candidate.title}", happened(span), replay(recording, analysis)))
    return rows


async def _series(where: Where, path: Path, policy: Path | None, as_json: bool) -> int:
    from tidegate.cli.output import Output
    from tidegate.core.replay import of_series
    from tidegate.core.series import fitted
    from tidegate.views.replay import Row

    output, analysis = Output(as_json), _policy(policy, where)
    recorded = _recorded(path)
    analysis, blocks, without = fitted(analysis, recorded)
    for note in recorded.notes:
        output.message(f"{path.name}: {note}")
    if without:
        output.message(f"{path.name}: not in it, so they say nothing: {', '.join(without)}")
    _show(output, [Row(path.name, "", of_series(blocks, analysis))], as_json)
    return 0


def _recorded(path: Path) -> "Series":
    from tidegate.core.series import series
    from tidegate.core.series_rows import rows_of
    from tidegate.model.errors import UsageError

    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} is larger than {MOST_BYTES >> 20} MiB", hint="replay it in parts")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="mend the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no UTF-8 text", hint="write CSV or JSON") from None
    return series(rows_of(text, path.name), path.name)


def _show(output: "Output", rows: "list[Row]", as_json: bool) -> None:
    from tidegate.views.replay import replay_data, replay_lines

    if as_json:
        output.data({"replayed": replay_data(rows)})
    else:
        output.lines(replay_lines(rows))
