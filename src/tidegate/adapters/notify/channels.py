"""How a notice becomes a request: one function a channel. Pure; secrets come in as values and go nowhere else."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tidegate.adapters.notify import cdevents, signing
from tidegate.model.event import Event
from tidegate.model.policy import Endpoint

TOLD = ("end", "version", "former", "image", "commit", "took_s", "audit_head", "alert", "subject", "severity")
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Request:
    """One POST. Its headers and body may hold secrets: it is never shown."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def webhook(sequence: int, event: Event, at: int, secrets: Sequence[str]) -> Request:
    """A CloudEvent, signed with every key in force. Raises ValueError for a secret that is none."""
    content = cdevents.body(sequence, event)
    message = f"msg_{cdevents.identity(sequence, event)}"
    signed = signing.headers(message, at, content, [signing.key_of(secret) for secret in secrets])
    return Request(content, {"content-type": cdevents.CONTENT_TYPE, **signed})


def slack(event: Event) -> Request:
    """An incoming web hook as Slack, Mattermost and Rocket.Chat take it. Source: https://docs.slack.dev/messaging"""
    head = event.data.get("audit_head")
    witness = f"\naudit head {head}" if head else ""
    text = (event.because + witness).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Request(json.dumps({"text": text}).encode(), {"content-type": "application/json"})


def gitlab(endpoint: Endpoint, event: Event, secrets: Sequence[str]) -> Request:
    """A pipeline trigger: token, ref and variables. Source: https://docs.gitlab.com/ci/triggers/"""
    token = {"token": secrets[0]} if secrets else {}
    variables = {f"variables[{name}]": value for name, value in variables_of(event).items()}
    return Request(urlencode({**token, "ref": endpoint.ref or "main", **variables}).encode(), {"content-type": FORM})


def jenkins(endpoint: Endpoint, event: Event, secrets: Sequence[str]) -> Request:
    """buildWithParameters with a user's API token. Source: https://www.jenkins.io/doc/book/using/remote-access-api/"""
    headers = {"content-type": FORM}
    if secrets:
        pair = base64.b64encode(f"{endpoint.user}:{secrets[0]}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    return Request(urlencode(variables_of(event)).encode(), headers)


def variables_of(event: Event) -> dict[str, str]:
    """What a command and a pipeline are told, as variables."""
    plain = {
        "AGENT": event.key.agent,
        "ENVIRONMENT": event.key.environment,
        "REVISION": event.revision,
        "TEXT": event.because,
        **{name.upper(): event.data.get(name) for name in TOLD},
    }
    return {f"TIDEGATE_{name}": "" if value is None else str(value) for name, value in plain.items()}
