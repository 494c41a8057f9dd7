"""From an intent to an exit code: ask, follow, say what became of it."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from tidegate.cli.desk import Desk, order_of
from tidegate.cli.fleet import ask_fleet, is_fleet
from tidegate.cli.follow import Ending, Follower, Goal, Progress, Result
from tidegate.cli.options import Who
from tidegate.cli.screen import Screen
from tidegate.controller.releases import for_hosts
from tidegate.controller.site import Site
from tidegate.core import notices
from tidegate.core.transitions import TONES
from tidegate.model.errors import ConflictError, Exit
from tidegate.model.intent import (
    Abort,
    Action,
    Adopt,
    Answer,
    Approve,
    Deploy,
    Intent,
    Promote,
    Recover,
    Reject,
    Resume,
    Undo,
)
from tidegate.model.rollout import Phase, Rollout
from tidegate.views.lines import Span, first_line, line
from tidegate.views.status import status_of, waits_for_person

ANSWER_S = 30.0
"""How long to wait for whoever decides; a dead controller's lease is over after 10 s."""

ROLLOUT_S = 3600.0
SHORT_S = 120.0


@dataclass(frozen=True)
class Asking:
    """How to ask: who, for how long (seconds; None: the usual), and whether to stay while a person is waited for."""

    who: Who
    timeout_s: float | None = None
    stay: bool = False


async def ask_rollout(desk: Desk, site: Site, action: Action | None, asking: Asking) -> int:
    """Ask for something that begins or moves a rollout, and see the rollout to its end.

    No action: only carry on with what is under way. Where another controller decides, a person's word to its rollout
    is given and not waited for.
    """
    if await is_fleet(desk):
        return await ask_fleet(
            desk, site, for_hosts(order_of(desk, site), action) if isinstance(action, Deploy) else action, asking
        )
    word = isinstance(action, Promote | Resume | Approve)

    def goal(progress: Progress) -> bool:
        given = word and not progress.deciding and progress.answer is not None
        return given or seen_through(progress, asking.stay, site.ports.clock.now())

    result = await _follow(desk, site, action, asking, goal, ROLLOUT_S)
    return tell_rollout(desk, result, wanted_back=isinstance(action, Undo | Abort | Reject))


def seen_through(progress: Progress, stay: bool, now: float) -> bool:
    """Whether the rollout that was asked for is over, or waits for a person whom nobody wants to wait for."""
    rollout = _concerned(progress)
    if rollout is None:
        return progress.answer is not None
    waiting = waits_for_person(rollout) and not stay
    drained = progress.state is None or not progress.state.draining(now)
    return waiting or (rollout.phase.ended and (drained or not progress.deciding))


async def ask_short(desk: Desk, site: Site, action: Action, asking: Asking, done: Goal | None = None) -> int:
    """Ask for something that is done in moments: once it was answered and `done` says so."""

    if await is_fleet(desk):
        return await ask_fleet(desk, site, action, asking)

    def goal(progress: Progress) -> bool:
        return progress.answer is not None and (done is None or _refused(progress) or done(progress))

    result = await _follow(desk, site, action, asking, goal, SHORT_S, look=done is not None)
    answer = result.progress.answer
    if result.ending is not Ending.DONE or answer is None:
        return _not_done(desk, result)
    if desk.output.as_json:
        desk.output.data(data_of(result, Exit.DONE, desk))
    else:
        desk.output.lines([line(first_line(answer.because))])
    return Exit.DONE


async def _follow(
    desk: Desk, site: Site, action: Action | None, asking: Asking, goal: Goal, usual_s: float, look: bool = False
) -> Result:
    if not isinstance(action, Deploy | Adopt | Recover):
        await desk.state()
    session = desk.session(site)
    await session.skip_history()
    follower = Follower(session, site, Screen(desk.output), asking.who.name, look)
    if action is None:
        intent = Intent("", desk.key, Resume(), asking.who.name, site.ports.clock.now())
        follower.known(Answer("", True, "carried on with what was under way"))
    else:
        intent = await session.ask(action, asking.who.name, asking.who.reason)
    return await checked(desk, site, await follower.follow(intent, goal, asking.timeout_s or usual_s))


async def checked(desk: Desk, site: Site, result: Result) -> Result:
    """The result, with what the host says where data is wanted. Raises ConflictError for what was refused."""
    answer = result.progress.answer
    if desk.output.as_json and result.progress.state is not None:
        seen = await site.preview(desk.key, probes_s=1.0)
        result = replace(result, progress=replace(result.progress, seen=seen))
    if answer is not None and not answer.accepted:
        raise ConflictError(f"{desk.key}: {answer.because}", hint="tidegate status shows where it stands")
    return result


def _refused(progress: Progress) -> bool:
    return progress.answer is not None and not progress.answer.accepted


def _concerned(progress: Progress) -> Rollout | None:
    """The rollout that the intent is about, once it is accepted and there is one under way or begun by it."""
    answer, state = progress.answer, progress.state
    if answer is None or not answer.accepted or state is None or state.rollout is None:
        return None
    rollout = state.rollout
    if rollout.ended_at is not None and rollout.ended_at < progress.intent.at:
        return None
    return rollout if answer.revision in (None, rollout.candidate.number) else None


def tell_rollout(desk: Desk, result: Result, wanted_back: bool) -> int:
    """`wanted_back`: who asked for the way back has what was asked for when it ends there."""
    rollout = _concerned(result.progress)
    if result.ending is not Ending.DONE or result.progress.answer is None:
        return _not_done(desk, result)
    code = exit_of(rollout)
    if rollout is not None and code is Exit.WAITING and not waits_for_person(rollout):
        code = Exit.DONE  # whoever holds the lease goes on
    if wanted_back and rollout is not None and rollout.phase is Phase.ABORTED:
        code = Exit.DONE
    if desk.output.as_json:
        desk.output.data(data_of(result, code, desk))
        return code
    state = result.progress.state
    if rollout is None or state is None or not (rollout.phase.ended or waits_for_person(rollout)):
        desk.output.lines([line(first_line(result.progress.answer.because))])
        return code
    if rollout.phase.ended:
        text = notices.of(state, rollout, rollout.ended_at or 0.0).because
        desk.output.lines([line(Span(text, TONES[rollout.phase].value))])
        if code:
            desk.output.message(f"tidegate explain {desk.key} tells why")
        return code
    title = rollout.candidate.title
    desk.output.lines([line(Span(f"Revision {title} waits for a person: {first_line(rollout.because)}", "yellow"))])
    desk.output.message("traffic is held as it is; tidegate resume, promote or abort goes on")
    return code


def exit_of(rollout: Rollout | None) -> Exit:
    """The exit code for how a rollout stands."""
    match rollout.phase if rollout else None:
        case None | Phase.PROMOTED:
            return Exit.DONE
        case Phase.ROLLED_BACK | Phase.ABORTED | Phase.FAILED:
            return Exit.ROLLED_BACK
        case _:
            return Exit.WAITING


def _not_done(desk: Desk, result: Result) -> int:
    """Somebody left, or the time was over: say what goes on without this command."""
    rollout = _concerned(result.progress)
    code = Exit.WAITING if result.ending is Ending.DETACHED else Exit.TIMED_OUT
    if desk.output.as_json:
        desk.output.data(data_of(result, code, desk))
    if result.progress.answer is None:
        holder = (
            "another controller holds the lease and did not answer" if not result.progress.deciding else "no answer"
        )
        desk.output.message(f"{result.ending.value}: {holder}; what was asked is kept and will be looked at")
    elif result.progress.deciding and rollout is not None and not rollout.phase.ended:
        desk.output.message(
            f"{result.ending.value}: the rollout of revision {rollout.candidate.title} is {rollout.phase} with "
            f"{rollout.weight} % of the traffic, held as it is; nobody decides until tidegate resume, promote, abort "
            "or serve runs"
        )
    else:
        desk.output.message(f"{result.ending.value}: whoever holds the lease goes on; tidegate status -w watches")
    return code


def data_of(result: Result, code: Exit, desk: Desk) -> dict[str, Any]:
    """What became of an intent, as plain data."""
    progress = result.progress
    answer, state = progress.answer, progress.state
    observed = progress.seen.observation if progress.seen else None
    at = state.rollout.ended_at if state and state.rollout and state.rollout.ended_at else progress.intent.at
    return {
        "agent": desk.key.agent,
        "environment": desk.key.environment,
        "intent": progress.intent.id,
        "ending": result.ending.value,
        "accepted": answer.accepted if answer else None,
        "because": answer.because if answer else "",
        "revision": answer.revision if answer else None,
        "exit_code": int(code),
        "status": asdict(status_of(state, observed, at)) if state else None,
    }
