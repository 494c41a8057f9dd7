"""Metric sources: shapes, what they become, and whether each metric's query fits its source."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from tidegate.model import queries
from tidegate.model.judges import Judges
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import GATEWAY, NEEDS_SETTINGS, Form, Origin, OriginKind, Reduce
from tidegate.model.spec import ThresholdMetric
from tidegate.model.workload import SecretRef
from tidegate.spec.context import Context, Where, did_you_mean
from tidegate.spec.health import HTTP_PATH
from tidegate.spec.kinds import PORT, choice, duration, text
from tidegate.spec.mounts import host_path
from tidegate.spec.secret import SECRET
from tidegate.spec.shapes import Key, Object, Record, own

NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]*"
KINDS = tuple(kind.value for kind in OriginKind)


def check_name(name: str) -> None:
    """Raise ValueError with a hint for what is no source's name."""
    if name == GATEWAY:
        raise ValueError("the gateway needs no settings: choose another name")
    if not re.fullmatch(NAME, name):
        raise ValueError("letters, digits, dot, dash and underscore")


SOURCE = Object(
    "metric_source",
    "A metric source. While it is down, the rollout holds and names it.",
    own(
        Key("kind", choice(*KINDS), "What it is.", "as the name says"),
        Key("url", text("an address", r"https?://.+", example="http://prometheus:9090"), "Of a Prometheus."),
        Key("user", text("a name"), "For basic authentication, with password."),
        Key("password", SECRET, "By reference."),
        Key("token", SECRET, "A bearer token, by reference."),
        Key("port", PORT, "Where the agents' metrics are (scrape).", "the first route's target, or a probe's port"),
        Key("path", HTTP_PATH, "Where the agents' metrics are (scrape).", "/metrics"),
        Key("file", text("a path"), "JSON lines or .csv with at, metric, revision, value (file)."),
        Key("period", duration(0.5), "Time between two questions.", "1s; prometheus 5s"),
        Key("timeout", duration(0.1), "Time an answer may take.", "3s"),
        Key("max_age", duration(1.0), "What is older says nothing (prometheus, file).", "30s"),
        Key("range", duration(1.0), "Ask a Prometheus for this range instead of an instant.", "an instant"),
        Key("reduce", choice(*(item.value for item in Reduce)), "How a range becomes one value.", "mean"),
    ),
    may_be_empty=True,
    belongs={"query": "analysis.metrics[].query", "headers": "token, or user and password"},
)


def read_origin(name: str, record: Record, context: Context) -> Origin | None:
    """The origin of a declared source; None after noting why not."""
    where = record.node.where
    kind_name = record.get("kind", name)
    if kind_name not in KINDS:
        context.error(where, f"{name} is no kind of source, and kind is missing", f"write kind: {', '.join(KINDS)}")
        return None
    kind = OriginKind(kind_name)
    needed = {OriginKind.PROMETHEUS: "url", OriginKind.FILE: "file"}.get(kind)
    if needed and needed not in record.places:
        example = {"url": "http://prometheus:9090", "file": "metrics.csv"}[needed]
        context.error(where, f"{needed} is missing", f"write {needed}: {example}")
        return None
    if "password" in record and "token" in record:
        context.error(record.at("token"), "password and token are both given", "keep one of the two")
    if "@" in _authority(record.get("url", "")):
        context.error(record.at("url"), "credentials in the address", "give user, and password: {environment: NAME}")
    default = Origin(name, kind, period_s=5.0 if kind is OriginKind.PROMETHEUS else 1.0)
    return Origin(
        name=name,
        kind=kind,
        url=record.get("url", ""),
        user=record.get("user", ""),
        password=_reference(name, "password", record),
        token=_reference(name, "token", record),
        port=record.get("port", 0),
        path=record.get("path", default.path),
        file=host_path(record["file"], record.at("file")) if "file" in record else "",
        period_s=record.get("period", default.period_s),
        timeout_s=record.get("timeout", default.timeout_s),
        max_age_s=record.get("max_age", default.max_age_s),
        range_s=record.get("range", 0.0),
        reduce=Reduce(record.get("reduce", default.reduce)),
    )


def _authority(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _reference(name: str, key: str, record: Record) -> SecretRef | None:
    return SecretRef(f"{name} {key}", *record[key]) if key in record else None


def check_queries(
    metrics: Sequence[ThresholdMetric | SequentialMetric],
    origins: Mapping[str, Origin],
    record: Record,
    context: Context,
) -> None:
    """Note every metric whose source is unknown, or whose query its source cannot answer."""
    places = _places(record)
    for metric in metrics:
        where = places.get(metric.name, record.at("metrics"))
        kind = _kind(metric.source, origins, where, context)
        if kind is None:
            continue
        try:
            queries.check(kind, metric.query)
            if isinstance(metric, SequentialMetric) and metric.per:
                queries.check(kind, metric.per)
        except ValueError as error:
            context.error(where.child("query"), f"{kind} cannot measure {metric.query[:60]!r}", str(error))
            continue
        if isinstance(metric, SequentialMetric) and (why := _misfit(metric, kind)):
            context.error(where.child("form"), f"{kind} gives no {metric.form} of {metric.query[:60]!r}", why)
        if kind is OriginKind.PROMETHEUS and not {"revision", "instances"} & set(queries.placeholders(metric.query)):
            message = f"{metric.name} asks the same of every revision: what others serve counts against the candidate"
            context.warn(where.child("query"), message, 'name the revision in it, such as {revision="{{revision}}"}')


def _misfit(metric: SequentialMetric, kind: OriginKind) -> str:
    """What to write where a source cannot give numbers of this form; empty where it can."""
    counted = {OriginKind.STATS: ("restarts", "oom_kills"), OriginKind.HEARTBEAT: ("gaps", "processes")}
    if metric.form is Form.HISTOGRAM and kind is not OriginKind.SCRAPE:
        return "read the histogram from the agents' own /metrics: source: scrape"
    if kind in counted and (metric.form is Form.COUNT) != (metric.query in counted[kind]):
        return f"counts are {' and '.join(counted[kind])}; everything else is a mean"
    return "" if kind is not OriginKind.LOGS or metric.form is Form.COUNT else "lines are counted: take form out"


def check_judges(judges: Judges, origins: Mapping[str, Origin], record: Record, context: Context) -> None:
    """The same of the judges' metrics."""
    for judge, asked in judges.asked():
        where = record.at("judges").child(judge)
        kind = _kind(asked.source, origins, where, context)
        if kind is None:
            continue
        try:
            queries.check(kind, asked.query)
        except ValueError as error:
            context.error(where, f"{asked.name}: {kind} cannot measure {asked.query[:60]!r}", str(error))


def _kind(source: str, origins: Mapping[str, Origin], where: Where, context: Context) -> OriginKind | None:
    """The kind of a source; None for the gateway, and after noting that there is no such source."""
    if source == GATEWAY:
        return None
    known = [GATEWAY, *origins, *(kind.value for kind in OriginKind if kind not in NEEDS_SETTINGS)]
    if source not in known:
        hint = did_you_mean(source, known)
        if source in KINDS:
            hint = f"declare it: analysis.sources: {{{source}: ...}}"
        context.error(where.child("source"), f"{source[:60]!r} is no metric source", hint)
        return None
    return origins[source].kind if source in origins else OriginKind(source)


def _places(record: Record) -> dict[str, Where]:
    nodes = record.node.value.get("metrics") if isinstance(record.node.value, dict) else None
    items = nodes.value if nodes is not None and isinstance(nodes.value, tuple) else ()
    named = ((item, item.value.get("name")) for item in items if isinstance(item.value, dict))
    return {name.text: item.where for item, name in named if name is not None}
