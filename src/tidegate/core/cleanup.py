"""Which images of ours nothing needs any more. Pure.

Only what we built or pulled for the agent is ever removed. What undo, retry and a waiting release need stays, and so
does whatever another agent of this state needs; the engine itself refuses to remove what a container uses.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tidegate.model.decision import Facts
from tidegate.model.event import Event, EventKind
from tidegate.model.observation import ImageState
from tidegate.model.release import Image, Revision
from tidegate.model.rollout import AgentState
from tidegate.model.standing import Origin, OwnImage


def track(state: AgentState, facts: Facts) -> AgentState:
    """Remember that the candidate's image was built by us, or came by a pull of ours."""
    rollout = state.active
    if rollout is None:
        return state
    image = rollout.candidate.release.image
    if any(own.image.reference == image.reference for own in state.images):
        return state
    seen = next((one for one in facts.observation.images if one.reference == image.reference), None)
    if rollout.candidate.release.provenance.commit:
        return replace(state, images=(*state.images, OwnImage(image, Origin.BUILT)))
    if seen is not None and seen.state is ImageState.PULLING:
        return replace(state, images=(*state.images, OwnImage(image, Origin.PULLED)))
    return state


def needed(state: AgentState) -> frozenset[str]:
    """References of the images that this agent needs: for what runs, for the way back, for what comes."""
    return frozenset(image.reference for image in _needed(state))


def _needed(state: AgentState) -> Iterator[Image]:
    if state.decommissioned:
        return
    yield from (revision.release.image for revision in _revisions(state))
    if state.queued is not None:
        yield state.queued.action.release.image


def _revisions(state: AgentState) -> Iterator[Revision]:
    yield from state.history
    yield from (leaving.revision for leaving in state.retiring)
    if state.stable is not None:
        yield state.stable
    if state.rollout is not None:
        yield state.rollout.candidate


def surplus(state: AgentState, needed_elsewhere: Iterable[str] = ()) -> tuple[OwnImage, ...]:
    """Our images that nothing needs."""
    kept = needed(state) | set(needed_elsewhere)
    return tuple(own for own in state.images if own.image.reference not in kept)


def wanted(state: AgentState) -> bool:
    """Whether what fell out is removed: by the policy, or because somebody asked."""
    by_policy = state.rollout is None or state.rollout.rollback.cleanup
    return state.cleaning or by_policy


def due(state: AgentState, facts: Facts) -> tuple[Image, ...]:
    """The images to remove now; none while nobody has looked at what the other agents need."""
    if facts.needed_images is None or not wanted(state) or state.active is not None:
        return ()
    return tuple(own.image for own in surplus(state, facts.needed_images))


def settle(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    """Forget the images that are gone, and those that the engine does not give away, with its reason."""
    asked = {image.reference for image in due(state, facts)}
    if not asked:
        done = state.cleaning and facts.needed_images is not None and state.active is None
        return (replace(state, cleaning=False) if done else state), ()
    gone = {one.reference for one in facts.observation.images if one.state is ImageState.ABSENT} & asked
    refused = {name: reason for name, reason in facts.failures.items() if name in asked - gone}
    events = [
        Event(facts.now, state.key, EventKind.OPERATION_FAILED, f"image {name} stays: {reason}")
        for name, reason in sorted(refused.items())
    ]
    left = tuple(own for own in state.images if own.image.reference not in gone | refused.keys())
    return replace(state, images=left), tuple(events)
