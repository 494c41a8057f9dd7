"""Releases that were rejected stay out until somebody says otherwise. Pure.

A release is told by its image and its configuration: another configuration of the same image may be tried, and so may
the same configuration with another image.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from tidegate.model import codec
from tidegate.model.fleet import FleetRollout, FleetState
from tidegate.model.release import Image
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.standing import HeldBack, Quarantined
from tidegate.model.workload import Workload, fingerprint

NEVER_RAN = (Phase.PREPARING, Phase.STOPPING, Phase.BACKING_UP)
"""Whoever turned back here was not at fault itself: an image, a hook, room for a backup."""

Standing = TypeVar("Standing", AgentState, FleetState)

NEW_LINE = "\n"

MOST = 200
"""Entries kept; the oldest go first."""


def configuration_of(workload: Workload) -> str:
    """What tells one configuration from another; the image's name is not part of it."""
    return fingerprint(codec.dump(replace(workload, image="")))


def same_image(one: Image, two: Image) -> bool:
    """Whether two images have the same content, as far as both sides know: like is compared with like."""
    if one.config_digest and two.config_digest:
        return one.config_digest == two.config_digest
    if one.manifest_digest and two.manifest_digest:
        return one.manifest_digest == two.manifest_digest
    return one.reference == two.reference


def find(state: AgentState | FleetState, image: Image, workload: Workload) -> Quarantined | None:
    """The entry that keeps this release out."""
    configuration = configuration_of(workload)
    return next(
        (one for one in state.quarantine if one.configuration == configuration and same_image(one.image, image)), None
    )


def after(state: AgentState, rollout: Rollout, now: float) -> AgentState:
    """The state after a rollout's end: what was rejected is kept out, what was promoted in spite of that is not.

    Aborted by a person is not rejected, nor is what never ran because its image could not be had.
    """
    candidate = rollout.candidate
    entry = find(state, candidate.release.image, candidate.workload)
    if rollout.phase is Phase.PROMOTED:
        return replace(state, quarantine=tuple(one for one in state.quarantine if one is not entry))
    if rollout.phase not in (Phase.ROLLED_BACK, Phase.FAILED) or rollout.restoring is not None:
        return state  # a restore is of what serves already: no release is to blame
    if rollout.rollback.hold:
        state = replace(state, held=state.held or _held(rollout, now))
    if rollout.turned_at in NEVER_RAN or candidate.undo_of is not None:
        return state
    return replace(state, quarantine=_with(state.quarantine, rollout, now))


def rejected(state: AgentState, rollout: Rollout, because: str, now: float) -> AgentState:
    """The state after a release was taken back that had been promoted: it is kept out as if it had not been."""
    blamed = replace(rollout, fault=because)
    if rollout.rollback.hold:
        state = replace(state, held=state.held or _held(blamed, now))
    return replace(state, quarantine=_with(state.quarantine, blamed, now))


def after_fleet(state: FleetState, rollout: FleetRollout, hosts: Iterable[AgentState], now: float) -> FleetState:
    """The same for a fleet: it keeps out what one of its hosts rejected, for all of them."""
    candidate = rollout.candidate
    image, workload = candidate.release.image, candidate.workload
    if rollout.phase is Phase.PROMOTED:
        entry = find(state, image, workload)
        return replace(state, quarantine=tuple(one for one in state.quarantine if one is not entry))
    if rollout.phase not in (Phase.ROLLED_BACK, Phase.FAILED):
        return state
    if rollout.rollback.hold:
        state = replace(state, held=state.held or _held(rollout, now))
    rejected = candidate.undo_of is None and any(find(host, image, workload) is not None for host in hosts)
    return replace(state, quarantine=_with(state.quarantine, rollout, now)) if rejected else state


def _held(rollout: Rollout | FleetRollout, now: float) -> HeldBack:
    why = f"revision {rollout.candidate.title} went back: {rollout.fault.partition(NEW_LINE)[0]}"
    return HeldBack(why, now, rollout.candidate.number)


def _with(entries: tuple[Quarantined, ...], rollout: Rollout | FleetRollout, now: float) -> tuple[Quarantined, ...]:
    """The entries with the candidate's, in the place of an earlier one of the same."""
    candidate, because = rollout.candidate, rollout.fault.partition(NEW_LINE)[0]
    image, configuration = candidate.release.image, configuration_of(candidate.workload)
    kept = (one for one in entries if one.configuration != configuration or not same_image(one.image, image))
    new = Quarantined(image, configuration, candidate.release.version, candidate.number, because, now)
    return (*kept, new)[-MOST:]


def lift(state: Standing, revision: int) -> tuple[Standing, Quarantined | None]:
    """Without the entry of that revision; None when there is none."""
    entry = next((one for one in state.quarantine if one.revision == revision), None)
    return replace(state, quarantine=tuple(one for one in state.quarantine if one is not entry)), entry
