"""Which requests are meant: matches, sticky users and previews, as the spec writes them and the gateway gets them."""

from dataclasses import dataclass
from enum import StrEnum


class MatchOn(StrEnum):
    """What of a request is looked at."""

    PATH = "path"
    HEADER = "header"
    COOKIE = "cookie"
    GROUP = "group"


class MatchKind(StrEnum):
    """How it is compared. A regex must match the whole (RE2's syntax)."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"


@dataclass(frozen=True)
class Match:
    """One condition on a request. `name` is the header's or the cookie's; a path is compared without its query.

    A GROUP matches when `value` is one of the names, separated by commas, in the header `name`.
    """

    on: MatchOn
    value: str
    name: str = ""
    kind: MatchKind = MatchKind.EXACT


@dataclass(frozen=True)
class Sticky:
    """Users who stay where they are: told apart by a header, or by a cookie that the gateway sets when it is absent."""

    header: str = ""
    cookie: str = ""


@dataclass(frozen=True)
class Preview:
    """How the candidate is reached before the switch: by a listening port, a host name, or matching requests.

    `listen` previews the first listening port of the agent, `listen` + 1 the second, and so on.
    """

    listen: int = 0
    host: str = ""
    matches: tuple[Match, ...] = ()
