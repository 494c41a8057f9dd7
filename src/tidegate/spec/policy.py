"""Freeze windows, gates and receivers of notices: shapes and what they become."""

import re
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from tidegate.model.alerting import OnAlert
from tidegate.model.monitor import MONITOR, Check, Item, Stage
from tidegate.model.policy import Channel, Endpoint, FreezeWindow, Gate, OnExpired, OnNew, Policy, Repeat
from tidegate.model.workload import SecretRef
from tidegate.spec.alerts import alerting_of
from tidegate.spec.context import Context
from tidegate.spec.kinds import WORDS, choice, duration, flag, free, text
from tidegate.spec.scalars import duration_text
from tidegate.spec.secret import SECRET
from tidegate.spec.shapes import INVALID, Either, Key, ListOf, Object, Record, own

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ENDS = (
    *("promoted", "rolled_back", "aborted", "failed", "unverified", "drill_passed", "drill_failed"),
    *("alert_firing", "alert_resolved"),
)
_NAME = text("a name", r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,62}", example="weekend")
_TIME = r"([01]?\d|2[0-3]):([0-5]\d)|(24):(00)"
_URL = text("an address", r"https?://[^\s]+", example="https://hooks.example.org/tidegate")


def _minute(written: str) -> int:
    match = re.fullmatch(_TIME, written)
    if match is None:
        raise ValueError("write times as 18:00")
    hour, minute = (int(part) for part in match.groups() if part is not None)
    return hour * 60 + minute


def _halves(written: str, hint: str) -> tuple[str, str]:
    since, found, until = (part.strip() for part in written.lower().partition(" - "))
    if not found:
        raise ValueError(hint)
    return since, until


def _daily(written: str) -> FreezeWindow:
    since, until = _halves(written, "write 22:00 - 06:00")
    return FreezeWindow("", Repeat.DAILY, _minute(since), _minute(until))


def _weekly(written: str) -> FreezeWindow:
    hint = "write fri 16:00 - mon 08:00"
    ends = []
    for half in _halves(written, hint):
        day, _, time = half.partition(" ")
        if day[:3] not in DAYS:
            raise ValueError(hint)
        ends.append((DAYS.index(day[:3]), _minute(time.strip() or "00:00")))
    (first, since), (last, until) = ends
    return FreezeWindow("", Repeat.WEEKLY, since, until, since_day=first, until_day=last)


def _dates(written: str) -> FreezeWindow:
    hint = "write 2026-12-23 18:00 - 2027-01-04 09:00; without times, both days as a whole"
    days, minutes = [], []
    for half, default in zip(_halves(written, hint), ("00:00", "24:00"), strict=True):
        day, _, time = half.partition(" ")
        try:
            days.append(date.fromisoformat(day))
        except ValueError:
            raise ValueError(hint) from None
        minutes.append(_minute(time.strip() or default))
    if (days[0], minutes[0]) >= (days[1], minutes[1]):
        raise ValueError("the end is not after the beginning")
    since, until = (day.isoformat() for day in days)
    return FreezeWindow("", Repeat.ONCE, minutes[0], minutes[1], since_date=since, until_date=until)


def _zone(written: str) -> str:
    try:
        ZoneInfo(written)
    except (ValueError, OSError, LookupError):
        raise ValueError("write an IANA time zone: Europe/Berlin, UTC") from None
    return written


def _window(record: Record, context: Context) -> object:
    for kind in ("daily", "weekly", "dates"):
        window = record.get(kind)
        if isinstance(window, FreezeWindow):
            written = record.node.value[kind].text if isinstance(record.node.value, dict) else kind
            changes = {"name": record.get("name", written), "zone": record.get("zone", "UTC")}
            return FreezeWindow(**{**vars(window), **changes})
    return INVALID


FREEZE = ListOf(
    Object(
        "freeze",
        "A time in which no rollout begins and no weight rises. Rollbacks, aborts and undo always may.",
        (
            Key("name", text("a name"), "How messages call it.", "the times"),
            Key("daily", free("times such as 22:00 - 06:00", _daily, "write 22:00 - 06:00"), "Every day."),
            Key(
                "weekly",
                free("days such as fri 16:00 - mon 08:00", _weekly, "write fri 16:00 - mon 08:00"),
                "Every week.",
            ),
            Key(
                "dates",
                free("dates such as 2026-12-23 - 2027-01-02", _dates, "write 2026-12-23 - 2027-01-02"),
                "Once, with or without times of day.",
            ),
            Key("zone", free("a time zone", _zone, "write Europe/Berlin"), "Time zone of the times.", "UTC"),
        ),
        one_of=("daily", "weekly", "dates"),
        build=_window,
    ),
    expected="a list of freeze windows",
)


def _gate(record: Record, context: Context) -> Gate:
    default = Gate()
    return Gate(
        record.get("name", default.name),
        tuple(record.get("approvers", ())),
        record.get("expires", default.expires_s),
        OnExpired(record.get("on_expired", default.on_expired)),
        record.get("four_eyes", False),
    )


GATE = Object(
    "gate",
    "A yes by a named person (tidegate approve), with a comment.",
    own(
        Key("name", _NAME, "How messages call it.", Gate().name),
        Key("approvers", ListOf(text("a person's name")), "Who may say yes.", "anybody"),
        Key("expires", duration(0.001), "How long it waits.", duration_text(Gate().expires_s)),
        Key(
            "on_expired",
            choice(*(item.value for item in OnExpired)),
            "Then: stay paused and say so, or abort.",
            Gate().on_expired.value,
        ),
        Key("four_eyes", flag(), "Whoever asked for the rollout may not approve it.", "false"),
    ),
    build=_gate,
    may_be_empty=True,
)


def _secret_ref(name: str, pair: tuple[str, str]) -> SecretRef:
    return SecretRef(name, *pair)


def _endpoint(record: Record, context: Context) -> object:
    channel = next((item for item in Channel if item.value in record), None)
    if channel is None:
        return INVALID
    what = record[channel.value]
    name = record.get("name", channel.value)
    shared: dict[str, Any] = {"on": tuple(record.get("on", ())), "timeout_s": record.get("timeout", 10.0)}
    shared["deadline_s"] = record.get("deadline", Endpoint("", channel).deadline_s)
    secrets = tuple(_secret_ref(f"{name} key {n}", pair) for n, pair in enumerate(record.get("secrets", ()), 1))
    if secrets and channel is not Channel.WEBHOOK:
        context.error(record.at("secrets"), f"does not belong to {channel}", "only webhook is signed")
    match channel, what:
        case Channel.COMMAND, tuple(words):
            return Endpoint(name, channel, command=words, **shared)
        case ((Channel.GITLAB | Channel.JENKINS), Record() as pipeline):
            token = (_secret_ref(f"{name} token", pipeline["token"]),) if "token" in pipeline else ()
            user, ref = pipeline.get("user", ""), pipeline.get("ref", "")
            return Endpoint(name, channel, pipeline.get("url", ""), secrets=token, user=user, ref=ref, **shared)
        case _, (str(source), str(reference)):
            hidden = SecretRef(f"{name} address", source, reference)
            return Endpoint(name, channel, url_secret=hidden, secrets=secrets, **shared)
    return Endpoint(name, channel, what, secrets=secrets, **shared)


_ADDRESS = Either("an address, or where it comes from", scalar=_URL, mapping=SECRET, hint="https://... or {file: ...}")
_GITLAB = Object(
    "gitlab",
    "A pipeline trigger of GitLab.",
    (
        Key("url", _URL, "Its address: https://HOST/api/v4/projects/ID/trigger/pipeline.", required=True),
        Key("ref", text("a branch or tag"), "What to run.", "main"),
        Key("token", SECRET, "The trigger's token.", required=True),
    ),
)
_JENKINS = Object(
    "jenkins",
    "A job of Jenkins.",
    (
        Key("url", _URL, "Its address: https://HOST/job/NAME/buildWithParameters.", required=True),
        Key("user", text("a user's name"), "Whose token it is.", required=True),
        Key("token", SECRET, "The user's API token.", required=True),
    ),
)
_ENDPOINT = Object(
    "receiver",
    "Somebody who is told of every end, the good ones too, and of alerts: at least once, again until the deadline.",
    own(
        Key("name", _NAME, "How messages call it; each its own.", "the channel"),
        Key("webhook", _ADDRESS, "CloudEvents with CDEvents, signed by Standard Webhooks when there are secrets."),
        Key("slack", _ADDRESS, "An incoming web hook as Slack and Mattermost take it."),
        Key("command", WORDS, "A program; TIDEGATE_TEXT, TIDEGATE_END ... are in its environment."),
        Key("gitlab", _GITLAB, "Start a pipeline of GitLab."),
        Key("jenkins", _JENKINS, "Start a job of Jenkins."),
        Key("secrets", ListOf(SECRET), "Keys that sign a web hook; two while keys are changed.", "none"),
        Key(
            "on", ListOf(choice(*ENDS)), "Which ends are told.", "all; a pipeline hears only of alerts that ask for one"
        ),
        Key("timeout", duration(0.1), "Time for one attempt.", "10s"),
        Key("deadline", duration(), "How long it is tried again.", "24h"),
    ),
    one_of=tuple(item.value for item in Channel),
    build=_endpoint,
)
NOTIFY = ListOf(_ENDPOINT, expected="a list of receivers")
ON_NEW = choice(*(item.value for item in OnNew))


def _check(record: Record, context: Context) -> object:
    if "check" not in record or "item" not in record:
        return INVALID
    stage, item = Stage(record["check"]), Item(record["item"])
    default = next((one for one in MONITOR if one.item is item), MONITOR[0])
    limit = record.get("limit", 100 * default.limit) / 100
    return Check(stage, item, record.get("timeout", default.timeout_s), limit)


def _percent(written: str) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", written)
    if match is None or float(match[1]) > 100:
        raise ValueError("write 5%")
    return float(match[1])


MONITOR_TABLE = ListOf(
    Object(
        "monitor",
        "One row of the table that a rollback is watched by.",
        (
            Key(
                "check",
                choice(*(item.value for item in Stage)),
                "When: before, while, after traffic moves.",
                required=True,
            ),
            Key("item", choice(*(item.value for item in Item)), "What is looked at.", required=True),
            Key("timeout", duration(0.001), "Time from the beginning of its stage.", "30s, 60s, 45s"),
            Key("limit", free("a percentage", _percent, "write 5%"), "Share of log lines that may be errors.", "5%"),
        ),
        build=_check,
    ),
    expected="a list of checks",
)


def policy_of(record: Record, settings: Any, context: Context) -> Policy:
    """An environment's rules: its own first, then those at the top."""
    endpoints = settings.get("notify", record.get("notify", ()))
    names = [endpoint.name for endpoint in endpoints]
    for name in sorted({name for name in names if names.count(name) > 1}):
        context.error(record.at("notify"), f"two receivers are called {name}", "give each its own name")
    alerts = alerting_of(record, settings, context)
    started = any(endpoint.channel in (Channel.GITLAB, Channel.JENKINS) for endpoint in endpoints)
    if any(rule.on_alert is OnAlert.PIPELINE for rule in alerts.rules) and not started:
        context.warn(record.at("alerts"), "an alert starts a pipeline, and notify names none", "add gitlab or jenkins")
    return Policy(
        gate=settings.get("gate"),
        freeze=tuple(settings.get("freeze", record.get("freeze", ()))),
        on_new=OnNew(settings.get("on_new", record.get("on_new", OnNew.REFUSE))),
        notify=tuple(endpoints),
        alerts=alerts,
    )
