"""What to tell the gateway. Pure."""

from tidegate.adapters.gateway.merge import canonical
from tidegate.model.desired import Desired, RouteGoal
from tidegate.model.observation import ObservedGateway
from tidegate.model.operation import ApplyRoutes, GatewayOperation, StartGateway


def plan(desired: Desired, observed: ObservedGateway) -> tuple[GatewayOperation, ...]:
    """Start the gateway when there are routes and it does not run; hand over the routes when others are in force."""
    wanted, applied = canonical(desired.routes), canonical(observed.routes)
    if wanted == applied:
        return ()
    apply = ApplyRoutes(desired.key, wanted, desired.because or _difference(wanted, applied))
    if observed.running:
        return (apply,)
    return (StartGateway(f"{desired.key} has routes and no gateway runs on the host"), apply)


def _difference(wanted: tuple[RouteGoal, ...], applied: tuple[RouteGoal, ...]) -> str:
    want, have = ({goal.route.name: goal for goal in goals} for goals in (wanted, applied))
    added, removed = sorted(want.keys() - have.keys()), sorted(have.keys() - want.keys())
    changed = sorted(name for name in want.keys() & have.keys() if want[name] != have[name])
    parts = (("new", added), ("gone", removed), ("changed", changed))
    return "routes differ from those in force: " + "; ".join(f"{w} {', '.join(n)}" for w, n in parts if n)
