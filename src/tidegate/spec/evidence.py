"""Metrics with `engine: sequential`: their keys, and what they become."""

import re

from tidegate.model.judging import OnFail, Role, SequentialMetric, Worse
from tidegate.model.metering import GATEWAY, Form, OriginKind
from tidegate.model.queries import read_selection
from tidegate.spec.context import Context
from tidegate.spec.kinds import choice, number, text
from tidegate.spec.shapes import INVALID, Key, Record

ENGINES = ("thresholds", "sequential")
FORMS = (Form.COUNT.value, Form.MEAN.value, Form.HISTOGRAM.value)
_OF_GATEWAY = {"error_share": Form.COUNT, "latency": Form.HISTOGRAM}
_SHARES = ("cpu_share", "memory_share", "failing")
"""Queries whose value lies between 0 and 1 by itself."""
_COUNTED = ("restarts", "oom_kills", "gaps", "processes")
_OF_THRESHOLDS = (
    "count",
    "success_condition",
    "failure_condition",
    "failure_limit",
    "consecutive_success_limit",
    "inconclusive_limit",
    "min_requests",
)
_DEFAULT = SequentialMetric("default")

KEYS = (
    Key(
        "form",
        choice(*FORMS),
        "How its numbers are evidence: count (events), mean (a value between 0 and most), histogram (a latency).",
        "by source and query; see how-to/judge-a-metric.md",
    ),
    Key("per", text("a query"), "What events are counted against, by the same source.", "seconds of each instance"),
    Key(
        "worse", choice(*(item.value for item in Worse)), "Which way is worse: more (errors) or less (orders).", "more"
    ),
    Key(
        "margin",
        number(0.0, "a ratio, or of a mean a value"),
        "What is put up with: that many times stable's; of a mean, so much above stable's.",
        "1.25; of a mean 5 % of most",
    ),
    Key("most", number(1e-9, "a value above 0"), "The largest value that a mean can take.", "1, of a share"),
    Key("worst_ratio", number(1.01, "a ratio above 1"), "What the proof of an objective excludes.", "2"),
    Key("floor", number(0.0, "events for each unit"), "Of an objective: a rate that is always good enough.", "0"),
    Key("weight", number(0.001, "a number above 0"), "Its part of the shared evidence; the gateway's is 1.", "0.25"),
)
OF_SEQUENTIAL = tuple(key.name for key in KEYS)


def check_engine(record: Record, context: Context) -> None:
    """Note keys of the engine that does not judge this metric."""
    engine = record.get("engine", ENGINES[0])
    for name in _OF_THRESHOLDS if engine == "sequential" else OF_SEQUENTIAL:
        if name in record.places:
            other = ENGINES[0] if engine == "sequential" else ENGINES[1]
            context.error(
                record.at(name), f"does not belong to engine: {engine}", f"write engine: {other}, or take it out"
            )


def stream(record: Record, context: Context) -> object:
    """The metric; INVALID after noting why it cannot be one."""
    if "name" not in record:
        return INVALID
    source, query = record.get("source", GATEWAY), record.get("query", _DEFAULT.query)
    form = Form(record["form"]) if "form" in record else _form(source, query)
    if source == GATEWAY and query not in _OF_GATEWAY:
        context.error(
            record.at("query"),
            f"the gateway has no sequential evidence about {query[:60]!r}",
            "write error_share or latency; the rate of requests is set by the weights",
        )
        return INVALID
    if form is None:
        hint = "write form: count (a number that only grows), mean (with most) or histogram"
        context.error(record.node.where, f"nobody can tell how {query[:60]!r} is evidence", hint)
        return INVALID
    if source == GATEWAY and form is not _OF_GATEWAY[query]:
        context.error(record.at("form"), f"the gateway's {query} is a {_OF_GATEWAY[query]}", "take form out")
    most = record.get("most", 1.0 if query in _SHARES else None)
    if form is Form.MEAN and most is None:
        context.error(
            record.node.where, f"{record['name']} is a mean, and most is missing", "write most: its largest value"
        )
        return INVALID
    for name in ("per", "floor", "worse") if form is Form.HISTOGRAM else ("per", "floor") if form is Form.MEAN else ():
        if name in record.places:
            context.error(record.at(name), f"does not belong to form: {form}", "take it out")
    margin = record.get("margin", 0.05 * (most or 1.0) if form is Form.MEAN else _DEFAULT.margin)
    if form is not Form.MEAN and margin < 1.0:
        context.error(
            record.at("margin"), f"{margin:g} times stable's is less than stable's", "write 1.25, or 1 for none"
        )
        return INVALID
    return SequentialMetric(
        name=record["name"],
        source=source,
        query=query,
        form=form,
        per=record.get("per", "") if form is Form.COUNT else "",
        worse=Worse(record.get("worse", Worse.MORE)),
        margin=margin,
        most=most or 1.0,
        worst_ratio=record.get("worst_ratio", _DEFAULT.worst_ratio),
        floor=min(record.get("floor", _DEFAULT.floor), 0.999),
        interval_s=record.get("interval", 5.0 if form is Form.MEAN else _DEFAULT.interval_s),
        weight=record.get("weight", _DEFAULT.weight),
        role=Role(record.get("role", _DEFAULT.role)),
        on_fail=OnFail(record.get("on_fail", _DEFAULT.on_fail)),
    )


def _form(source: str, query: str) -> Form | None:
    """What a query's numbers are, where its source tells."""
    if source == GATEWAY:
        return _OF_GATEWAY.get(query, Form.COUNT)
    if source == OriginKind.LOGS or query in _COUNTED:
        return Form.COUNT
    if query in _SHARES or query in ("memory_bytes", "silence_s", "skew_s"):
        return Form.MEAN
    if source != OriginKind.SCRAPE:
        return None
    try:
        selection = read_selection(query)
    except ValueError:
        return Form.COUNT  # what is wrong with the query is told where all queries are checked
    if selection.by is not None or re.search(r"_(total|count)$", selection.selector.name):
        return Form.COUNT
    return Form.HISTOGRAM if selection.selector.name.endswith("_bucket") else Form.MEAN
