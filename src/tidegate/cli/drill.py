"""drill: a rehearsal of the way back, in pre-production or in memory."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options
from tidegate.cli.options import Where, Who

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidegate.cli.desk import Desk
    from tidegate.cli.toolbox import Toolbox
    from tidegate.controller.site import Site
    from tidegate.core.drill import DrillRow
    from tidegate.model.event import Event
    from tidegate.model.intent import Action
    from tidegate.model.rollout import AgentState

STEP_S = 600.0
"""How long one of the three rollouts may take."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drill)


def drill(
    ctx: typer.Context,
    agent: options.Agent = "",
    simulate: Annotated[bool, typer.Option("--simulate", help="On a host in memory; nothing is touched.")] = False,
    every: Annotated[
        str, typer.Option("--every", help="Stay, and rehearse again after this time: 24h.", metavar="DURATION")
    ] = "",
    file: options.File = None,
    environment: options.Place = "",
    by: options.By = "",
    timeout: options.Timeout = None,
    as_json: options.Json = False,
) -> None:
    """Rehearse the way back: release something broken, something sound, undo it, and measure.

    On an environment only where the spec says drill: true. Exit code 3 when a check of the monitor table failed.
    """
    from tidegate.cli.desk import perform
    from tidegate.core.drill import REASON

    where, step_s = Where(file, environment, agent), timeout or STEP_S
    if simulate:
        perform(_in_memory(ctx, where, as_json))
        return
    asked = (Who(by, REASON), step_s)
    perform(_again(ctx, where, asked, as_json, _pause(every)) if every else _on_site(ctx, where, asked, as_json))


def _pause(every: str) -> float:
    from tidegate.model.errors import UsageError
    from tidegate.spec.scalars import duration

    try:
        return duration(every)
    except ValueError:
        raise UsageError(f"--every {every} is no duration", hint="write 24h") from None


async def _again(ctx: typer.Context, where: Where, asked: tuple[Who, float], as_json: bool, pause_s: float) -> int:
    """Rehearse again and again. What stands in the way of one rehearsal is said, and the next one is tried in time."""
    import asyncio

    from tidegate.cli.output import Output
    from tidegate.model.errors import TidegateError, UsageError

    while True:
        try:
            await _on_site(ctx, where, asked, as_json)
        except UsageError:
            raise
        except (TidegateError, TimeoutError) as error:
            Output(as_json).message(f"no drill this time: {error}; the next in {pause_s:g} s")
        await asyncio.sleep(pause_s)


async def _on_site(ctx: typer.Context, where: Where, asked: tuple[Who, float], as_json: bool) -> int:
    from tidegate.cli.desk import open_desk
    from tidegate.cli.output import Output
    from tidegate.model.errors import UsageError

    output = Output(as_json)
    async with open_desk(ctx.obj, where, output) as desk:
        if not desk.target.environment.drill:
            name = desk.target.environment.name
            hint = f"a drill breaks a release on purpose: set environments.{name}.drill: true where that is fine"
            raise UsageError(f"{desk.key} is no place for a drill", hint=hint)
        state = await _steady(desk)
        async with desk.site() as site:
            return _tell(await _rehearse(desk, site, state, asked), as_json)


async def _rehearse(
    desk: "Desk", site: "Site", state: "AgentState", asked: tuple[Who, float]
) -> "tuple[DrillRow, ...]":
    from tidegate.cli.reading import all_events
    from tidegate.cli.screen import Screen
    from tidegate.controller.drill import Until, rehearse
    from tidegate.controller.lease import TTL_S
    from tidegate.core.drill import told
    from tidegate.model.errors import ConflictError

    session, (who, step_s) = desk.session(site), asked
    await session.skip_history()
    began = (await all_events(desk.books.journal, desk.key))[-1][0]

    async def ask(action: "Action", until: Until) -> "AgentState":
        intent, screen = await session.ask(action, who.name, who.reason), Screen(desk.output)
        with screen:
            after = await session.see_through(
                lambda now: now is not None and until(now), lambda seen: screen.tell(seen.events), step_s
            )
        answer = await session.answer(intent)
        if after is None or (answer is not None and not answer.accepted):
            raise ConflictError(f"{desk.key}: {answer.because if answer else 'nobody answered'}")
        return after

    async def log() -> "Sequence[Event]":
        return [event for _, event in await all_events(desk.books.journal, desk.key, began)]

    rows = await rehearse(state, ask, log)
    await desk.books.journal.append([told(desk.key, rows, site.ports.clock.now())])
    with suppress(TimeoutError):  # whoever decides tells it: we, if nobody else does within a lease's time
        ours: list[bool] = []
        await session.see_through(lambda _: any(ours), lambda seen: ours.append(seen.deciding), TTL_S + 1.0)
    return rows


async def _steady(desk: "Desk") -> "AgentState":
    """The state, when there is something to go back to and nothing under way."""
    from tidegate.model.errors import ConflictError

    state = await desk.state()
    if state.stable is None or state.active is not None:
        why = "a rollout is under way" if state.active else "nothing serves"
        raise ConflictError(f"{desk.key}: {why}", hint="a drill needs a stable revision and nothing else going on")
    return state


async def _in_memory(ctx: typer.Context, where: Where, as_json: bool) -> int:
    from tidegate.cli.desk import choose, read_spec
    from tidegate.model.errors import UsageError

    toolbox: Toolbox = ctx.obj
    spec = read_spec(where.file)
    if spec is None:
        raise UsageError("there is no spec to rehearse", hint="tidegate drill --simulate -f SPEC, or tidegate init")
    import uuid

    from tidegate.cli.reading import all_events
    from tidegate.cli.simulate import STABLE, intent_of
    from tidegate.controller.drill import Until, rehearse
    from tidegate.controller.lease import Lease
    from tidegate.controller.loop import BUSY_S, AgentLoop
    from tidegate.controller.rehearsal import play
    from tidegate.model.intent import Intent
    from tidegate.model.release import AgentKey

    rehearsal = await toolbox.rehearsal("port-taken")
    try:
        environment, ports = choose(spec, where.environment), rehearsal.ports
        key = AgentKey(spec.agent, environment.name)
        lease = await Lease.take(rehearsal.leases, ports.clock, "drill")
        lease.until = float("inf")  # nobody else decides in a world of our own
        loop = AgentLoop(key, ports, lease)

        async def submit(intent: Intent, until: Until) -> "AgentState":
            await ports.store.submit(intent)
            turn = await play(loop, ports.clock, lambda turn: until(turn.decision.state), STEP_S, BUSY_S)
            if not until(turn.decision.state):
                raise TimeoutError
            return turn.decision.state

        async def ask(action: "Action", until: Until) -> "AgentState":
            now = ports.clock.now()
            return await submit(Intent(uuid.uuid4().hex, key, action, "drill", now, "drill"), until)

        async def log() -> "Sequence[Event]":
            return [event for _, event in await all_events(ports.journal, key)]

        first = intent_of(spec, environment, STABLE, ports.clock.now())
        state = await submit(first, lambda state: state.stable is not None and state.active is None)
        rehearsal.behave(f"{STABLE}-broken", "")
        return _tell(await rehearse(state, ask, log), as_json)
    finally:
        await rehearsal.close()


def _tell(rows: "Sequence[DrillRow]", as_json: bool) -> int:
    from dataclasses import asdict

    from tidegate.cli.output import Output
    from tidegate.model.errors import Exit
    from tidegate.views.drill import drill_lines

    if as_json:
        Output(True).data([asdict(row) for row in rows])
    else:
        Output().lines(drill_lines(rows))
    return Exit.DONE if all(row.good for row in rows) else Exit.ROLLED_BACK
