"""An Alertmanager's web hook, version 4: from untrusted JSON to what it tells, and whom that is about. Pure.

Unknown keys are ignored, as its documentation asks. What is longer than anybody reads is cut.
Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tidegate.model.errors import UsageError
from tidegate.model.intent import TellAlert
from tidegate.model.release import AgentKey

MOST_ALERTS = 1000
MOST_LABELS = 32
LONGEST = 200
OF_ANOTHER = 0
"""The revision of an alert that names one which is no number of ours: nobody's candidate."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_OWN = ("agent", "environment", "host", "revision", "instance", "subject")


@dataclass(frozen=True)
class Told:
    """One alert of a web hook: whom it is about (None: the server's environment), and what it tells."""

    agent: str
    environment: str
    host: str
    action: TellAlert


def decode(document: Any) -> tuple[Told, ...]:
    """What a web hook tells. Raises UsageError for what is none of version 4."""
    if not isinstance(document, Mapping) or document.get("version") != "4":
        raise UsageError("this is no Alertmanager web hook of version 4", hint="Alertmanager 0.25 and later send it")
    alerts = document.get("alerts")
    if not isinstance(alerts, list) or len(alerts) > MOST_ALERTS:
        raise UsageError(f"alerts is a list of at most {MOST_ALERTS}", hint="webhook_configs has max_alerts")
    return tuple(_told(alert) for alert in alerts)


def _told(alert: Any) -> Told:
    if not isinstance(alert, Mapping) or alert.get("status") not in ("firing", "resolved"):
        raise UsageError("an alert has the status firing or resolved")
    labels, notes = _texts(alert.get("labels")), _texts(alert.get("annotations"))
    name = labels.get("alertname", "")
    if not name:
        raise UsageError("an alert has the label alertname")
    agent = _label(labels, "agent")
    subject = _subject(labels, agent)
    action = TellAlert(
        rule=name,
        fingerprint=_fingerprint(alert, labels),
        firing=alert["status"] == "firing",
        starts_at=_time(alert.get("startsAt")),
        summary=notes.get("summary") or notes.get("description", ""),
        severity=labels.get("severity", ""),
        subject=subject,
        revision=_revision(labels, subject),
        labels={key: value for key, value in sorted(labels.items()) if key not in _OWN and key != "alertname"},
    )
    return Told(agent, _label(labels, "environment"), _label(labels, "host"), action)


def _texts(given: Any) -> dict[str, str]:
    """Labels or annotations: names and texts, cut; those of Tidegate are never among the ones left out."""
    if not isinstance(given, Mapping):
        return {}
    first = sorted(given, key=lambda key: not (str(key).removeprefix("tidegate_") in _OWN or key == "alertname"))
    return {_plain(str(key)): _plain(str(given[key])) for key in first[:MOST_LABELS]}


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text[:LONGEST])


def _label(labels: Mapping[str, str], name: str) -> str:
    """A label of ours, by its own name or by the plain one; empty for what names nothing."""
    value = labels.get(f"tidegate_{name}") or labels.get(name, "")
    return value if _NAME.fullmatch(value) else ""


def _subject(labels: Mapping[str, str], agent: str) -> str:
    """The instance that it is about: a label of ours, or Prometheus' `instance` where that is a name of ours."""
    value = labels.get("tidegate_instance") or labels.get("subject", "")
    plain = labels.get("instance", "")
    return value or (plain if agent and re.fullmatch(rf"{re.escape(agent)}\..+\.r\d+\.\d+", plain) else "")


def _revision(labels: Mapping[str, str], subject: str) -> int | None:
    """The revision that it names, by itself or in the name of an instance."""
    given = labels.get("tidegate_revision") or labels.get("revision", "")
    if not given:
        found = re.search(r"(?:^|\.)r(\d{1,9})(?:\.\d+)?$", subject, re.ASCII)
        return int(found[1]) if found else None
    match = re.fullmatch(r"r?(\d{1,9})", given, re.ASCII)
    return int(match[1]) if match else OF_ANOTHER


def _time(given: Any) -> float:
    """Unix seconds. Raises UsageError."""
    try:
        found = datetime.fromisoformat(str(given)[:64])
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError("startsAt is a time as RFC 3339 has it") from None


def _fingerprint(alert: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    given = alert.get("fingerprint")
    if isinstance(given, str) and re.fullmatch(r"[A-Za-z0-9]{1,64}", given):
        return given
    return hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()[:16]


def key_of(told: Told, here: str) -> AgentKey:
    """The agent that it is about; an environment that is not named is the server's."""
    return AgentKey(told.agent, told.environment or here, told.host)
