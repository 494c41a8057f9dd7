"""A heartbeat's JSON as a model value. Every field is checked; whatever is wrong is named, and nothing else gets in."""

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from tidegate.model.errors import UsageError
from tidegate.model.heartbeat import AgentStatus, Completed, Heartbeat
from tidegate.model.release import AgentKey

DEEPEST = 16
LONGEST_NAME = 200
LONGEST_MESSAGE = 1000
LONGEST_DETAIL = 2000
MOST_METRICS = 200
MOST_COMPLETED = 100
MOST_ATTRIBUTES = 50
MOST_SEQUENCE = 2**53
MOST_REVISION = 2**31 - 1
LONGEST_INTERVAL_S = 86400.0

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class BadHeartbeatError(UsageError):
    """A body that is not this protocol's. `field`: where (empty: the whole body); `understood`: whether it was JSON."""

    code = "bad-heartbeat"

    def __init__(self, field: str, message: str, *, understood: bool = True) -> None:
        super().__init__(
            f"{field}: {message}" if field else message, hint="docs/reference/heartbeat.md is the contract"
        )
        self.field = field
        self.understood = understood


def decode(body: bytes) -> Heartbeat:
    """The message in a request's body. Raises BadHeartbeatError, and nothing else, for every input."""
    plain = _parse(body)
    if not isinstance(plain, dict):
        raise BadHeartbeatError("", "expected a JSON object")
    return Heartbeat(
        AgentKey(_name(plain, "agent"), _name(plain, "environment")),
        _name(plain, "instance"),
        _whole(plain, "revision", 0, MOST_REVISION),
        _name(plain, "version"),
        _status(plain),
        _whole(plain, "sequence", 1, MOST_SEQUENCE),
        _number(plain, "sent_at"),
        _interval(plain),
        _text(plain, "message", LONGEST_MESSAGE),
        _metrics(plain.get("metrics")),
        tuple(_completed(plain.get("completed"))),
        _attributes(plain.get("attributes")),
    )


def decode_enrolment(body: bytes) -> str:
    """The instance that wants a credential. Raises BadHeartbeatError."""
    plain = _parse(body)
    if not isinstance(plain, dict):
        raise BadHeartbeatError("", "expected a JSON object")
    return _name(plain, "instance")


def _parse(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadHeartbeatError("", "expected JSON in UTF-8", understood=False) from None
    if _depth(text) > DEEPEST:
        raise BadHeartbeatError("", f"nested deeper than {DEEPEST} levels", understood=False)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadHeartbeatError("", f"expected JSON{where}", understood=False) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _depth(text: str) -> int:
    """How deep brackets are nested, those in strings left out; what is no JSON is the parser's matter."""
    deepest = now = 0
    for token in _TOKENS.finditer(text):
        match text[token.start()]:
            case "[" | "{":
                now += 1
                deepest = max(deepest, now)
            case "]" | "}":
                now -= 1
    return deepest


def _required(plain: Mapping[str, Any], field: str) -> Any:
    if field not in plain:
        raise BadHeartbeatError(field, "is missing")
    return plain[field]


def _name(plain: Mapping[str, Any], field: str) -> str:
    """A required text without control characters: it becomes part of keys, tables and log lines."""
    value = _required(plain, field)
    if not isinstance(value, str) or not value.strip():
        raise BadHeartbeatError(field, "expected a text that is not empty")
    if len(value) > LONGEST_NAME:
        raise BadHeartbeatError(field, f"longer than {LONGEST_NAME} characters")
    if any(unicodedata.category(character)[0] == "C" for character in value):
        raise BadHeartbeatError(field, "holds control characters")
    return value


def _status(plain: Mapping[str, Any]) -> AgentStatus:
    value = _required(plain, "status")
    try:
        return AgentStatus(value)
    except ValueError:
        raise BadHeartbeatError("status", f"expected one of {', '.join(AgentStatus)}") from None


def _whole(plain: Mapping[str, Any], field: str, least: int, most: int) -> int:
    value = _required(plain, field)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadHeartbeatError(field, f"expected a whole number from {least} to {most}")
    return value


def _number(plain: Mapping[str, Any], field: str) -> float:
    value = _finite(_required(plain, field))
    if value is None:
        raise BadHeartbeatError(field, "expected a finite number")
    return value


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _interval(plain: Mapping[str, Any]) -> float:
    value = _number(plain, "interval_s")
    if not 0 < value <= LONGEST_INTERVAL_S:
        raise BadHeartbeatError("interval_s", f"expected seconds above 0, at most {LONGEST_INTERVAL_S:.0f}")
    return value


def _text(plain: Mapping[str, Any], field: str, longest: int, where: str = "") -> str:
    """An optional text. Control characters (a terminal obeys them) become spaces: it may be shown as it is."""
    value = plain.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadHeartbeatError(where + field, "expected a text")
    if len(value) > longest:
        raise BadHeartbeatError(where + field, f"longer than {longest} characters")
    return "".join(" " if unicodedata.category(character)[0] == "C" else character for character in value).strip()


def _metrics(plain: Any) -> dict[str, float]:
    if plain is None:
        return {}
    if not isinstance(plain, dict) or len(plain) > MOST_METRICS:
        raise BadHeartbeatError("metrics", f"expected an object of at most {MOST_METRICS} numbers")
    metrics = {}
    for name, given in plain.items():
        value = _finite(given)
        if value is None or len(name) > LONGEST_NAME:
            raise BadHeartbeatError("metrics", "expected names of at most 200 characters, each with a finite number")
        metrics[_text({"name": name}, "name", LONGEST_NAME, "metrics.")] = value
    return metrics


def _attributes(plain: Any) -> dict[str, str] | None:
    """Where it runs and what it is, in OpenTelemetry's names (host.name ...), and labels of its own."""
    if plain is None:
        return None
    if not isinstance(plain, dict) or len(plain) > MOST_ATTRIBUTES:
        raise BadHeartbeatError("attributes", f"expected an object of at most {MOST_ATTRIBUTES} texts")
    found = {}
    for name, value in plain.items():
        given = {"name": name, "value": value}
        text = _text(given, "value", LONGEST_MESSAGE, "attributes.")
        found[_text(given, "name", LONGEST_NAME, "attributes.")] = text
    return found


def _completed(plain: Any) -> Iterator[Completed]:
    if plain is None:
        return
    if not isinstance(plain, list) or len(plain) > MOST_COMPLETED:
        raise BadHeartbeatError("completed", f"expected a list of at most {MOST_COMPLETED} results")
    for index, item in enumerate(plain):
        where = f"completed[{index}]."
        if not isinstance(item, dict) or not isinstance(item.get("ok"), bool):
            raise BadHeartbeatError(f"{where}ok", "expected true or false")
        times = [_finite(item.get(field, 0.0)) for field in ("started_at", "ended_at")]
        if times[0] is None or times[1] is None:
            raise BadHeartbeatError(f"{where}started_at", "expected unix seconds, and so for ended_at")
        task = _text(item, "task", LONGEST_NAME, where)
        if not task:
            raise BadHeartbeatError(f"{where}task", "expected a text that is not empty")
        yield Completed(task, item["ok"], _text(item, "detail", LONGEST_DETAIL, where), times[0], times[1])
