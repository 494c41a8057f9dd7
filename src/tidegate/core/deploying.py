"""From a spec and a release to the intent that deploys it. Pure."""

from tidegate.core.overlay import overlaid
from tidegate.model.intent import Deploy
from tidegate.model.release import Release
from tidegate.model.spec import Environment, Spec


def deployment(
    spec: Spec, place: Environment, release: Release, *, automatic: bool = False, delivery: int = 0
) -> Deploy:
    """What to ask of the environment: overlay, strategy, analysis, rollback, policy, hooks."""
    return Deploy(
        release,
        overlaid(release, spec.workload, place.workload),
        spec.strategy,
        spec.analysis,
        spec.rollback,
        place.policy,
        automatic=automatic,
        hooks=spec.hooks,
        delivery=delivery,
    )
