"""What phases and strategies look at: state and facts together, with the questions that they ask of them."""

import math
from dataclasses import dataclass

from tidegate.core.routing import serving
from tidegate.model.decision import Facts
from tidegate.model.desired import RouteGoal
from tidegate.model.observation import ImageState, ObservedInstance
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Mode
from tidegate.model.verdict import Outcome
from tidegate.model.workload import RouteProtocol


@dataclass(frozen=True)
class View:
    """A rollout under way, seen at one moment."""

    state: AgentState
    rollout: Rollout
    facts: Facts

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self.facts.now

    @property
    def waited(self) -> float:
        """Seconds in this phase."""
        return self.now - self.rollout.phase_since

    @property
    def on_step(self) -> float:
        """Seconds on this step."""
        return self.now - self.rollout.cursor_since

    @property
    def candidates(self) -> tuple[ObservedInstance, ...]:
        """What runs of the candidate's revision."""
        return self.facts.observation.of_revision(self.rollout.candidate.runs_as)

    @property
    def ready_candidates(self) -> int:
        """How many of them may take requests, or are ready where there are no requests."""
        return sum(1 for instance in self.candidates if instance.ready)

    def settled_candidates(self, seconds: float) -> int:
        """How many have been ready for these seconds."""
        since = self.rollout.ready_since
        return sum(1 for i in self.candidates if i.ready and self.now - since.get(i.name, self.now) >= seconds)

    @property
    def stable_serving(self) -> int:
        """How many instances of stable may take requests."""
        if self.state.stable is None:
            return 0
        return len(serving(self.facts.observation, self.state.stable.runs_as))

    @property
    def image_state(self) -> tuple[ImageState | None, str]:
        """Whether the candidate's image is on the host, and what is known about it."""
        reference = self.rollout.candidate.release.image.reference
        for image in self.facts.observation.images:
            if image.reference == reference:
                return image.state, image.detail
        return None, ""

    @property
    def takes_traffic(self) -> bool:
        """Whether the candidate has routes."""
        return self.rollout.candidate.workload.takes_traffic

    def wanted(self, weight: int) -> int:
        """Instances that the candidate needs for a weight in percent: its share of the replicas, at least one."""
        return max(1, math.ceil(self.state.replicas * weight / 100))

    def baseline_missing(self, needed: int) -> str:
        """What the next weight waits for; empty when as many of the fresh baseline are ready as the canary needs."""
        baseline = self.rollout.baseline
        if baseline is None:
            return ""
        ready = sum(1 for one in self.facts.observation.of_revision(baseline.runs_as) if one.ready)
        return f"{ready} of {needed} instances of the fresh baseline are ready" if ready < needed else ""

    def share_applied(self, weight: int) -> bool:
        """Whether the gateway really sends the candidate this share of every route (always, without routes)."""
        if not self.takes_traffic:
            return True
        number = self.rollout.candidate.runs_as
        gateway = self.facts.observation.gateway
        if not gateway.running:
            return False
        listed = {goal.route.name: goal for goal in gateway.routes}
        names = {route.name for route in self.rollout.candidate.workload.routes}
        shares = {
            name: {b.weight for b in listed[name].backends if b.revision == number} for name in names if name in listed
        }
        if weight:
            # What stable does not have is the candidate's alone, whatever the weight.
            stable = self.state.stable
            common = {route.name for route in stable.workload.routes} if stable is not None else names
            return all(shares.get(name) == ({weight} if name in common else {100}) for name in names)
        left = set().union(*shares.values())
        going = effective_phase(self.rollout) is Phase.REVERTING
        return left <= {0} and not (going and any(number in goal.targets for goal in gateway.routes))

    def requests(self) -> tuple[RouteGoal, ...]:
        """The gateway's routes of the candidate that know requests, as they are in force."""
        names = {r.name for r in self.rollout.candidate.workload.routes if r.protocol is not RouteProtocol.TCP}
        return tuple(goal for goal in self.facts.observation.gateway.routes if goal.route.name in names)

    @property
    def passed(self) -> bool:
        """Whether the verdict lets the rollout go on; while observing, every verdict does."""
        verdict = self.rollout.verdict
        observing = self.rollout.analysis.mode is Mode.OBSERVE
        return observing or (verdict is not None and verdict.outcome is Outcome.PASS)

    @property
    def first(self) -> bool:
        """Whether nothing served before: there is no control and nothing to go back to."""
        return self.state.stable is None


def effective_phase(rollout: Rollout) -> Phase:
    """The phase whose world should hold: a pause keeps the world of the phase that it interrupted."""
    return rollout.hold.resume_to if rollout.phase is Phase.PAUSED and rollout.hold else rollout.phase
