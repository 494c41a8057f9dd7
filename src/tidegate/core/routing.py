"""Who gets which share of a route: only instances that are ready, and nothing for a revision that has none."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from tidegate.model.desired import Backend, Endpoint, Mirror, RouteGoal, Rule
from tidegate.model.observation import InstanceState, Observation, ObservedInstance
from tidegate.model.release import Revision
from tidegate.model.traffic import Preview, Sticky
from tidegate.model.workload import Route, RouteProtocol


@dataclass(frozen=True)
class Share:
    """What one revision should get: a weight in percent, if it has anybody to take it.

    `proven` says that it has had requests before: while neither its probes nor the gateway have answered a controller
    that has just started, it keeps them. To take everybody out of the routes for want of news would be an outage.
    """

    revision: Revision
    weight: int
    proven: bool = False


@dataclass(frozen=True)
class Beside:
    """What a rollout asks of the routes beside weights.

    A rule whose revision has nobody ready is left out: its users are better served by stable. A rule of the preview
    stays, and is answered with 503: whoever tries the candidate must never see stable.
    """

    rules: tuple[Rule, ...] = ()
    preview_rules: tuple[Rule, ...] = ()
    sticky: Sticky | None = None
    mirror: Mirror | None = None
    preview: Preview | None = None
    candidate: Revision | None = None


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


def routes(
    shares: Sequence[Share], observed: Observation, names: Set[str], beside: Beside = Beside()
) -> tuple[RouteGoal, ...]:
    """Every route of the shares' revisions with its backends: of the instances named, those that can serve.

    An instance that is to go is not named: it leaves the routes first, and only then is it stopped.

    A route that only some revisions have goes to those that have it; one that only a candidate without weight has is
    not there yet (or no more): nobody could see it before the release, and nobody may after the way back. Weights are
    spread anew over the revisions that can serve, because a gateway's split does not fail over by itself: an empty
    share would be answered with 503.
    """
    wanted: dict[str, Route] = {}
    settled = any(share.proven for share in shares)
    for share in sorted(shares, key=lambda share: share.weight):
        if share.weight or share.proven or not settled:
            wanted |= {route.name: route for route in share.revision.workload.routes}
    goals = [RouteGoal(route, _backends(route, shares, observed, names)) for _, route in sorted(wanted.items())]
    if beside == Beside():
        return tuple(goals)
    goals = [_with(goal, beside) for goal in goals]
    return tuple(sorted([*goals, *_previews(beside, observed, names)], key=lambda goal: goal.route.name))


def _with(goal: RouteGoal, beside: Beside) -> RouteGoal:
    """The route with what applies to it; nothing does to TCP, which knows no requests."""
    if goal.route.protocol is RouteProtocol.TCP:
        return goal
    there = {backend.revision for backend in goal.backends}
    return replace(
        goal,
        rules=(*beside.preview_rules, *(rule for rule in beside.rules if rule.revision in there)),
        sticky=beside.sticky,
        mirror=beside.mirror if beside.mirror and beside.mirror.revision in there else None,
    )


def _previews(beside: Beside, observed: Observation, names: Set[str]) -> list[RouteGoal]:
    """The candidate's routes once more, on the preview's ports or under its name, for the candidate alone."""
    preview, candidate = beside.preview, beside.candidate
    if preview is None or candidate is None:
        return []
    ports = {port: index for index, port in enumerate(sorted({r.listen for r in candidate.workload.routes}))}
    only = [Share(candidate, 100)]
    return [
        RouteGoal(shown, _backends(route, only, observed, names))
        for route in candidate.workload.routes
        if (shown := previewed(route, preview, ports[route.listen])) is not None
    ]


def previewed(route: Route, preview: Preview, index: int) -> Route | None:
    """Where a route is seen in the preview; `index` ranks its listening port. A host name shows no TCP."""
    if preview.host and route.protocol is RouteProtocol.TCP and not preview.listen:
        return None
    listen = preview.listen + index if preview.listen else route.listen
    host = preview.host if preview.host and route.protocol is not RouteProtocol.TCP else route.host
    return replace(route, listen=listen, host=host)


def _backends(route: Route, shares: Sequence[Share], observed: Observation, names: Set[str]) -> tuple[Backend, ...]:
    endpoints: dict[int, tuple[Endpoint, ...]] = {}
    for share in shares:
        port = next((r.target for r in share.revision.workload.routes if r.name == route.name), None)
        if port is not None:
            ready = [i for i in _able(share, observed) if i.name in names]
            endpoints[share.revision.runs_as] = tuple(sorted(Endpoint(i.address, port) for i in ready))
    weights = spread({s.revision.runs_as: s.weight for s in shares if endpoints.get(s.revision.runs_as)})
    return tuple(
        Backend(number, weights.get(number, 0), targets) for number, targets in sorted(endpoints.items()) if targets
    )


def _able(share: Share, observed: Observation) -> tuple[ObservedInstance, ...]:
    """The instances that can serve; of a proven revision, those too of which nothing at all is known yet."""
    known = serving(observed, share.revision.runs_as)
    if known or not share.proven or observed.gateway.running:
        return known
    return tuple(
        instance
        for instance in observed.of_revision(share.revision.runs_as)
        if instance.state is InstanceState.RUNNING and instance.address and instance.ready is None
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
