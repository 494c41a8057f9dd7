"""Who gets which share of a route: only instances that are ready, and nothing for a revision that has none."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from tidegate.model.desired import Backend, Endpoint, RouteGoal
from tidegate.model.observation import InstanceState, Observation, ObservedInstance
from tidegate.model.release import Revision
from tidegate.model.workload import Route


@dataclass(frozen=True)
class Share:
    """What one revision should get: a weight in percent, if it has anybody to take it."""

    revision: Revision
    weight: int


def is_serving(instance: ObservedInstance, observed: Observation) -> bool:
    """Ready, or not asked yet and already in the routes (a controller that has just started knows nothing yet)."""
    if instance.state is not InstanceState.RUNNING or not instance.address:
        return False
    if instance.ready is None:
        known = observed.gateway.endpoints(instance.revision)
        return any(endpoint.address == instance.address for endpoint in known)
    return instance.ready


def serving(observed: Observation, revision: int) -> tuple[ObservedInstance, ...]:
    """The instances of a revision that may take requests."""
    return tuple(i for i in observed.of_revision(revision) if is_serving(i, observed))


def routes(shares: Sequence[Share], observed: Observation, names: Set[str]) -> tuple[RouteGoal, ...]:
    """Every route of the shares' revisions with its backends: of the instances named, those that can serve.

    An instance that is to go is not named: it leaves the routes first, and only then is it stopped.

    A route that only some revisions have goes to those that have it. Weights are spread anew over the revisions that
    can serve, because a gateway's split does not fail over by itself: an empty share would be answered with 503.
    """
    wanted: dict[str, Route] = {}
    for share in sorted(shares, key=lambda share: share.weight):
        wanted |= {route.name: route for route in share.revision.workload.routes}
    return tuple(RouteGoal(route, _backends(route, shares, observed, names)) for _, route in sorted(wanted.items()))


def _backends(route: Route, shares: Sequence[Share], observed: Observation, names: Set[str]) -> tuple[Backend, ...]:
    endpoints: dict[int, tuple[Endpoint, ...]] = {}
    for share in shares:
        port = next((r.target for r in share.revision.workload.routes if r.name == route.name), None)
        if port is not None:
            ready = [i for i in serving(observed, share.revision.runs_as) if i.name in names]
            endpoints[share.revision.runs_as] = tuple(sorted(Endpoint(i.address, port) for i in ready))
    weights = spread({s.revision.runs_as: s.weight for s in shares if endpoints.get(s.revision.runs_as)})
    return tuple(
        Backend(number, weights.get(number, 0), targets) for number, targets in sorted(endpoints.items()) if targets
    )


def spread(weights: Mapping[int, int]) -> dict[int, int]:
    """Scale weights to a sum of exactly 100; when all are 0, the highest revision but one gets everything.

    All zero happens when the one that should serve has nobody ready: whoever is left is better than an error, and of
    two the earlier revision is the one that has been proven.
    """
    total = sum(weights.values())
    if not weights:
        return {}
    if total == 0:
        chosen = min(weights)
        return {number: 100 if number == chosen else 0 for number in weights}
    scaled = {number: weight * 100 // total for number, weight in weights.items()}
    heaviest = max(weights, key=lambda number: (weights[number], -number))
    scaled[heaviest] += 100 - sum(scaled.values())
    return scaled
