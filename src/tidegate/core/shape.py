"""From state to the whole desired state: instances, routes, images. One place, whatever the strategy."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tidegate.core import baseline, beside, cleanup, hooks, published, strategies, tasks
from tidegate.core.healing import held_back, leaving, restart_of
from tidegate.core.routing import Beside, Share, routes
from tidegate.core.strategies import Shape
from tidegate.core.view import View, effective_phase
from tidegate.model.decision import Facts
from tidegate.model.desired import TOOLS, Desired, InstanceGoal, Run, TaskGoal, instance_name
from tidegate.model.diff import UP
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import InPlace


def desired(state: AgentState, facts: Facts) -> Desired:
    """Everything that should be true now."""
    if state.decommissioned:
        return Desired(state.key, because="decommissioned", surplus_images=cleanup.due(state, facts))
    tracks = _tracks(state, facts)
    incarnations = restart_of(state, facts.observation)
    wanted = tuple(_goals(state, facts, tracks))
    held = held_back(state, facts.observation, _running(state, wanted))
    waits = "exited again and again: its next start waits"
    goals = tuple(
        InstanceGoal(goal.name, goal.revision, Run.STOPPED, because=waits)
        if goal.name in held
        else replace(goal, restart_of=incarnations.get(goal.name, ""))
        for goal in wanted
    )
    shares = _shares(state, facts)
    serving = {goal.name for goal in goals if goal.run is Run.RUNNING} - leaving(state, facts.observation)
    images = tuple({goal.revision.release.image.reference: goal.revision.release.image for goal in goals}.values())
    rollout = state.active
    if rollout is not None and rollout.candidate.release.image not in images:
        images += (rollout.candidate.release.image,)
    work = _tasks(state, facts)
    images += tuple({goal.runs: None for goal in work if not goal.call and goal.runs not in (TOOLS, *images)})
    because = rollout.because if rollout else "steady: stable serves"
    special = beside.of(View(state, rollout, facts)) if rollout else Beside()
    return Desired(
        state.key,
        images,
        goals,
        published.unhindered(routes(shares, facts.observation, serving, special), goals),
        work,
        because=because,
        surplus_images=cleanup.due(state, facts),
    )


def running(state: AgentState, facts: Facts) -> frozenset[str]:
    """The names of the instances that should run now."""
    return frozenset() if state.decommissioned else _running(state, _goals(state, facts, _tracks(state, facts)))


def _running(state: AgentState, goals: Iterable[InstanceGoal]) -> frozenset[str]:
    """Those of the goals that run, but for stable where in_place stopped it: it exited by our own doing."""
    ours = state.stable if state.active is not None and state.active.swap.down_since is not None else None
    return frozenset(goal.name for goal in goals if goal.run is Run.RUNNING and goal.revision is not ours)


def _tracks(state: AgentState, facts: Facts) -> Shape:
    rollout = state.active
    if rollout is None:
        return Shape(state.replicas if state.stable else 0, 0)
    view = View(state, rollout, facts)
    if rollout.phase is Phase.REVERTING and not isinstance(rollout.strategy, InPlace):
        return Shape(state.replicas if state.stable else 0, 0)
    return strategies.shape(view, effective_phase(rollout))


def _tasks(state: AgentState, facts: Facts) -> tuple[TaskGoal, ...]:
    """The tasks that should be ready, running or over; those whose result is stored are not named any more."""
    rollout = state.active
    if rollout is None:
        return ()
    view, phase = View(state, rollout, facts), effective_phase(rollout)
    around = {Phase.PREPARING: rollout.hooks.pre, Phase.BAKING: rollout.hooks.post}.get(phase, ())
    works = (*hooks.works(view, around), *strategies.works(view, phase))
    return tuple(goal for work in works if (goal := tasks.goal(view, work)) is not None)


def _goals(state: AgentState, facts: Facts, shape: Shape) -> Iterator[InstanceGoal]:
    def names(revision: Revision, count: int) -> list[str]:
        return [instance_name(state.key, revision.runs_as, index) for index in range(1, count + 1)]

    if state.stable is not None:
        every = names(state.stable, shape.stable + shape.stable_stopped)
        for name in every[: shape.stable]:
            yield InstanceGoal(name, state.stable, because=f"stable is revision {state.stable.title}")
        for name in every[shape.stable :]:
            because = "kept for the way back while the candidate takes its place"
            yield InstanceGoal(name, state.stable, Run.STOPPED, because=because)
    rollout = state.active
    if rollout is not None:
        yield from _candidates(state, rollout, facts, shape)
        yield from baseline.goals(View(state, rollout, facts))
    present = {instance.name for instance in facts.observation.instances if instance.state in UP}
    for going in state.retiring:
        for name in going.instances:
            if name in present:
                warm = going.is_warm(facts.now)
                because = "kept warm for the way back" if warm else "finishing the requests it has"
                yield InstanceGoal(name, going.revision, because=because)


def _candidates(state: AgentState, rollout: Rollout, facts: Facts, shape: Shape) -> Iterator[InstanceGoal]:
    revision, because = rollout.candidate, f"revision {rollout.candidate.title} is {rollout.phase}"
    if rollout.phase is Phase.REVERTING:
        # The candidate keeps what it has until no request goes there any more; nothing is made anew.
        if shape.kept:
            for instance in facts.observation.of_revision(revision.runs_as):
                yield InstanceGoal(instance.name, revision, Run.STOPPED, because=because)
            return
        for name in () if state.stable is None else candidate_names(rollout, facts):
            yield InstanceGoal(name, revision, because=because)
        return
    made = [instance_name(state.key, revision.runs_as, n + 1) for n in range(shape.candidate + shape.prepared)]
    for index, name in enumerate(made, start=1):
        prepare = index > shape.candidate
        run = Run.STOPPED if prepare else Run.RUNNING
        yield InstanceGoal(name, revision, run, "", because, prepare, shape.log_lines)
    if revision.warm is not None:  # what it takes over is never surplus, however little is known yet
        for name in candidate_names(rollout, facts):
            if name not in made:
                yield InstanceGoal(name, revision, because=because)


def _shares(state: AgentState, facts: Facts) -> list[Share]:
    rollout = state.active
    shares = []
    if rollout is not None:
        shares.append(Share(rollout.candidate, rollout.weight, proven=rollout.weight > 0))
        shares += baseline.shares(rollout)
    if state.stable is not None:
        others = sum(share.weight for share in shares)
        shares.append(Share(state.stable, 100 - others, proven=True))
    shares += [Share(going.revision, 0) for going in state.retiring]
    return shares


def candidate_names(rollout: Rollout, facts: Facts) -> tuple[str, ...]:
    """The candidate's instances that run: those that exited are not started again."""
    return tuple(i.name for i in facts.observation.of_revision(rollout.candidate.runs_as) if i.state in UP)
