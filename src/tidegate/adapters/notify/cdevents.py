"""A notice as a CDEvent in a CloudEvent. Pure.

Sources: CDEvents 0.5.1 (https://cdevents.dev), its CloudEvents binding, CloudEvents 1.0 in structured JSON.
"""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tidegate.model.event import Event

CDEVENTS = "0.5.1"
SPACE = uuid.UUID("6f1cd1f1-5a7c-5f0e-9d6a-0a4f6f1f7d10")
"""The name space of our identities: the same event always has the same one, so receivers can drop what comes twice."""

DRILL = "dev.cdeventsx.tidegate-drill.finished.0.1.0"
"""A rehearsal has no word of its own there: a custom event, as CDEvents' "Custom Events" names them."""

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def identity(sequence: int, event: Event) -> str:
    """The event's id, the same at every attempt."""
    return str(uuid.uuid5(SPACE, f"{sequence}/{event.key}/{event.at!r}"))


def chain(event: Event) -> str:
    """One for everything about one delivery: its commit in its environment, else its rollout."""
    subject = event.data.get("delivery") or event.data.get("rollout") or f"r{event.revision}"
    return str(uuid.uuid5(SPACE, f"chain/{event.key}/{subject}"))


def type_of(event: Event) -> str:
    """The vocabulary's word for what happened."""
    match event.data.get("end"):
        case "drill_passed" | "drill_failed":
            return DRILL
        case "promoted" if event.data.get("undo_of") is not None:
            word = "service.rolledback"
        case "promoted":
            word = "service.upgraded" if event.data.get("former") else "service.deployed"
        case "alert_resolved":
            word = "incident.resolved"
        case "rolled_back" | "aborted":
            word = "service.rolledback"
        case _:
            word = "incident.detected"
    return f"dev.cdevents.{word}.0.3.0"


def cloud_event(sequence: int, event: Event) -> dict[str, Any]:
    """The whole event, ready for JSON."""
    source = f"/tidegate/{quote(event.key.environment)}"
    stamp = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    kind, number = type_of(event), identity(sequence, event)
    incident = kind.startswith("dev.cdevents.incident.")
    subject = f"{event.key}/r{event.revision}" if incident else str(event.key)
    content: dict[str, Any] = {"environment": {"id": event.key.environment}, **_artifact(event.data)}
    if incident:
        content |= {"description": event.because, "service": {"id": event.key.agent}}
    context = {
        "specversion": CDEVENTS,
        "id": number,
        "chainId": chain(event),
        "source": source,
        "type": kind,
        "timestamp": stamp,
    }
    return {
        "specversion": "1.0",
        "id": number,
        "source": source,
        "type": kind,
        "subject": subject,
        "time": stamp,
        "datacontenttype": "application/json",
        "data": {
            "context": context,
            "subject": {"id": subject, "source": source, "content": content},
            "customData": {"text": event.because, "revision": event.revision, **event.data},
            "customDataContentType": "application/json",
        },
    }


def body(sequence: int, event: Event) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(cloud_event(sequence, event), separators=(",", ":"), ensure_ascii=False).encode()


def _artifact(data: Mapping[str, Any]) -> dict[str, str]:
    """The artefact as a package URL. Source: https://github.com/package-url/purl-spec (type oci)."""
    image, digest = str(data.get("image") or ""), str(data.get("digest") or "")
    if not image:
        return {}
    repository = image.partition("@")[0]
    path, _, last = repository.rpartition("/")
    name, _, tag = last.partition(":")
    qualifiers = [f"repository_url={quote(f'{path}/{name}', safe='')}"] if path else []
    qualifiers += [f"tag={quote(tag, safe='')}"] if tag else []
    version = f"@{quote(digest, safe='')}" if digest else ""
    return {
        "artifactId": f"pkg:oci/{quote(name.lower())}{version}" + (f"?{'&'.join(qualifiers)}" if qualifiers else "")
    }
