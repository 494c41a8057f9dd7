"""adopt: take over a container that somebody started by hand with docker run; it runs on, nothing is restarted."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli import options
from tidegate.cli.options import FILE, Who

if TYPE_CHECKING:
    from tidegate.cli.desk import Desk
    from tidegate.model.workload import Workload


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(adopt)


def adopt(
    ctx: typer.Context,
    container: Annotated[str, typer.Argument(help="The container's name or id.", metavar="CONTAINER")],
    agent: Annotated[
        str, typer.Option("--as", help="What the agent is called; by default as the container.", metavar="AGENT")
    ] = "",
    environment: Annotated[
        str, typer.Option("--environment", "-e", help="The environment's name.", metavar="NAME")
    ] = "default",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it means, and do nothing.")] = False,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="Where the spec is written, unless it is there.", metavar="PATH")
    ] = Path(FILE),
    reason: options.Reason = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Take over a container that was started by hand.

    It becomes revision 1 and runs on. Its mounts, environment, networks, ports and limits are kept; a tidegate.yaml
    is written here, unless there is one. Values that look secret go to files of yours, not into the state. Of an
    instance of Tidegate's own, where the state was lost, the whole agent is taken over as it runs.
    """
    from tidegate.cli.desk import perform

    how = How(container, file, yes, dry_run)
    perform(_adopt(ctx, (agent or container, environment), how, (Who(by, reason), timeout, as_json)))


@dataclass(frozen=True)
class How:
    """Which container, where its spec goes, and whether to ask or only to tell."""

    container: str
    file: Path
    yes: bool
    dry_run: bool


async def _adopt(ctx: typer.Context, names: tuple[str, str], how: How, asked: tuple[Who, float | None, bool]) -> int:
    from tidegate.cli.desk import Desk, Target
    from tidegate.cli.output import Output
    from tidegate.model.release import AgentKey
    from tidegate.model.spec import Environment

    key = AgentKey(*names)
    books = await ctx.obj.books()

    def desk(about: AgentKey) -> Desk:
        return Desk(ctx.obj, books, Target(about, Environment(about.environment), None, Path.cwd()), Output(asked[2]))

    try:
        async with desk(key).site() as site:
            own = await site.owner(how.container)
        return await (_take_over(desk(key), how, asked) if own is None else _recover(desk(own), how, asked))
    finally:
        await books.close()


async def _recover(desk: "Desk", how: How, asked: tuple[Who, float | None, bool]) -> int:
    """One of ours: with a state that knows nothing of its agent, that agent is taken over as it runs."""
    from tidegate.cli.asking import Asking, ask_short
    from tidegate.core import recovery
    from tidegate.model.errors import ConflictError, Exit
    from tidegate.model.intent import Recover

    known = await desk.books.store.load(desk.key)
    if known is not None and not recovery.is_blank(known):
        raise ConflictError(f"{how.container} is an instance of {desk.key} already", hint="tidegate status shows it")
    desk.output.message(f"{how.container} is an instance of {desk.key}, of which this state knows nothing")
    if how.dry_run:
        return Exit.DONE
    if not how.yes:
        _sure(how.container)
    async with desk.site() as site:
        return await ask_short(desk, site, Recover(), Asking(asked[0], asked[1]))


async def _take_over(desk: "Desk", how: How, asked: tuple[Who, float | None, bool]) -> int:
    from tidegate.cli.asking import Asking, ask_short
    from tidegate.core.releasing import make_release
    from tidegate.model.errors import ConflictError, Exit, TidegateError
    from tidegate.model.intent import Adopt
    from tidegate.model.release import Provenance
    from tidegate.model.rollout import AgentState

    who, timeout, _ = asked
    for known in await desk.books.store.keys():
        if how.container.startswith(f"{known}.r"):
            raise ConflictError(f"{how.container} is an instance of {known} already", hint="tidegate status shows it")
    state = await desk.books.store.load(desk.key) or AgentState(desk.key)
    if state.stable is not None or state.active is not None:
        raise ConflictError(f"{desk.key} runs under Tidegate already", hint="--as NAME gives the container another one")
    async with desk.site() as site:
        takeover = await site.takeover(how.container, desk.key)
        for text in takeover.lines:
            desk.output.message(text)
        if how.dry_run:
            return Exit.DONE
        if not how.yes:
            _sure(how.container)
        workload, provenance = takeover.workload, Provenance(created_at=site.ports.clock.now(), by=who.name)
        version = takeover.image.reference.rpartition(":")[2] or "adopted"
        release = make_release(desk.key.agent, takeover.image, workload, provenance, version)
        await takeover.take(state.next_revision)
        try:
            await desk.books.journal.add_release(release)
            code = await ask_short(desk, site, Adopt(release, workload), Asking(who, timeout))
        except TidegateError:
            await takeover.give_back()
            raise
    _write_spec(desk, how.file.absolute(), workload)
    return code


def _sure(container: str) -> None:
    import sys

    from tidegate.model.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"adopting {container} needs a yes", hint="--yes says it, --dry-run only tells")
    typer.confirm(f"adopt {container}?", abort=True, err=True)


def _write_spec(desk: "Desk", path: Path, workload: "Workload") -> None:
    """A spec to deliver the next release by, where there is none."""
    from tidegate.spec import plain_workload

    if path.exists():
        desk.output.message(f"{path} is there already and was left alone")
        return
    plain = {
        **plain_workload(workload),
        "secrets": {one.variable: {one.source: one.reference} for one in workload.secrets},
    }
    path.write_text(spec_text(desk.key.agent, desk.key.environment, plain), encoding="utf-8")
    desk.output.message(f"wrote {path}; next: tidegate lint, then routes and probes for what comes after")


def spec_text(agent: str, environment: str, plain: dict[str, Any]) -> str:
    """A spec that runs what was adopted: references to secrets stand with the environment."""
    import json

    secrets = plain.pop("secrets", {})
    place: dict[str, Any] = {"secrets": secrets} if secrets else {}
    # JSON is YAML: every value keeps its type, whatever characters it has.
    lines = [f"agent: {json.dumps(agent)}", "workload:"]
    lines += [f"  {key}: {json.dumps(value)}" for key, value in plain.items()]
    lines += ["environments:", f"  {json.dumps(environment)}: {json.dumps(place)}"]
    return "\n".join(lines) + "\n"
