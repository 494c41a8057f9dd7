"""simulate: a spec's rollout on a host in memory, with a clock that moves only when told."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli import options

if TYPE_CHECKING:
    from tidegate.cli.toolbox import Rehearsal, Toolbox
    from tidegate.model.event import Event
    from tidegate.model.intent import Intent
    from tidegate.model.rollout import AgentState
    from tidegate.model.spec import Environment, Spec

LONGEST_S = 7200.0
STABLE, CANDIDATE = "1.0.0", "1.1.0"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    ctx: typer.Context,
    spec: Annotated[Path | None, typer.Argument(help="The spec.", metavar="[SPEC]")] = None,
    scenario: Annotated[
        str, typer.Option("--scenario", "-s", help="How the release turns out; 'list' shows them.", metavar="NAME")
    ] = "healthy",
    environment: options.Place = "",
    as_json: options.Json = False,
) -> None:
    """Rehearse a rollout on a host in memory.

    With the spec's strategy and analysis. An hour takes some seconds, and nothing is touched.

    Exit codes are those of a deployment: 0 promoted, 3 taken back, 4 not ended in 2 h, 5 waiting for a person.
    """
    from tidegate.cli.desk import perform

    perform(_simulate(ctx, options.Where(spec, environment), scenario, as_json))


async def _simulate(ctx: typer.Context, where: options.Where, scenario: str, as_json: bool) -> int:
    from tidegate.cli.desk import choose, read_spec
    from tidegate.cli.output import Output
    from tidegate.model.errors import UsageError
    from tidegate.views.simulation import scenario_lines, simulation_data, simulation_lines

    toolbox: Toolbox = ctx.obj
    output, known = Output(as_json), toolbox.scenarios()
    if scenario == "list":
        if as_json:
            output.data(dict(known))
        else:
            output.lines(scenario_lines(known))
        return 0
    if scenario not in known:
        raise UsageError(f"there is no scenario {scenario}", hint=f"there are: {', '.join(known)}")
    spec = read_spec(where.file)
    if spec is None:
        raise UsageError("there is no spec to rehearse", hint="tidegate simulate SPEC, or tidegate init")
    rehearsal = await toolbox.rehearsal(scenario)
    try:
        state, events, begun = await _play(rehearsal, spec, choose(spec, where.environment))
    finally:
        await rehearsal.close()
    code = _exit(state)
    if as_json:
        output.data(simulation_data(scenario, known[scenario], state, events, begun))
    else:
        output.lines(simulation_lines(scenario, known[scenario], state, events, begun))
    return code


def _exit(state: "AgentState") -> int:
    from tidegate.cli.asking import exit_of
    from tidegate.model.errors import Exit
    from tidegate.views.status import waits_for_person

    rollout = state.rollout
    under_way = rollout is not None and not rollout.phase.ended and not waits_for_person(rollout)
    return Exit.TIMED_OUT if under_way else exit_of(rollout)


async def _play(
    rehearsal: "Rehearsal", spec: "Spec", environment: "Environment"
) -> "tuple[AgentState, list[Event], float]":
    """Deploy a healthy release, then the candidate; the end state, the candidate's events and when it began."""
    from tidegate.cli.reading import all_events
    from tidegate.controller.lease import Lease
    from tidegate.controller.loop import BUSY_S, AgentLoop, Turn
    from tidegate.controller.rehearsal import play
    from tidegate.model.release import AgentKey
    from tidegate.views.status import waits_for_person

    key, ports = AgentKey(spec.agent, environment.name), rehearsal.ports
    lease = await Lease.take(rehearsal.leases, ports.clock, "simulate")
    lease.until = float("inf")  # nobody else decides in a world of our own
    loop = AgentLoop(key, ports, lease)

    def over(turn: Turn) -> bool:
        state = turn.decision.state
        ended = state.active is None and not state.draining(ports.clock.now()) and turn.settled
        return ended or waits_for_person(state.active)

    async def deploy(version: str) -> None:
        await ports.store.submit(intent_of(spec, environment, version, ports.clock.now()))
        await loop.turn()
        await play(loop, ports.clock, over, LONGEST_S, BUSY_S)

    await deploy(STABLE)
    began, last = ports.clock.now(), (await all_events(ports.journal, key))[-1][0]
    rehearsal.behave(CANDIDATE, _image(spec, CANDIDATE))
    await deploy(CANDIDATE)
    state = await ports.store.load(key)
    assert state is not None
    return state, [event for _, event in await all_events(ports.journal, key, last)], began


def _image(spec: "Spec", version: str) -> str:
    return f"{spec.agent}:{version}"


def intent_of(spec: "Spec", environment: "Environment", version: str, now: float) -> "Intent":
    """The intent that deploys a version of the spec's agent in memory."""
    from dataclasses import replace

    from tidegate.core.releasing import make_release
    from tidegate.model.intent import Deploy, Intent
    from tidegate.model.release import AgentKey, Image, Provenance

    image = Image(_image(spec, version))
    release = make_release(spec.agent, image, spec.workload, Provenance(created_at=now), version)
    workload = replace(environment.workload, image=image.reference, secrets=())
    action = Deploy(release, workload, spec.strategy, spec.analysis, spec.rollback, hooks=spec.hooks)
    return Intent(f"deploy-{version}", AgentKey(spec.agent, environment.name), action, "simulate", now)
