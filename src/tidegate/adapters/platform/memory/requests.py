"""Where one request goes: rules, sticky users and weights as the gateway reads them, for the world in memory."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.model.desired import RouteGoal
from tidegate.model.traffic import Match, MatchKind, MatchOn


@dataclass(frozen=True)
class Request:
    """A request as far as routes look at it. Header names are in lower case."""

    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)


def revision_of(goal: RouteGoal, request: Request) -> int | None:
    """The revision that answers; None when the gateway answers 503 itself. Without stickiness the heaviest one."""
    there = {backend.revision for backend in goal.backends if backend.endpoints}
    for rule in goal.rules:
        if all(holds(match, request) for match in rule.matches):
            return rule.revision if rule.revision in there else None
    weights = [(backend.revision, backend.weight) for backend in goal.backends if backend.weight]
    if not weights:
        return None
    sticky = goal.sticky
    user = (request.headers.get(sticky.header) or request.cookies.get(sticky.cookie)) if sticky else None
    return _by_hash(weights, user) if user else max(weights, key=lambda pair: pair[1])[0]


def _by_hash(weights: Sequence[tuple[int, int]], user: str) -> int:
    """Ranges of a hash in the order of the backends, as Envoy picks from weighted clusters."""
    value = int.from_bytes(hashlib.sha256(user.encode()).digest()[:8]) % sum(weight for _, weight in weights)
    for revision, weight in weights:
        if value < weight:
            return revision
        value -= weight
    raise AssertionError("the ranges cover every value")


def holds(match: Match, request: Request) -> bool:
    """Whether a request is one that is meant."""
    match match.on:
        case MatchOn.PATH:
            found: str | None = request.path.partition("?")[0]
        case MatchOn.HEADER:
            found = request.headers.get(match.name)
        case MatchOn.COOKIE:
            found = request.cookies.get(match.name)
        case MatchOn.GROUP:
            return match.value in (group.strip() for group in request.headers.get(match.name, "").split(","))
    if found is None:
        return False
    match match.kind:
        case MatchKind.EXACT:
            return found == match.value
        case MatchKind.PREFIX:
            return found.startswith(match.value)
        case MatchKind.REGEX:
            return re.fullmatch(match.value, found) is not None
