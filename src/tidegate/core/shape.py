"""From state to the whole desired state: instances, routes, images. One place, whatever the strategy."""

from collections.abc import Iterable, Iterator

from tidegate.core import beside, cleanup, strategies
from tidegate.core.healing import held_back, leaving, restart_of
from tidegate.core.routing import Beside, Share, routes
from tidegate.core.strategies import Shape
from tidegate.core.view import View, effective_phase
from tidegate.model.decision import Facts
from tidegate.model.desired import Desired, InstanceGoal, Run, instance_name
from tidegate.model.diff import UP
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Rollout


def desired(state: AgentState, facts: Facts) -> Desired:
    """Everything that should be true now."""
    if state.decommissioned:
        return Desired(state.key, because="decommissioned", surplus_images=cleanup.due(state, facts))
    tracks = _tracks(state, facts)
    incarnations = restart_of(state, facts.observation)
    wanted = tuple(_goals(state, facts, tracks))
    held = held_back(state, facts.observation, _running(wanted))
    goals = tuple(
        InstanceGoal(name, revision, Run.STOPPED, because="exited again and again: its next start waits")
        if name in held
        else InstanceGoal(name, revision, run, incarnations.get(name, ""), because)
        for revision, name, run, because in wanted
    )
    shares = _shares(state, facts)
    serving = {goal.name for goal in goals if goal.run is Run.RUNNING} - leaving(state, facts.observation)
    images = tuple({goal.revision.release.image.reference: goal.revision.release.image for goal in goals}.values())
    rollout = state.active
    if rollout is not None and rollout.candidate.release.image not in images:
        images += (rollout.candidate.release.image,)
    because = rollout.because if rollout else "steady: stable serves"
    special = beside.of(View(state, rollout, facts)) if rollout else Beside()
    return Desired(
        state.key,
        images,
        goals,
        routes(shares, facts.observation, serving, special),
        because=because,
        surplus_images=cleanup.due(state, facts),
    )


def running(state: AgentState, facts: Facts) -> frozenset[str]:
    """The names of the instances that should run now."""
    return frozenset() if state.decommissioned else _running(_goals(state, facts, _tracks(state, facts)))


def _running(goals: Iterable[tuple[Revision, str, Run, str]]) -> frozenset[str]:
    return frozenset(name for _, name, run, _ in goals if run is Run.RUNNING)


def _tracks(state: AgentState, facts: Facts) -> Shape:
    rollout = state.active
    if rollout is None:
        return Shape(state.replicas if state.stable else 0, 0)
    view = View(state, rollout, facts)
    if rollout.phase is Phase.REVERTING:
        return Shape(state.replicas if state.stable else 0, 0)
    return strategies.shape(view, effective_phase(rollout))


def _goals(state: AgentState, facts: Facts, shape: Shape) -> Iterator[tuple[Revision, str, Run, str]]:
    def names(revision: Revision, count: int) -> list[str]:
        return [instance_name(state.key, revision.runs_as, index) for index in range(1, count + 1)]

    if state.stable is not None:
        every = names(state.stable, shape.stable + shape.stable_stopped)
        for name in every[: shape.stable]:
            yield state.stable, name, Run.RUNNING, f"stable is revision {state.stable.title}"
        for name in every[shape.stable :]:
            yield state.stable, name, Run.STOPPED, "kept for the way back while the canary takes its place"
    rollout = state.active
    if rollout is not None:
        # While reverting, the candidate keeps what it has until no request goes there any more; nothing is made anew.
        kept = () if state.stable is None else candidate_names(rollout, facts)
        wanted = tuple(names(rollout.candidate, shape.candidate))
        if rollout.candidate.warm is not None:  # what it takes over is never surplus, however little is known yet
            wanted = tuple(dict.fromkeys((*wanted, *candidate_names(rollout, facts))))
        for name in kept if rollout.phase is Phase.REVERTING else wanted:
            yield rollout.candidate, name, Run.RUNNING, f"revision {rollout.candidate.title} is {rollout.phase}"
    present = {instance.name for instance in facts.observation.instances if instance.state in UP}
    for going in state.retiring:
        for name in going.instances:
            if name in present:
                warm = going.is_warm(facts.now)
                because = "kept warm for the way back" if warm else "finishing the requests it has"
                yield going.revision, name, Run.RUNNING, because


def _shares(state: AgentState, facts: Facts) -> list[Share]:
    rollout = state.active
    shares = []
    if rollout is not None:
        shares.append(Share(rollout.candidate, rollout.weight, proven=rollout.weight > 0))
    if state.stable is not None:
        shares.append(Share(state.stable, 100 - (rollout.weight if rollout else 0), proven=True))
    shares += [Share(going.revision, 0) for going in state.retiring]
    return shares


def candidate_names(rollout: Rollout, facts: Facts) -> tuple[str, ...]:
    """The candidate's instances that run: those that exited are not started again."""
    return tuple(i.name for i in facts.observation.of_revision(rollout.candidate.runs_as) if i.state in UP)
