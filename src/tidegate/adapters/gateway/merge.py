"""Fragments: what each agent wants of the host's gateway, and what they become together. Pure.

Every agent keeps one fragment in the gateway's volume. Whoever writes merges all of them, so controllers that know
nothing of each other share one gateway.
"""

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tidegate.model import codec
from tidegate.model.desired import RouteGoal
from tidegate.model.errors import GatewayError
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route, RouteProtocol


@dataclass(frozen=True)
class Fragment:
    """One agent's routes, and who wrote them: `authority` names the store whose lease the epoch belongs to."""

    key: AgentKey
    routes: tuple[RouteGoal, ...] = ()
    epoch: int = 0
    authority: str = ""


@dataclass(frozen=True)
class Claim:
    """A route with its agent."""

    key: AgentKey
    goal: RouteGoal

    @property
    def route(self) -> Route:
        """What is claimed."""
        return self.goal.route


def write_fragment(fragment: Fragment) -> str:
    """The fragment as a file's text."""
    return json.dumps(codec.dump(fragment), sort_keys=True)


def read_fragment(text: str) -> Fragment:
    """A fragment from a file's text. Raises GatewayError when it is damaged."""
    try:
        return codec.load(json.loads(text), Fragment)
    except Exception as error:  # cattrs raises groups, json its own
        raise GatewayError(
            f"a fragment in the gateway's volume is damaged: {text[:80]!r}",
            hint="remove the gateway's container and volume; each controller writes its routes again",
        ) from error


def canonical(routes: Iterable[RouteGoal]) -> tuple[RouteGoal, ...]:
    """The same routes in one order, so that equal intentions compare equal."""
    return tuple(
        replace(
            goal,
            backends=tuple(
                type(backend)(backend.revision, backend.weight, tuple(sorted(set(backend.endpoints))))
                for backend in sorted(goal.backends, key=lambda backend: backend.revision)
            ),
        )
        for goal in sorted(routes, key=lambda goal: goal.route.name)
    )


def merge(fragments: Iterable[Fragment]) -> tuple[Claim, ...]:
    """All agents' routes, checked against each other. Raises GatewayError that names both agents of a conflict."""
    claims = tuple(
        Claim(fragment.key, goal)
        for fragment in sorted(fragments, key=lambda fragment: str(fragment.key))
        for goal in canonical(fragment.routes)
    )
    by_port: dict[int, list[Claim]] = {}
    for claim in claims:
        _check_alone(claim)
        for other in by_port.setdefault(claim.route.listen, []):
            _check_pair(other, claim)
        by_port[claim.route.listen].append(claim)
    return claims


def _check_alone(claim: Claim) -> None:
    route = claim.route
    where = f"{claim.key}: route {route.name}"
    if route.protocol not in set(RouteProtocol):
        raise GatewayError(
            f"{where}: the gateway does not carry {route.protocol}",
            hint="publish the port straight from the container (ports:); UDP cannot be split by weight",
        )
    for port in (route.listen, route.target):
        if not 1 <= port <= 65535:
            raise GatewayError(f"{where}: {port} is not a port", hint="use 1 to 65535")
    if not route.path.startswith("/"):
        raise GatewayError(f"{where}: path {route.path!r} does not begin with /")
    for backend in claim.goal.backends:
        if backend.weight < 0:
            raise GatewayError(f"{where}: revision {backend.revision} has weight {backend.weight}")
        for endpoint in backend.endpoints:
            _check_address(where, endpoint.address)


def _check_address(where: str, address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise GatewayError(
            f"{where}: endpoint {address!r} is not an IP address", hint="instances get fixed addresses on our network"
        ) from None


def _check_pair(one: Claim, two: Claim) -> None:
    port = one.route.listen
    tcp = RouteProtocol.TCP
    if one.route.protocol is tcp or two.route.protocol is tcp:
        if one.route.protocol is two.route.protocol:
            raise _conflict(one, two, f"both claim TCP port {port}", "a TCP route has its port to itself")
        raise _conflict(one, two, f"port {port} is asked for as TCP and as HTTP", "give one of them another port")
    if (one.route.host, one.route.path) == (two.route.host, two.route.path):
        what = f"both claim port {port}, host {one.route.host}, path {one.route.path}"
        raise _conflict(one, two, what, "change listen, host or path of one of them")
    if (one.route.tls is None) != (two.route.tls is None):
        raise _conflict(one, two, f"port {port} is asked for with and without TLS", "give one of them another port")
    if one.route.host == two.route.host and one.route.tls != two.route.tls:
        what = f"port {port}, host {one.route.host} is asked for with two certificates"
        raise _conflict(one, two, what, "name the same files")


def _conflict(one: Claim, two: Claim, what: str, hint: str) -> GatewayError:
    return GatewayError(f"{one.key} and {two.key}: {what}", hint=hint)
