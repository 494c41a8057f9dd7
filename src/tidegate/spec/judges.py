"""analysis.judges: the rules of Kayenta, Argo Rollouts and Flagger, with their keys, and what they become."""

from typing import Any

from tidegate.model.expressions import condition
from tidegate.model.judges import (
    Argo,
    ArgoMetric,
    Direction,
    Flagger,
    FlaggerAnalysis,
    FlaggerMetric,
    JudgeConfig,
    Judges,
    Kayenta,
    Measure,
    MetricConfig,
    NaNStrategy,
)
from tidegate.model.judging import OnFail, Role
from tidegate.model.metering import GATEWAY
from tidegate.model.spec import GATEWAY_QUERIES
from tidegate.spec.context import Context, did_you_mean
from tidegate.spec.kinds import OneOrMore, choice, duration, flag, free, number, text, whole
from tidegate.spec.shapes import INVALID, Key, ListOf, MapOf, Object, Record, own

BUILT_IN = {"request-success-rate": "success_rate", "request-duration": "latency_p99"}
"""Flagger's own metrics, as the gateway measures them."""

_NAME = Key("name", text("a name", r"[A-Za-z0-9][A-Za-z0-9_.\-]*", example="errors"), "Its name.", required=True)
_SOURCE = Key("source", text("a metric source's name"), "gateway, or as in analysis.metrics.", "gateway")
_QUERY = Key("query", text("a query"), "What to measure, as in analysis.metrics.", "its name, at the gateway")
_ANY = free("a number", float, "write a number")
_SHARED = (
    Key("compat", flag(), "Their exact behaviour where ours is safer; see how-to/bring-your-rules.md.", "false"),
    Key("on_fail", choice(*(item.value for item in OnFail)), "What its failing does.", "abort"),
    Key("role", choice("guard", "observe"), "observe tells its verdict and acts on nothing.", "guard"),
)


def _measured(record: Record, context: Context, built_in: dict[str, str] | None = None) -> dict[str, Any] | None:
    """name, source and query of a judge's metric; None after noting what is missing."""
    if "name" not in record:
        return None
    name, source = record["name"], record.get("source", GATEWAY)
    query = record.get("query", (built_in or {}).get(name, name if source == GATEWAY else ""))
    if source == GATEWAY and query not in GATEWAY_QUERIES:
        message = f"the gateway cannot measure {query[:60]!r}"
        context.error(record.at("query"), message, did_you_mean(query, GATEWAY_QUERIES))
        return None
    if not query:
        context.error(record.node.where, "query is missing", f"say what {source} is asked")
        return None
    return {"name": name, "source": source, "query": query}


def _rule(written: str) -> str:
    condition(written)
    return written


def _given(record: Record, *names: str) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


def _kayenta_metric(record: Record, context: Context) -> object:
    found = _measured(record, context)
    if found is None:
        return INVALID
    chosen: dict[str, Any] = {
        "groups": tuple(record.get("groups", ())),
        "direction": Direction(record.get("direction", Direction.EITHER)),
        "nan_strategy": NaNStrategy(record.get("nan_strategy", NaNStrategy.REMOVE)),
        "measure": Measure(record.get("measure", Measure.MEAN_RATIO)),
    }
    plain = _given(
        record,
        *("remove_outliers", "outlier_factor", "critical", "must_have_data", "muted", "tolerance", "confidence"),
        *("allowed_increase", "allowed_decrease", "critical_increase", "critical_decrease"),
    )
    return MetricConfig(**found, **chosen, **plain)


def _kayenta(record: Record, context: Context) -> object:
    default = Kayenta(JudgeConfig(()))
    metrics, weights = tuple(record.get("metrics", ())), record.get("group_weights", {})
    if sum(weights.values()) > 100:
        context.error(
            record.at("group_weights"), f"sum to {sum(weights.values()):g}", "weights are percent: 100 in all"
        )
    scores = record.get("pass", 95.0), record.get("marginal", 75.0)
    if scores[1] > scores[0]:
        context.error(record.at("marginal"), f"{scores[1]:g} is above the {scores[0]:g} that passes", "lower it")
    every, step = record.get("interval", default.interval_s), record.get("step", default.step_s)
    if step > every:
        context.error(
            record.at("step"), "is longer than the interval: nothing to judge at a look", "write a shorter one"
        )
    return Kayenta(JudgeConfig(metrics, weights, *scores), step, every, **_ours(record))


def _argo_metric(record: Record, context: Context) -> object:
    found = _measured(record, context)
    if found is None:
        return INVALID
    chosen = _given(
        record,
        *("success_condition", "failure_condition", "count", "failure_limit", "inconclusive_limit"),
        *("consecutive_error_limit", "consecutive_success_limit", "dry_run"),
    )
    every = record.get("interval", 60.0)
    return ArgoMetric(**found, **chosen, repeats="interval" in record.places, interval_s=every)


def _flagger_metric(record: Record, context: Context) -> object:
    found = _measured(record, context, BUILT_IN)
    if found is None:
        return INVALID
    ranged = record.get("threshold_range", {})
    if "threshold_range" not in record.places and "threshold" not in record.places:
        context.error(record.node.where, "threshold_range is missing", "write thresholdRange: {min: 99} or {max: 500}")
    return FlaggerMetric(**found, minimum=ranged.get("min"), maximum=ranged.get("max"), **_given(record, "threshold"))


def _flagger(record: Record, context: Context) -> object:
    rules = FlaggerAnalysis(tuple(record.get("metrics", ())), record.get("threshold", 1))
    return Flagger(rules, record.get("interval", 60.0), **_ours(record))


def _ours(record: Record) -> dict[str, Any]:
    return {
        "compat": record.get("compat", False),
        "on_fail": OnFail(record.get("on_fail", OnFail.ABORT)),
        "role": Role(record.get("role", Role.GUARD)),
    }


_KAYENTA = Object(
    "kayenta",
    "Kayenta's judge: Mann-Whitney for each metric, candidate against stable, and a weighted score.",
    own(
        Key(
            "metrics",
            ListOf(
                Object(
                    "kayenta_metric",
                    "One metric of both sides, a sample every step.",
                    own(
                        *(_NAME, _SOURCE, _QUERY),
                        Key("groups", OneOrMore(text("a group's name")), "Groups that it counts in.", "none"),
                        Key("direction", choice(*(d.value for d in Direction)), "Which way is worse.", "either"),
                        Key("nan_strategy", choice(*(n.value for n in NaNStrategy)), "Missing samples.", "remove"),
                        Key("critical", flag(), "Its failing fails all, with score 0.", "false"),
                        Key("must_have_data", flag(), "No data of it counts as failed.", "false"),
                        Key("muted", flag(), "It is judged and does not count.", "false"),
                        Key("measure", choice(*(m.value for m in Measure)), "The effect size.", "meanRatio"),
                        Key("allowed_increase", number(0.0, "an effect size"), "High only from here.", "1; cles 0.5"),
                        Key("allowed_decrease", number(0.0, "an effect size"), "Low only from here.", "1; cles 0.5"),
                        Key("critical_increase", number(0.0, "an effect size"), "Critical from here.", "1; cles 0.5"),
                        Key("critical_decrease", number(0.0, "an effect size"), "Critical from here.", "1; cles 0.5"),
                        Key("remove_outliers", flag(), "Leave out what lies beyond Tukey's fences.", "false"),
                        Key("outlier_factor", number(0.0, "a factor"), "Of those fences.", "3"),
                        Key("tolerance", number(0.0, "a share"), "Of the Hodges-Lehmann estimate.", "0.25"),
                        Key("confidence", number(0.5, "a share, such as 0.98"), "Of the interval.", "0.98"),
                    ),
                    build=_kayenta_metric,
                ),
                least=1,
            ),
            "What is compared.",
            required=True,
        ),
        Key(
            "group_weights",
            MapOf(number(0.0, "percent"), "group"),
            "Percent of the score; groups without one share the rest.",
            "alike",
        ),
        Key("pass", number(0.0, "a score"), "A score from here passes.", "95"),
        Key("marginal", number(0.0, "a score"), "A score below this fails at once.", "75"),
        Key("step", duration(0.1), "Time between two samples.", "1m"),
        Key("interval", duration(0.1), "Time between two judgements, each on all samples so far.", "5m"),
        *_SHARED,
    ),
    build=_kayenta,
)
_LIMIT = whole(0, 1_000_000)
_ARGO = Object(
    "argo",
    "Metrics of Argo Rollouts' AnalysisTemplate.",
    own(
        Key(
            "metrics",
            ListOf(
                Object(
                    "argo_metric",
                    "One metric of the candidate.",
                    own(
                        *(_NAME, _SOURCE, _QUERY),
                        Key("interval", duration(0.1), "Time between measurements; without it one is taken.", "1m"),
                        Key("count", _LIMIT, "Measurements that end it; 0: none does.", "0"),
                        Key("success_condition", free("a condition", _rule, "write result[0] >= 0.95"), "Passes."),
                        Key("failure_condition", free("a condition", _rule, "write result[0] < 0.9"), "Fails."),
                        Key("failure_limit", free("a whole number", int, "write 3"), "Failed; below 0: any.", "0"),
                        Key("inconclusive_limit", _LIMIT, "Inconclusive measurements put up with.", "0"),
                        Key("consecutive_error_limit", _LIMIT, "Errors in a row put up with.", "4"),
                        Key("consecutive_success_limit", _LIMIT, "Passes in a row that end it; 0: none.", "0"),
                        Key("dry_run", flag(), "Its result does not count.", "false"),
                    ),
                    build=_argo_metric,
                ),
                least=1,
            ),
            "What is measured.",
            required=True,
        ),
        *_SHARED,
    ),
    build=lambda record, context: Argo(tuple(record.get("metrics", ())), **_ours(record)),
)
_RANGE = Object(
    "threshold_range",
    "The limits themselves pass.",
    (Key("min", _ANY, "Least value."), Key("max", _ANY, "Largest value.")),
)
_FLAGGER = Object(
    "flagger",
    "Flagger's checks: each metric within its range at every interval; too many failed checks roll back.",
    own(
        Key(
            "metrics",
            ListOf(
                Object(
                    "flagger_metric",
                    "request-success-rate (percent), request-duration (milliseconds, p99), or one of your own.",
                    own(
                        *(_NAME, _SOURCE, _QUERY),
                        Key("threshold_range", _RANGE, "The range that is good."),
                        Key("threshold", _ANY, "The older form: least success rate, or most of anything else."),
                    ),
                    build=_flagger_metric,
                ),
                least=1,
            ),
            "What is checked.",
            required=True,
        ),
        Key("interval", duration(0.1), "Time between checks.", "1m"),
        Key("threshold", _LIMIT, "Failed checks that roll back.", "1"),
        *_SHARED,
    ),
    build=_flagger,
)
JUDGES = Object(
    "judges",
    "Rules that you bring along, beside ours or (role: observe) to be compared with them.",
    (
        Key("kayenta", _KAYENTA, "Kayenta's NetflixACAJudge."),
        Key("argo", _ARGO, "Argo Rollouts' metrics."),
        Key("flagger", _FLAGGER, "Flagger's checks."),
    ),
    build=lambda record, context: Judges(record.get("kayenta"), record.get("argo"), record.get("flagger")),
)
