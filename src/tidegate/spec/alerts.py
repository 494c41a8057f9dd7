"""alerts: shapes and what they become. A rule with a shipped rule's name changes what it says of that one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.model import queries
from tidegate.model.alerting import ALERTMANAGER, NO_ALERTS, SHIPPED, Alerting, AlertRule, Fold, OnAlert, Severity
from tidegate.model.metering import GATEWAY, NEEDS_SETTINGS, Origin, OriginKind
from tidegate.model.spec import GATEWAY_QUERIES, Analysis
from tidegate.spec.context import Context, Where, did_you_mean
from tidegate.spec.kinds import Pairs, choice, duration, flag, number, text, whole
from tidegate.spec.scalars import duration_text
from tidegate.spec.shapes import Key, ListOf, Object, Record, own

GATEWAY_ALERTS = (*GATEWAY_QUERIES, "latency_mean")
_DEFAULT = AlertRule("default", GATEWAY)
_FIELDS: Mapping[str, str] = {
    "source": "source",
    "query": "query",
    "above": "above",
    "below": "below",
    "clear": "clear",
    "over": "over_s",
    "fold": "fold",
    "for": "for_s",
    "consecutive": "consecutive",
    "every": "every_s",
    "keep_firing_for": "keep_firing_s",
    "severity": "severity",
    "labels": "labels",
    "on_alert": "on_alert",
    "summary": "summary",
}
_KINDS: Mapping[str, Any] = {"fold": Fold, "severity": Severity, "on_alert": OnAlert}
_ANY = number(-1e18, "a number")

RULE = Object(
    "alert_rule",
    "A rule, evaluated for each instance (of the gateway: for each revision); a shipped one's name changes that one.",
    own(
        Key(
            "name", text("a name", r"[A-Za-z_][A-Za-z0-9_]{0,62}", example="queue_long"), "Name of its alerts.",
            required=True,
        ),
        Key(
            "source",
            text("a metric source's name"),
            "gateway, stats, logs, scrape, heartbeat, a name of analysis.sources, or alertmanager: an alert of this "
            "name that an Alertmanager tells.",
            GATEWAY,
        ),
        Key(
            "query",
            text("a query"),
            "What is measured, as of a metric in analysis.metrics; of the gateway latency_mean (ms), too.",
        ),
        Key("above", _ANY, "It is bad above this."),
        Key("below", _ANY, "It is bad below this."),
        Key("clear", _ANY, "A firing alert is over only at or within this.", "the limit itself"),
        Key("over", duration(), "Time that the values are taken from.", "the latest value alone"),
        Key("fold", choice(*Fold), "How those become one; increase: how much a count grew.", _DEFAULT.fold.value),
        Key("for", duration(), "How long it must be bad before it fires.", "0s"),
        Key("consecutive", whole(1, 1000), "At how many looks in a row it must be bad.", "1"),
        Key("every", duration(), "Time between two of these looks.", "0s"),
        Key(
            "keep_firing_for", duration(), "How long it must be good before it is over.",
            duration_text(_DEFAULT.keep_firing_s),
        ),
        Key("severity", choice(*Severity), "How bad it is.", _DEFAULT.severity.value),
        Key("labels", Pairs("label"), "Labels of its alerts.", "none"),
        Key(
            "on_alert",
            choice(*OnAlert),
            "What it does: notify tells the receivers; pause holds the rollout; rollback takes the release back during "
            "a rollout and for `within` after promotion; pipeline starts those of notify. Never an alert that was "
            "there before the rollout.",
            _DEFAULT.on_alert.value,
        ),
        Key("summary", text("a sentence"), "For whoever is told.", "none"),
    ),
    belongs={"expr": "query with above or below", "alert": "name", "condition": "above or below"},
)  # fmt: skip

ALERTS = Object(
    "alerts",
    "Alerts about what runs: the shipped rules and your own.",
    own(
        Key("defaults", flag(), f"Whether the shipped rules hold: {', '.join(r.name for r in SHIPPED)}.", "true"),
        Key("rules", ListOf(RULE, expected="a list of rules"), "Your own rules, and changes of shipped ones.", "none"),
        Key(
            "within", duration(), "How long after promotion an alert still takes a release back.",
            duration_text(NO_ALERTS.within_s),
        ),
    ),
    may_be_empty=True,
)  # fmt: skip


def alerting_of(record: Record, settings: Any, context: Context) -> Alerting:
    """An environment's rules: those that it gives itself, else those at the top; none where neither says `alerts`."""
    given = settings.get("alerts", record.get("alerts"))
    if not isinstance(given, Record):
        return NO_ALERTS
    analysis = record.get("analysis", Analysis())
    origins = {origin.name: origin for origin in analysis.sources}
    named = [one for one in given.get("rules", ()) if isinstance(one, Record) and "name" in one]
    names = [one["name"] for one in named]
    for name in sorted({name for name in names if names.count(name) > 1}):
        context.error(given.at("rules"), f"two rules are called {name}", "give each its own name")
    shipped = {rule.name: rule for rule in SHIPPED} if given.get("defaults", True) else {}
    scraped = "scrape" in origins or any(origin.kind is OriginKind.SCRAPE for origin in origins.values())
    if "task_delay" not in names and not scraped:
        shipped.pop("task_delay", None)
    rules = dict(shipped)
    for one in named:
        rule = _rule(one, shipped.get(one["name"]))
        _check(rule, one, origins, context)
        rules[rule.name] = rule
    return Alerting(tuple(rules.values()), analysis.sources, given.get("within", NO_ALERTS.within_s))


def _rule(record: Record, base: AlertRule | None) -> AlertRule:
    changes = {
        field: _KINDS[name](record[name]) if name in _KINDS else record[name]
        for name, field in _FIELDS.items()
        if name in record
    }
    base = base or replace(_DEFAULT, name=record["name"])
    if "above" in changes or "below" in changes:  # another limit: the shipped one's other side and clearing go
        base = replace(base, above=None, below=None, clear=None)
    return replace(base, **changes)


def _check(rule: AlertRule, record: Record, origins: Mapping[str, Origin], context: Context) -> None:
    where = record.node.where
    if rule.source == ALERTMANAGER:
        if rule.query or rule.above is not None or rule.below is not None:
            context.error(where, f"{rule.name} is evaluated elsewhere", "take query, above and below out")
        return
    if not rule.query:
        context.error(where, "query is missing", "write what is measured, such as query: error_share")
    if (rule.above is None) == (rule.below is None):
        context.error(where, "one of above and below is needed", "write above: 0.05")
    wrong = rule.clear is not None and (
        (rule.above is not None and rule.clear > rule.above) or (rule.below is not None and rule.clear < rule.below)
    )
    if wrong:
        context.error(record.at("clear"), "clear lies beyond the limit", "it would end while its condition holds")
    if rule.fold is Fold.INCREASE and not rule.over_s:
        context.error(where, "increase needs a time to grow in", "write over: 10m")
    _check_query(rule, record.at("source"), record.at("query"), origins, context)


def _check_query(rule: AlertRule, source: Where, query: Where, origins: Mapping[str, Origin], context: Context) -> None:
    if rule.source == GATEWAY:
        if rule.query and rule.query not in GATEWAY_ALERTS:
            message = f"the gateway cannot measure {rule.query[:60]!r}"
            context.error(query, message, did_you_mean(rule.query, GATEWAY_ALERTS))
        return
    known = {kind.value: kind for kind in OriginKind if kind not in NEEDS_SETTINGS}
    known |= {name: origin.kind for name, origin in origins.items()}
    kind = known.get(rule.source)
    if kind is None:
        hint = did_you_mean(rule.source, [GATEWAY, ALERTMANAGER, *known])
        context.error(source, f"{rule.source[:60]!r} is no metric source", hint)
    elif kind in NEEDS_SETTINGS:
        hint = "let it evaluate the rule, and take the alert in: source: alertmanager"
        context.error(source, f"a {kind} cannot be asked about single instances", hint)
    elif rule.query:
        try:
            queries.check(kind, rule.query)
        except ValueError as error:
            context.error(query, f"{kind} cannot measure {rule.query[:60]!r}", str(error))
