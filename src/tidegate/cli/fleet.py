"""Fleets on the command line: the same words as for one host, followed on the fleet's own state."""

import asyncio
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tidegate.cli.screen import Screen
from tidegate.core.transitions import TONES
from tidegate.model.errors import ConflictError, Exit, NotFoundError, TidegateError
from tidegate.model.fleet import FleetRollout, FleetState
from tidegate.model.intent import (
    Abort,
    Action,
    Answer,
    DeployFleet,
    Intent,
    Pause,
    Promote,
    Resume,
    Retry,
    Undo,
)
from tidegate.model.rollout import AgentState, Phase
from tidegate.views.fleet import FleetStatus, fleet_lines, fleet_status
from tidegate.views.lines import Span, first_line, line

if TYPE_CHECKING:
    from tidegate.cli.asking import Asking
    from tidegate.cli.desk import Desk
    from tidegate.controller.site import Site

LOOK_S = 0.1
ROLLOUT_S = 4 * 3600.0
WATCH_S = 1.0


async def is_fleet(desk: "Desk") -> bool:
    """Whether the target is a fleet: by the spec, or by what the state knows."""
    if desk.key.host:
        return False
    return bool(desk.target.environment.hosts) or await desk.books.fleets.load_fleet(desk.key) is not None


async def fleet_state(desk: "Desk") -> FleetState:
    """The fleet's state. Raises NotFoundError when nothing was ever deployed."""
    state = await desk.books.fleets.load_fleet(desk.key)
    if state is None:
        raise NotFoundError(f"{desk.key}: nothing was ever deployed", hint="tidegate deploy RELEASE begins")
    return state


async def standing(desk: "Desk") -> AgentState | FleetState:
    """What stands around the target: the fleet's own state where it is one."""
    return await fleet_state(desk) if await is_fleet(desk) else await desk.state()


async def status_of_fleet(desk: "Desk", now: float) -> FleetStatus:
    """The fleet and every host, as the state has them."""
    state = await fleet_state(desk)
    found = {host.name: await desk.books.store.load(desk.key.on(host.name)) for host in state.hosts}
    return fleet_status(state, {name: child for name, child in found.items() if child is not None}, now)


async def show_fleet(desk: "Desk", now: float) -> int:
    """`status`, once."""
    seen = await status_of_fleet(desk, now)
    if desk.output.as_json:
        desk.output.data(asdict(seen))
    else:
        desk.output.lines(fleet_lines(seen))
    return Exit.DONE


async def watch_fleet(desk: "Desk", site: "Site", timeout_s: float | None) -> int:
    """`status --watch`: every event of the fleet until Ctrl-C."""
    session = desk.session(site)
    desk.output.lines(fleet_lines(await status_of_fleet(desk, site.ports.clock.now())))
    await session.skip_history()
    with Screen(desk.output, on_stdout=True) as screen, suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while True:
                screen.tell((await session.snapshot()).events)
                await asyncio.sleep(WATCH_S)
    return Exit.DONE


@dataclass
class _Seen:
    """What the command knows while it waits."""

    state: FleetState | None = None
    answer: Answer | None = None
    deciding: bool = False
    detached: bool = False

    def rollout(self, intent: Intent | None) -> FleetRollout | None:
        """The rollout that the word is about, once it was accepted."""
        rollout = self.state.rollout if self.state else None
        if rollout is None or (intent is not None and (self.answer is None or not self.answer.accepted)):
            return None
        if intent is not None and rollout.ended_at is not None and rollout.ended_at < intent.at:
            return None
        return rollout


async def ask_fleet(desk: "Desk", site: "Site", action: Action | None, asking: "Asking") -> int:
    """Ask something of the fleet and see its rollout to the end; no action: carry on with what is under way."""
    if not isinstance(action, DeployFleet):
        active = (await fleet_state(desk)).active
        if isinstance(action, Resume) and active is not None and active.phase is not Phase.PAUSED:
            action = None  # a command left it: carry on
    session = desk.session(site)
    await session.skip_history()
    intent = await session.ask(action, asking.who.name, asking.who.reason) if action is not None else None
    seen = _Seen()
    short = not _moves_a_rollout(action)

    def over(_: object) -> bool:
        rollout = seen.rollout(intent)
        refused = seen.answer is not None and not seen.answer.accepted
        if seen.detached or refused or (short and seen.answer is not None):
            return True
        if rollout is None:
            return seen.answer is not None
        return rollout.phase.ended or (rollout.phase is Phase.PAUSED and not asking.stay)

    looking = asyncio.create_task(_look(desk, intent, seen))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _detach, seen)
    late = False
    try:
        with Screen(desk.output) as screen:
            await session.see_through(over, lambda shot: screen.tell(shot.events), asking.timeout_s or ROLLOUT_S)
    except TimeoutError:
        late = True
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        looking.cancel()
    return await _tell(desk, seen, intent, late, isinstance(action, Undo | Abort))


def _moves_a_rollout(action: Action | None) -> bool:
    return action is None or isinstance(action, DeployFleet | Undo | Abort | Retry | Promote | Resume)


def _detach(seen: _Seen) -> None:
    seen.detached = True


async def _look(desk: "Desk", intent: Intent | None, seen: _Seen) -> None:
    while True:
        with suppress(TidegateError):
            if intent is not None and seen.answer is None:
                seen.answer = await desk.books.store.answer(intent.id)
            seen.state = await desk.books.fleets.load_fleet(desk.key)
        await asyncio.sleep(LOOK_S)


async def _tell(desk: "Desk", seen: _Seen, intent: Intent | None, late: bool, wanted_back: bool) -> int:
    if seen.answer is not None and not seen.answer.accepted:
        raise ConflictError(f"{desk.key}: {seen.answer.because}", hint="tidegate status shows where it stands")
    rollout = seen.rollout(intent)
    code = _exit(rollout, wanted_back)
    if late or seen.detached:
        code = Exit.TIMED_OUT if late else Exit.WAITING
        desk.output.message("the hosts stay as they are; whoever holds the lease goes on, or tidegate resume does")
    elif intent is not None and isinstance(intent.action, Pause):
        code = Exit.DONE
    if desk.output.as_json:
        at = intent.at if intent is not None else 0.0
        desk.output.data({"exit_code": int(code), "status": asdict(await status_of_fleet(desk, at))})
    elif rollout is not None:
        desk.output.lines([line(Span(first_line(rollout.because), TONES[rollout.phase].value))])
    elif seen.answer is not None:
        desk.output.lines([line(first_line(seen.answer.because))])
    return code


def _exit(rollout: FleetRollout | None, wanted_back: bool) -> Exit:
    match rollout.phase if rollout else None:
        case None | Phase.PROMOTED:
            return Exit.DONE
        case Phase.ABORTED if wanted_back:
            return Exit.DONE
        case Phase.ROLLED_BACK | Phase.ABORTED | Phase.FAILED:
            return Exit.ROLLED_BACK
        case _:
            return Exit.WAITING
