"""stage, evidence, cancel: one stage alone, what was found out, and the end of a delivery under way."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from tidegate.cli.asking import Asking
    from tidegate.cli.desk import Desk
    from tidegate.model.delivery import Delivery
    from tidegate.model.evidence import Evidence
    from tidegate.model.stages import StageName

KEPT = 20
"""How many deliveries back a running one is looked for."""


@dataclass(frozen=True)
class _Wanted:
    """Which stage of which commit, and where a baseline goes."""

    name: str
    commit: str
    baseline: Path | None


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(stage)
    app.command()(evidence)
    app.command()(cancel)


def stage(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The stage: source, scan, unit, build, inspect ...", metavar="NAME")],
    commit: Annotated[
        str, typer.Argument(help="A commit, tag or branch; by default the spec's branch.", metavar="[COMMIT]")
    ] = "",
    file: options.File = None,
    environment: options.Place = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    write_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", help="Write what was found as a baseline.", metavar="FILE")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Run one stage of a commit, with what it needs, and show its evidence.

    What was found out before from the same inputs is used again. Nothing is rolled out.
    """
    from tidegate.cli.asking import Asking
    from tidegate.cli.desk import perform

    wanted = _Wanted(name, commit, write_baseline)
    perform(_stage(ctx, Where(file, environment), wanted, Asking(Who(by), timeout), as_json))


async def _stage(ctx: typer.Context, where: Where, wanted: "_Wanted", asking: "Asking", as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.journey import see_delivery
    from tidegate.cli.output import Output
    from tidegate.model import codec
    from tidegate.pipeline import baseline
    from tidegate.pipeline.deliver import Asked, new_delivery
    from tidegate.pipeline.registry import records_for
    from tidegate.views.delivery import evidence_lines

    chosen = _stage_name(wanted.name)
    async with open_desk(ctx.obj, where, Output(as_json)) as desk, desk.site() as site:
        spec = desk.spec()
        site.source()
        asked = Asked(desk.key, wanted.commit, asking.who.name, site.ports.clock.now())
        delivery = new_delivery(spec, asked, records_for(spec, chosen))
        try:
            return await see_delivery(desk, site, delivery, asking)
        finally:
            last = (await desk.books.deliveries.latest(desk.key))[0]
            found = (await _found(desk, last)).get(chosen)
            if found is not None and as_json:
                desk.output.data({"stage": chosen.value, **codec.dump(found)})
            elif found is not None:
                desk.output.lines(evidence_lines(found))
            if found is not None and wanted.baseline is not None:
                wanted.baseline.write_text(baseline.write(found.findings))


def _stage_name(name: str) -> "StageName":
    from tidegate.model.errors import UsageError
    from tidegate.model.stages import StageName

    if name not in [one.value for one in StageName if one is not StageName.ROLLOUT]:
        known = ", ".join(one for one in StageName if one is not StageName.ROLLOUT)
        raise UsageError(f"there is no stage {name!r} to run alone", hint=f"one of {known}")
    return StageName(name)


def evidence(
    ctx: typer.Context,
    release: Annotated[
        str, typer.Argument(help="A release (id or version) or a delivery (d12); by default the latest.")
    ] = "",
    file: options.File = None,
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """Everything that the stages found out about a release: Markdown for a change ticket, or JSON."""
    from tidegate.cli.desk import perform

    perform(_evidence(ctx, Where(file, environment), release, as_json))


async def _evidence(ctx: typer.Context, where: Where, release: str, as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.model import codec
    from tidegate.views.delivery import delivery_data, markdown

    async with open_desk(ctx.obj, where, Output(as_json)) as desk:
        delivery = await _delivery(desk, release)
        found = await _found(desk, delivery)
        if as_json:
            told = {name.value: codec.dump(one) for name, one in found.items()}
            desk.output.data({"delivery": delivery_data(delivery), "evidence": told})
        else:
            print(markdown(delivery, found), end="")
        return 0


async def _delivery(desk: "Desk", name: str) -> "Delivery":
    """The delivery that is meant. Raises NotFoundError."""
    from tidegate.model.delivery import DeliveryKey
    from tidegate.model.errors import NotFoundError

    deliveries = desk.books.deliveries
    if not name:
        found = await deliveries.latest(desk.key)
        if not found:
            raise NotFoundError(f"{desk.key}: nothing was ever delivered", hint="tidegate deliver begins")
        return found[0]
    if name[0] == "d" and name[1:].isdecimal():
        delivery = await deliveries.load_delivery(DeliveryKey(desk.key, int(name[1:])))
    else:
        release = await desk.books.journal.find_release(desk.key.agent, name)
        delivery = await deliveries.of_release(desk.key.agent, release.id) if release is not None else None
    if delivery is None:
        raise NotFoundError(
            f"{desk.key}: no delivery made {name}", hint="an image that was deployed by hand has no evidence"
        )
    return delivery


async def _found(desk: "Desk", delivery: "Delivery") -> "dict[StageName, Evidence]":
    found = {}
    for record in delivery.stages:
        if record.key:
            one = await desk.books.deliveries.find_evidence(delivery.key.agent.agent, record.name, record.key)
            if one is not None:
                found[record.name] = one
    return found


def cancel(
    ctx: typer.Context,
    agent: options.Agent = "",
    file: options.File = None,
    environment: options.Place = "",
    by: options.By = "",
) -> None:
    """End the deliveries that have not come to their rollout: what runs is stopped, nothing begins any more."""
    from tidegate.cli.desk import perform

    perform(_cancel(ctx, Where(file, environment, agent), Who(by)))


async def _cancel(ctx: typer.Context, where: Where, who: Who) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.model.delivery import StageState
    from tidegate.model.errors import ConflictError
    from tidegate.model.stages import StageName
    from tidegate.views.lines import line

    async with open_desk(ctx.obj, where, Output()) as desk:
        going = [one for one in await desk.books.deliveries.latest(desk.key, KEPT) if not one.phase.ended]
        rolling = [
            one for one in going if (r := one.stage(StageName.ROLLOUT)) is not None and r.state is StageState.RUNNING
        ]
        ending = [one for one in going if one not in rolling]
        if not ending:
            hint = "its rollout is under way: tidegate abort takes it back" if rolling else "tidegate status"
            raise ConflictError(f"{desk.key}: no delivery waits for a stage", hint=hint)
        for one in ending:
            await desk.books.deliveries.cancel(one.key, who.name)
        numbers = ", ".join(str(one.key.number) for one in ending)
        desk.output.lines([line(f"delivery {numbers} is to end; whoever decides ends it")])
        return 0
