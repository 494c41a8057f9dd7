"""Analysis and rollback: shapes and what they become."""

from tidegate.model import queries
from tidegate.model.expressions import holds
from tidegate.model.judges import NO_JUDGES
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import Origin
from tidegate.model.spec import (
    GATEWAY_QUERIES,
    Analysis,
    Mode,
    OnFail,
    Role,
    Rollback,
    Sequential,
    ThresholdMetric,
    Undecidable,
)
from tidegate.spec import evidence
from tidegate.spec.context import Context, did_you_mean
from tidegate.spec.judges import JUDGES
from tidegate.spec.kinds import choice, duration, flag, free, number, text, whole
from tidegate.spec.policy import MONITOR_TABLE
from tidegate.spec.scalars import duration_text
from tidegate.spec.shapes import INVALID, Key, ListOf, MapOf, Object, Record, own
from tidegate.spec.sources import NAME as SOURCE_NAME
from tidegate.spec.sources import SOURCE, check_judges, check_name, check_queries, read_origin


def _condition(written: str) -> str:
    holds(written, 1.0)
    return written


_CONDITION = free("a condition such as result > 0.02", _condition, "write result > 0.02")


def _metric(record: Record, context: Context) -> object:
    evidence.check_engine(record, context)
    if record.get("engine") == "sequential":
        return evidence.stream(record, context)
    if "success_condition" not in record.places and "failure_condition" not in record.places:
        context.error(
            record.node.where,
            "neither success_condition nor failure_condition is given",
            "add failure_condition: result > 0.02",
        )
    if "name" not in record:
        return INVALID
    default = ThresholdMetric("default")
    query = record.get("query", default.query)
    if record.get("source", default.source) == "gateway" and query not in GATEWAY_QUERIES:
        message = f"the gateway cannot measure {query[:60]!r}"
        context.error(record.at("query"), message, did_you_mean(query, GATEWAY_QUERIES))
    return ThresholdMetric(
        name=record["name"],
        source=record.get("source", default.source),
        query=query,
        interval_s=record.get("interval", default.interval_s),
        count=record.get("count", default.count),
        success_condition=record.get("success_condition", ""),
        failure_condition=record.get("failure_condition", ""),
        failure_limit=record.get("failure_limit", default.failure_limit),
        consecutive_success_limit=record.get("consecutive_success_limit", default.consecutive_success_limit),
        inconclusive_limit=record.get("inconclusive_limit", default.inconclusive_limit),
        min_requests=record.get("min_requests", default.min_requests),
        on_fail=OnFail(record.get("on_fail", default.on_fail)),
        role=Role(record.get("role", default.role)),
    )


_QUERY_DOC = (
    f"What to measure. The gateway knows {', '.join(GATEWAY_QUERIES)} (milliseconds); "
    f"stats {', '.join(queries.STATS)}; heartbeat {', '.join(queries.HEARTBEAT)}. "
    "logs takes a pattern or level>=error (lines a second and instance), "
    'scrape name{label="value"} or a quotient (counters become rates), prometheus PromQL with {{revision}}.'
)
_COUNT = whole(0, 1_000_000)
METRIC = Object(
    "metric",
    "A metric judged by conditions (with the semantics of Argo Rollouts), or by sequential evidence.",
    own(
        Key(
            "name", text("a name", r"[A-Za-z0-9][A-Za-z0-9_.\-]*", example="errors"), "Name in verdicts.", required=True
        ),
        Key(
            "source",
            text("a metric source's name"),
            "gateway, stats, logs, scrape, heartbeat, or a name of analysis.sources.",
            "gateway",
        ),
        Key(
            "query",
            text("a query"),
            _QUERY_DOC,
            "error_share",
        ),
        Key(
            "engine",
            choice(*evidence.ENGINES),
            "thresholds: conditions on the candidate alone. sequential: evidence that it is worse than stable.",
            "thresholds",
        ),
        Key(
            "interval",
            duration(0.1),
            "One measurement is taken over this time, again and again.",
            "5s; of sequential counts 1s",
        ),
        *evidence.KEYS,
        Key("count", _COUNT, "Measurements after which the metric is done; 0: as long as the step.", "0"),
        Key(
            "success_condition", _CONDITION, "A measurement passes when this holds.", "the failure condition's opposite"
        ),
        Key(
            "failure_condition", _CONDITION, "A measurement fails when this holds.", "the success condition's opposite"
        ),
        Key("failure_limit", _COUNT, "Failed measurements that are put up with.", "0"),
        Key("consecutive_success_limit", _COUNT, "Passes in a row that end the metric early; 0: never.", "0"),
        Key("inconclusive_limit", _COUNT, "Inconclusive measurements that are put up with.", "3"),
        Key("min_requests", _COUNT, "Fewer requests than this make a measurement inconclusive.", "1"),
        Key("on_fail", choice(*(item.value for item in OnFail)), "What a failing metric does.", "abort"),
        Key(
            "role",
            choice(*(item.value for item in Role)),
            "A guard can only fail, an objective must pass (or be proven not worse) as well, observe never acts.",
            "objective; of sequential guard",
        ),
    ),
    build=_metric,
)


def _analysis(record: Record, context: Context) -> Analysis:
    metrics: tuple[ThresholdMetric | SequentialMetric, ...] = record.get("metrics", ())
    names = [metric.name for metric in metrics]
    for name in sorted({name for name in names if names.count(name) > 1}):
        context.error(record.at("metrics"), f"two metrics are called {name}", "give each metric its own name")
    origins: dict[str, Origin] = {
        name: origin
        for name, settings in record.get("sources", {}).items()
        if (origin := read_origin(name, settings, context)) is not None
    }
    judges = record.get("judges", NO_JUDGES)
    check_queries(metrics, origins, record, context)
    check_judges(judges, origins, record, context)
    return Analysis(
        metrics=tuple(metric for metric in metrics if isinstance(metric, ThresholdMetric)),
        sequential=record.get("sequential"),
        mode=Mode(record.get("mode", Mode.ACT)),
        sources=tuple(origins.values()),
        streams=tuple(metric for metric in metrics if isinstance(metric, SequentialMetric)),
        judges=judges,
    )


def _sequential(record: Record, context: Context) -> Sequential:
    default = Sequential()
    return Sequential(
        margin=record.get("margin", default.margin),
        alpha=record.get("alpha", default.alpha),
        objective=record.get("objective", default.objective),
        worst_ratio=record.get("worst_ratio", default.worst_ratio),
        floor=record.get("floor", default.floor),
        within_s=record.get("within", default.within_s),
        undecidable=Undecidable(record.get("undecidable", default.undecidable)),
        on_fail=OnFail(record.get("on_fail", default.on_fail)),
    )


SEQUENTIAL = Object(
    "sequential",
    "The sequential engine: errors and latency of the canary against stable's, at the same time.",
    own(
        Key("margin", number(1.0, "a ratio of at least 1"), "Times worse than stable that is put up with.", "1.25"),
        Key(
            "alpha",
            number(1e-6, "a share above 0, such as 0.01"),
            "Share of harmless canaries that may be turned back, ever.",
            "0.01",
        ),
        Key("objective", flag(), "Promotion needs proof that the canary is not worse than allowed.", "true"),
        Key("worst_ratio", number(1.01, "a ratio above 1"), "What the proof excludes: this many times worse.", "2"),
        Key(
            "floor",
            number(0.0, "a share, such as 0.005"),
            "A share of errors that is good enough whatever stable does.",
            "0.005",
        ),
        Key("within", duration(1.0), "How long the proof is waited for after the last step.", "10m"),
        Key(
            "undecidable",
            choice(*(item.value for item in Undecidable)),
            "Without proof by then: pause; or raise the weight as soon as the traffic is too little; or proceed.",
            "pause",
        ),
        Key("on_fail", choice(*(item.value for item in OnFail)), "What evidence against the canary does.", "abort"),
    ),
    build=_sequential,
)
ANALYSIS = Object(
    "analysis",
    "What is watched while a rollout runs and bakes. Without this section: the sequential engine, and a collapse.",
    (
        Key(
            "metrics",
            ListOf(METRIC, expected="a list of metrics"),
            "Thresholds and sequential evidence; none by default.",
            "[]",
        ),
        Key("sequential", SEQUENTIAL, "The sequential engine; {} takes its defaults, absent means off."),
        Key(
            "sources",
            MapOf(SOURCE, "metric source", check_name, SOURCE_NAME),
            "Metric sources by name; stats, logs, scrape and heartbeat are there without.",
            "none",
        ),
        Key("judges", JUDGES, "Rules of Kayenta, Argo Rollouts and Flagger.", "none"),
        Key("mode", choice(*(item.value for item in Mode)), "observe tells verdicts and acts on nothing.", "act"),
    ),
    build=_analysis,
)


def _rollback(record: Record, context: Context) -> Rollback:
    default = Rollback()
    return Rollback(
        ready_deadline_s=record.get("ready_deadline", default.ready_deadline_s),
        switch_deadline_s=record.get("switch_deadline", default.switch_deadline_s),
        max_restarts=record.get("max_restarts", default.max_restarts),
        heartbeat_deadline_s=record.get("heartbeat_deadline", default.heartbeat_deadline_s),
        history=record.get("history", default.history),
        window=record.get("window", default.window),
        monitor=record.get("monitor", default.monitor),
        hold=record.get("hold", default.hold),
        cleanup=record.get("cleanup", default.cleanup),
    )


_DEFAULT = Rollback()
ROLLBACK = Object(
    "rollback",
    "Limits of the hard facts, and what is kept for the way back.",
    own(
        Key(
            "ready_deadline",
            duration(0.001),
            "An instance that is not ready for this long is a fault.",
            duration_text(_DEFAULT.ready_deadline_s),
        ),
        Key(
            "switch_deadline",
            duration(0.001),
            "Time that a change of traffic may take.",
            duration_text(_DEFAULT.switch_deadline_s),
        ),
        Key("max_restarts", whole(0, 1000), "More restarts than this are a crash loop.", str(_DEFAULT.max_restarts)),
        Key(
            "heartbeat_deadline",
            duration(),
            "A canary that reported once and is silent for longer is a fault; 0: three of its own intervals.",
            "0s",
        ),
        Key("history", whole(1, 1000), "Revisions whose images are kept.", str(_DEFAULT.history)),
        Key(
            "window",
            whole(0, 1000),
            "Going back to one of the latest so many revisions skips steps and analysis.",
            str(_DEFAULT.window),
            aliases=("rollbackWindow",),
        ),
        Key("monitor", MONITOR_TABLE, "What a rollback is watched by; see below.", "one row a check"),
        Key("hold", flag(), "After a rollback automatic deliveries wait for tidegate acknowledge.", "true"),
        Key("cleanup", flag(), "Remove images that we brought and that no kept revision needs.", "true"),
    ),
    build=_rollback,
)
