"""Rules, sticky users and mirrors in Envoy's words. Pure.

Sticky users: Envoy takes the hash of the header or cookie, instead of chance, to pick from the weighted clusters in
their order (`use_hash_policy`). The weights sum to 100 and the order never changes, so a growing share only widens its
own range: only new users move. Envoy sets no cookie of its own for this, so whoever has none is spread by the id of the
request, and that id becomes the cookie: the next request has the same hash.
Source: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

import re
from typing import Any

from tidegate.model.desired import Mirror
from tidegate.model.traffic import Match, MatchKind, MatchOn, Sticky

Json = dict[str, Any]
REQUEST_ID = "x-request-id"
YEAR_S = 365 * 24 * 3600


def conditions(matches: tuple[Match, ...]) -> list[Json]:
    """All matches as header matchers; the path is looked at as a header too, so that it narrows the route's own."""
    return [_condition(match) for match in matches]


def _condition(match: Match) -> Json:
    match match.on:
        case MatchOn.HEADER:
            return {"name": match.name, "string_match": _string(match)}
        case MatchOn.PATH:
            if match.kind is MatchKind.PREFIX:
                return {"name": ":path", "string_match": {"prefix": match.value}}
            return _regex(":path", rf"{_pattern(match)}(\?.*)?")
        case MatchOn.COOKIE:
            return _regex("cookie", rf"(.*;\s*)?{re.escape(match.name)}={_pattern(match, '[^;]*')}(;.*)?")
        case MatchOn.GROUP:
            return _regex(match.name, rf"(.*,)?\s*{re.escape(match.value)}\s*(,.*)?")


def _string(match: Match) -> Json:
    match match.kind:
        case MatchKind.EXACT:
            return {"exact": match.value}
        case MatchKind.PREFIX:
            return {"prefix": match.value}
        case MatchKind.REGEX:
            return {"safe_regex": {"regex": match.value}}


def _pattern(match: Match, rest: str = ".*") -> str:
    match match.kind:
        case MatchKind.EXACT:
            return re.escape(match.value)
        case MatchKind.PREFIX:
            return re.escape(match.value) + rest
        case MatchKind.REGEX:
            return f"(?:{match.value})"


def _regex(name: str, regex: str) -> Json:
    return {"name": name, "string_match": {"safe_regex": {"regex": regex}}}


def sticky_routes(sticky: Sticky | None, match: Json, action: Json) -> list[tuple[Json, Json, Json]]:
    """The weighted route as (match, action, more of the route): one, or two where a cookie has to be set."""
    if sticky is None:
        return [(match, action, {})]
    weighted = {**action["weighted_clusters"], "use_hash_policy": True}
    action = {**action, "weighted_clusters": weighted}
    if sticky.header:
        return [(match, {**action, "hash_policy": [{"header": {"header_name": sticky.header}}]}, {})]
    has = _regex("cookie", rf"(.*;\s*)?{re.escape(sticky.cookie)}=[^;]+(;.*)?")
    known = {**match, "headers": [*match.get("headers", ()), has]}
    value = f"{sticky.cookie}=%REQ({REQUEST_ID.upper()})%; Path=/; Max-Age={YEAR_S}; HttpOnly; SameSite=Lax"
    given = {"response_headers_to_add": [{"header": {"key": "set-cookie", "value": value}}]}
    return [
        (known, {**action, "hash_policy": [{"cookie": {"name": sticky.cookie}}]}, {}),
        (match, {**action, "hash_policy": [{"header": {"header_name": REQUEST_ID}}]}, given),
    ]


def mirrored(mirror: Mirror, cluster: str) -> list[Json]:
    """The policy that copies a share of requests to a cluster."""
    share = {"numerator": mirror.percent, "denominator": "HUNDRED"}
    return [{"cluster": cluster, "runtime_fraction": {"default_value": share}}]
