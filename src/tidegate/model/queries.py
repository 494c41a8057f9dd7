"""The queries of metric sources: what may be asked of each, read once here for the spec and for the sources alike.

Every reader raises ValueError with a hint for a person.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.model.metering import OriginKind, Subject

STATS = ("cpu_share", "memory_share", "memory_bytes", "restarts", "oom_kills")
HEARTBEAT = ("silence_s", "gaps", "processes", "skew_s", "failing")
PLACEHOLDERS = ("agent", "environment", "revision", "instances")
LEVELS: Mapping[str, int] = {
    **dict.fromkeys(("trace", "verbose"), 10),
    "debug": 20,
    **dict.fromkeys(("info", "information", "notice"), 30),
    **dict.fromkeys(("warn", "warning"), 40),
    **dict.fromkeys(("error", "err"), 50),
    **dict.fromkeys(("critical", "crit", "fatal", "panic", "alert", "emerg", "emergency"), 60),
}
"""Names of log levels, with the numbers that bunyan and pino give them."""


def check(kind: OriginKind, query: str) -> None:
    """Raise ValueError with a hint for a query that a kind of source cannot answer."""
    match kind:
        case OriginKind.STATS | OriginKind.HEARTBEAT:
            known = STATS if kind is OriginKind.STATS else HEARTBEAT
            if query not in known:
                raise ValueError(f"write {', '.join(known[:-1])} or {known[-1]}")
        case OriginKind.LOGS:
            read_log_query(query)
        case OriginKind.SCRAPE:
            read_selection(query)
        case OriginKind.PROMETHEUS:
            check_promql(query)
        case OriginKind.FILE:
            if not query.strip():
                raise ValueError("name a metric of the file")


@dataclass(frozen=True)
class LogQuery:
    """Lines at or above a level, or lines that a pattern is found in."""

    level: int = 0
    pattern: re.Pattern[str] | None = None


def read_log_query(text: str) -> LogQuery:
    """`level>=error`, or a regular expression in Python's syntax."""
    if match := re.fullmatch(r"level\s*>=\s*(\w+)", text.strip()):
        level = LEVELS.get(match[1].lower())
        if level is None:
            raise ValueError(f"{match[1]} is no level: write trace, debug, info, warn, error or critical")
        return LogQuery(level)
    if re.search(r"[*+}]\)[*+{]", text):
        raise ValueError("a repetition of a repetition can take for ever on one line: take the outer or inner one out")
    try:
        return LogQuery(pattern=re.compile(text))
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


@dataclass(frozen=True)
class Selector:
    """Samples of one name whose labels fit. `spread`: the buckets of a histogram, each for itself."""

    name: str
    labels: tuple[tuple[str, str, str], ...] = ()
    spread: bool = False

    def fits(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a sample is meant. Patterns match as a whole, as Prometheus' do."""
        return name == self.name and all(_fits(labels.get(key, ""), how, wanted) for key, how, wanted in self.labels)

    def at(self, labels: Mapping[str, str]) -> "Selector":
        """The selector of one bucket, by its upper bound; itself where nothing is spread."""
        return Selector(self.name, (*self.labels, ("le", "=", labels.get("le", "nan")))) if self.spread else self


def _fits(value: str, how: str, wanted: str) -> bool:
    match how:
        case "=":
            return value == wanted
        case "!=":
            return value != wanted
        case "=~":
            return re.fullmatch(wanted, value) is not None
        case _:
            return re.fullmatch(wanted, value) is None


@dataclass(frozen=True)
class Selection:
    """What is read of agents' own metrics: a selector, or the quotient of two, over a revision's instances."""

    over: str
    selector: Selector
    by: Selector | None = None


_LABEL = r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*'
_SELECTOR = rf"([a-zA-Z_:][\w:]*)\s*(?:\{{((?:{_LABEL})?(?:,{_LABEL})*,?\s*)\}})?"


def read_selection(text: str) -> Selection:
    """`name{label="value"}`, `sum(...)`, `mean(...)`, `max(...)`, `min(...)` of it, or `selector / selector`."""
    hint = 'write name, name{label="value"}, sum(name), or name / name'
    if match := re.fullmatch(rf"\s*{_SELECTOR}\s*/\s*{_SELECTOR}\s*", text):
        half = len(match.groups()) // 2
        return Selection("ratio", _selector(match[1], match[2]), _selector(match[half + 1], match[half + 2]))
    if match := re.fullmatch(rf"\s*(?:(sum|mean|max|min)\s*\(\s*{_SELECTOR}\s*\)|{_SELECTOR})\s*", text):
        half = 1 + (len(match.groups()) - 1) // 2
        at = 2 if match[1] else half + 1
        return Selection(match[1] or "mean", _selector(match[at], match[at + 1]))
    raise ValueError(hint)


def _selector(name: str, labels: str | None) -> Selector:
    found = []
    for key, how, raw in re.findall(_LABEL, labels or ""):
        value = re.sub(r"\\(.)", r"\1", raw) if how in ("=", "!=") else raw.replace("\\\\", "\\")
        if how in ("=~", "!~"):
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{key}: not a regular expression: {error}") from None
        found.append((key, how, value))
    return Selector(name, tuple(found))


def check_promql(text: str) -> None:
    """Placeholders that are known, brackets that close. The rest only the Prometheus can tell."""
    for name in placeholders(text):
        if name not in PLACEHOLDERS:
            raise ValueError(f"{{{{{name}}}}} is unknown: write {', '.join(PLACEHOLDERS)}")
    depth: list[str] = []
    plain = re.sub(r"\{\{.*?\}\}", "", text)
    plain = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`', "", plain)
    for sign in plain:
        if sign in "([{":
            depth.append({"(": ")", "[": "]", "{": "}"}[sign])
        elif sign in ")]}" and (not depth or depth.pop() != sign):
            raise ValueError(f"{sign} closes nothing")
        elif sign in "\"'`":
            raise ValueError(f"a quotation mark {sign} is never closed")
    if depth:
        raise ValueError(f"{depth[-1]} is missing")


def placeholders(text: str) -> Iterator[str]:
    """The names in double braces."""
    return (match[1].strip() for match in re.finditer(r"\{\{(.*?)\}\}", text))


def fill(text: str, subject: Subject, revision: int) -> str:
    """The query about one revision. `instances` are their names as alternatives of a pattern."""
    names = sorted(instance.name for instance in subject.of_revision(revision))
    known: dict[str, Any] = {
        "agent": subject.key.agent,
        "environment": subject.key.environment,
        "revision": revision,
        "instances": "|".join(name.replace(".", "[.]") for name in names),
    }
    return re.sub(r"\{\{(.*?)\}\}", lambda match: str(known[match[1].strip()]), text)
