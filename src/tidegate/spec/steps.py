"""Steps, matches, sticky users and previews: shapes and what they become."""

import re
from typing import Any

from tidegate.model.policy import Gate
from tidegate.model.spec import Analyse, Pause, SetMirror, SetRoute, SetScale, SetWeight
from tidegate.model.traffic import Match, MatchKind, MatchOn, Preview, Sticky
from tidegate.spec.context import Context
from tidegate.spec.document import Node
from tidegate.spec.health import HTTP_PATH
from tidegate.spec.kinds import PORT, duration, free, text, whole
from tidegate.spec.policy import GATE
from tidegate.spec.shapes import INVALID, Key, Object, Record, mismatch, own

GROUP_HEADER = "x-user-group"
PERCENT = whole(0, 100)
_NAME = text("a header's name", r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+", example="x-user-id")
_COOKIE = text("a cookie's name", r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+", example="session")
_VALUE = text("a text")


def _regex(written: str) -> str:
    try:
        re.compile(written)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if re.search(r"\(\?([=!<]|P=)|\\[1-9]", written):
        raise ValueError("RE2 knows no look-around and no back references")
    return written


_REGEX = free("a regular expression (RE2)", _regex, "write v[0-9]+")


class _Pause:
    """A duration, or an empty mapping for a person; Argo's {duration: 30s} too."""

    expected = "a duration, or {} to wait for a person"
    _duration = duration(0.001)

    def read(self, node: Node, context: Context) -> Any:
        """A Pause."""
        if isinstance(node.value, dict):
            if set(node.value) - {"duration"}:
                return mismatch(node, self.expected, context, "write pause: 30s or pause: {}")
            if not node.value:
                return Pause()
            node = node.value["duration"]
        if node.value is None:
            return mismatch(node, self.expected, context, "write pause: {} to wait for a person")
        seconds = self._duration.read(node, context)
        return seconds if seconds is INVALID else Pause(seconds)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """Either form."""
        single = self._duration.schema(definitions)
        form = {"type": "object", "properties": {"duration": single}, "additionalProperties": False}
        return {"anyOf": [single, form]}


class _Analyse:
    """A duration, or an empty mapping for the background."""

    expected = "a duration, or {} to watch in the background from here on"
    _duration = duration(0.001)

    def read(self, node: Node, context: Context) -> Any:
        """An Analyse."""
        if node.value is None or isinstance(node.value, dict):
            if node.value == {}:
                return Analyse(None)
            return mismatch(node, self.expected, context, "write analyse: 5m or analyse: {}")
        seconds = self._duration.read(node, context)
        return seconds if seconds is INVALID else Analyse(seconds)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """Either form."""
        form = {"type": "object", "additionalProperties": False}
        return {"anyOf": [self._duration.schema(definitions), form]}


_KINDS = (
    Key("exact", _VALUE, "It is this."),
    Key("prefix", _VALUE, "It begins with this."),
    Key("regex", _REGEX, "The whole of it matches this (RE2's syntax)."),
)


def _compared(record: Record) -> tuple[MatchKind, str] | None:
    return next(((kind, record[kind.value]) for kind in MatchKind if kind.value in record), None)


def _named(on: MatchOn) -> Any:
    def build(record: Record, context: Context) -> object:
        compared = _compared(record)
        if "name" not in record or compared is None:
            return INVALID
        return Match(on, compared[1], record["name"], compared[0])

    return build


def _path(record: Record, context: Context) -> object:
    compared = _compared(record)
    return INVALID if compared is None else Match(MatchOn.PATH, compared[1], kind=compared[0])


_OF = ("exact", "prefix", "regex")
HEADER = Object(
    "header_match",
    "A header of the request.",
    (Key("name", _NAME, "Its name.", required=True), *_KINDS),
    one_of=_OF,
    build=_named(MatchOn.HEADER),
)
COOKIE = Object(
    "cookie_match",
    "A cookie of the request.",
    (Key("name", _COOKIE, "Its name.", required=True), *_KINDS),
    one_of=_OF,
    build=_named(MatchOn.COOKIE),
)
PATH = Object(
    "path_match",
    "The path of the request, without its query; it narrows the route's own path.",
    (
        Key("exact", HTTP_PATH, "It is this."),
        Key("prefix", HTTP_PATH, "It begins with this."),
        Key("regex", _REGEX, "The whole of it matches this (RE2's syntax)."),
    ),
    one_of=_OF,
    build=_path,
)
_MATCHES = (
    Key("path", PATH, "Requests by path."),
    Key("header", HEADER, "Requests by header."),
    Key("cookie", COOKIE, "Requests by cookie."),
    Key(
        "group",
        text("a group's name", r"[^,\s]+", example="beta"),
        f"Users by group: a name in the header {GROUP_HEADER}, which lists them with commas.",
    ),
)


def matches_of(record: Record) -> tuple[Match, ...]:
    """The matches of a record that has the keys path, header, cookie and group; all of them must hold."""
    found = [record[name] for name in ("path", "header", "cookie") if name in record]
    if "group" in record:
        found.append(Match(MatchOn.GROUP, record["group"], GROUP_HEADER))
    return tuple(found)


def _set_route(record: Record, context: Context) -> object:
    matches = matches_of(record)
    if "version" in record.places and matches:
        context.error(record.at("version"), "stands alone", "write two set_route steps")
        return INVALID
    return SetRoute(matches, record.get("version", ""))


SET_ROUTE = Object(
    "set_route",
    "Requests that go to the canary whatever the weight; all that is given must hold. {} takes all of them back.",
    (
        *_MATCHES,
        Key("version", _NAME, "A header that names a version: v2.0-beta in it reaches the revision of that version."),
    ),
    build=_set_route,
)


def _scale(record: Record, context: Context) -> object:
    if "replicas" in record:
        return SetScale(str(record["replicas"]))
    return SetScale(f"{record['percent']}%") if "percent" in record else SetScale()


SET_SCALE = Object(
    "set_scale",
    "Instances of the canary from here on. {} gives as many as the weight needs again.",
    (
        Key("replicas", whole(1, 1000), "As a number."),
        Key("percent", whole(1, 1000), "In percent of the replicas."),
    ),
    build=_scale,
)


def _sticky(record: Record, context: Context) -> object:
    return Sticky(record.get("header", ""), record.get("cookie", ""))


STICKY = Object(
    "sticky",
    "Users stay where they are, and only new ones move as the share grows.",
    (
        Key("header", _NAME, "Users are told apart by this header; who has none is sent by chance."),
        Key("cookie", _COOKIE, "Users are told apart by this cookie; the gateway sets it where it is absent."),
    ),
    one_of=("header", "cookie"),
    build=_sticky,
)


def _preview(record: Record, context: Context) -> object:
    preview = Preview(record.get("listen", 0), record.get("host", ""), matches_of(record))
    if preview == Preview() and not record.places:
        context.error(record.node.where, "says nothing", "write listen: 9090, host: preview.example.org or a match")
        return INVALID
    return preview


PREVIEW = Object(
    "preview",
    "How the candidate is reached before the switch; nothing else is reached this way.",
    (
        Key("listen", PORT, "A port of the gateway for the first listening port, the next for the second ..."),
        Key("host", text("a host name", r"[A-Za-z0-9_]([A-Za-z0-9_.\-]*[A-Za-z0-9_])?"), "A host name."),
        *_MATCHES,
    ),
    build=_preview,
)


def _step(record: Record, context: Context) -> object:
    match record:
        case {"set_weight": int(weight)}:
            return SetWeight(weight), record.node.where
        case {"mirror": int(percent)}:
            return SetMirror(percent), record.node.where
        case {"gate": Gate() as gate}:
            return gate, record.node.where
    found = next((record[name] for name in ("pause", "analyse", "set_route", "set_scale") if name in record), INVALID)
    return found if found is INVALID else (found, record.node.where)


STEP = Object(
    "step",
    "One step of a canary.",
    own(
        Key("set_weight", PERCENT, "Percent of requests that go to the canary."),
        Key("set_route", SET_ROUTE, "Requests that go to the canary whatever the weight."),
        Key("mirror", PERCENT, "Percent of requests that are copied to the canary, its responses thrown away."),
        Key("set_scale", SET_SCALE, "Instances of the canary."),
        Key("pause", _Pause(), "Wait: a duration, or {} for a person (tidegate promote)."),
        Key(
            "analyse",
            _Analyse(),
            "Watch this long and go on only when every verdict is pass; {}: watch in the background from here on "
            "(without such a step, from the first one on).",
            aliases=("analyze",),
        ),
        Key("gate", GATE, "Wait for a named person's approval (tidegate approve)."),
    ),
    one_of=("set_weight", "set_route", "mirror", "set_scale", "pause", "analyse", "gate"),
    build=_step,
)
