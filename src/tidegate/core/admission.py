"""Whether a release may be deployed now: the lock, the quarantine, the hold after a rollback, the rollout under way.

None of it stands in the way of abort, rollback and undo.
"""

from dataclasses import replace
from enum import Enum, auto
from typing import TypeVar

from tidegate.core import quarantine
from tidegate.core.calendar import local
from tidegate.core.refusal import RefusedError
from tidegate.model.fleet import FleetState
from tidegate.model.intent import Deploy, Intent
from tidegate.model.policy import OnNew
from tidegate.model.release import Image
from tidegate.model.rollout import AgentState, Phase, Queued
from tidegate.model.standing import Lock
from tidegate.model.workload import Workload

LONGEST_LOCK_S = 30 * 86400.0

Standing = TypeVar("Standing", AgentState, FleetState)
"""One host and a fleet of them are locked, held and kept clean in the same way."""


class Way(Enum):
    """What is to be done with a release that was admitted."""

    BEGIN = auto()
    QUEUE = auto()
    SUPERSEDE = auto()


def admit(state: AgentState | FleetState, intent: Intent, action: Deploy, now: float) -> Way:
    """What to do with a deploy. Raises RefusedError with the reason and what can be done instead."""
    unlocked(state, intent.by, now)
    _in_epoch(state, action, now)
    not_rejected(state, action.release.image, action.workload, action.override_quarantine and bool(intent.reason))
    if action.override_freeze and not intent.reason:
        raise RefusedError("going on inside a freeze window needs a reason (--reason)")
    if action.automatic and state.held is not None:
        if action.policy.on_new is OnNew.REFUSE:
            raise RefusedError(
                f"automatic deliveries are held: {state.held.because}; tidegate acknowledge lets them go"
            )
        return Way.QUEUE
    if state.active is None:
        return Way.BEGIN
    way_back = state.active.phase is Phase.REVERTING or state.active.candidate.undo_of is not None
    match action.policy.on_new:
        case OnNew.SUPERSEDE if not way_back:
            return Way.SUPERSEDE
        case OnNew.SUPERSEDE | OnNew.QUEUE:
            return Way.QUEUE
    title, phase = state.active.candidate.title, state.active.phase
    raise RefusedError(f"the rollout of revision {title} is under way ({phase}); abort it or wait for its end first")


def unlocked(state: AgentState | FleetState, by: str, now: float) -> None:
    """Whether this person may deploy. Raises RefusedError while somebody else's lock lasts."""
    lock = state.lock
    if lock is not None and lock.holds(now) and lock.owner != by:
        why = f" ({lock.reason})" if lock.reason else ""
        raise RefusedError(
            f"locked by {lock.owner} until {local(lock.until)}{why}; tidegate unlock --force --reason takes it away"
        )


def _in_epoch(state: AgentState | FleetState, action: Deploy, now: float) -> None:
    if action.lock_epoch is None:
        return
    lock = state.lock
    if lock is None or not lock.holds(now) or lock.epoch != action.lock_epoch:
        now_in_force = f"lock {lock.epoch} of {lock.owner} holds" if lock and lock.holds(now) else "no lock holds"
        raise RefusedError(f"lock {action.lock_epoch} is over: {now_in_force}; take a new one and look again")


def not_rejected(state: AgentState | FleetState, image: Image, workload: Workload, overridden: bool) -> None:
    """Whether the release is not in quarantine. Raises RefusedError."""
    entry = quarantine.find(state, image, workload)
    if entry is not None and not overridden:
        raise RefusedError(
            f"{entry.version} is in quarantine since revision {entry.revision} went back: {entry.because}; "
            f"tidegate quarantine release {entry.id}, or --override-quarantine with --reason"
        )


def enqueue(state: AgentState, queued: Queued, why: str) -> tuple[AgentState, str]:
    """Let a release wait; only the newest waits."""
    former = f"; {state.queued.action.release.version} no longer waits" if state.queued else ""
    return replace(state, queued=queued), f"{queued.action.release.version} waits {why}{former}"


def take_lock(state: Standing, intent: Intent, seconds: float, now: float) -> tuple[Standing, str]:
    """Lock for the one who asks; who has it already keeps its epoch and gets more time."""
    if not 0 < seconds <= LONGEST_LOCK_S:
        raise RefusedError("a lock lasts for more than nothing and at most 30 days")
    if not intent.reason:
        raise RefusedError("a lock needs a reason, for those who stand before it (--reason)")
    unlocked(state, intent.by, now)
    lock = state.lock
    if lock is not None and lock.holds(now):
        lock = replace(lock, until=now + seconds, reason=intent.reason)
    else:
        lock = Lock(intent.by, now, now + seconds, state.lock_epoch + 1, intent.reason)
    after = replace(state, lock=lock, lock_epoch=lock.epoch)
    return after, f"lock {lock.epoch}: {lock.owner} alone deploys until {local(lock.until)}: {lock.reason}"


def unlock(state: Standing, intent: Intent, force: bool, now: float) -> tuple[Standing, str]:
    """Give the lock back, or take another's away."""
    lock = state.lock
    if lock is None or not lock.holds(now):
        return replace(state, lock=None), "no lock holds; nothing to do"
    if lock.owner != intent.by and not force:
        raise RefusedError(f"lock {lock.epoch} is {lock.owner}'s; --force with --reason takes it away")
    if lock.owner != intent.by and not intent.reason:
        raise RefusedError(f"taking {lock.owner}'s lock away needs a reason (--reason)")
    return replace(state, lock=None), f"lock {lock.epoch} of {lock.owner} given back by {intent.by}"
