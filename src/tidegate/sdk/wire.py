"""The heartbeat on the wire: docs/reference/heartbeat.md is its contract, and this module its Python side."""

import http.client
import json
import ssl
import time
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from tidegate.sdk.identity import Identity

PATH = "/v1/agents/heartbeat"
ENROL_PATH = "/v1/agents/enrol"
MOST_ANSWER_BYTES = 1 << 20
MOST_ATTRIBUTES = 50


class Status(StrEnum):
    """What the agent says of itself. It is reported and alerted on; it never steers traffic by itself."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"
    STOPPING = "stopping"


class Refused(Exception):
    """A heartbeat that was not taken. `retry_after_s` is the server's wish, 0 where it had none."""

    def __init__(self, message: str, code: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class TaskResult:
    """The end of one task, scheduled here or asked for by the control centre. Times in unix seconds."""

    task: str
    ok: bool
    detail: str
    started_at: float
    ended_at: float

    def as_json(self) -> dict[str, Any]:
        """One item of `completed`."""
        return dict(vars(self))


@dataclass(frozen=True)
class Heartbeat:
    """One message. `sequence` rises by one with each message sent, so that the control centre sees what it missed.

    `described`: it says where the agent runs, too; that is said once, and again when it is asked for.
    """

    status: Status
    sequence: int
    interval_s: float
    message: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    completed: tuple[TaskResult, ...] = ()
    described: bool = False

    def encode(self, identity: Identity, sent_at: float) -> bytes:
        """The body as JSON; empty optional parts stay out. `sent_at` is in unix seconds."""
        body: dict[str, Any] = {
            "agent": identity.agent,
            "environment": identity.environment,
            "instance": identity.instance,
            "revision": identity.revision,
            "version": identity.version,
            "status": self.status.value,
            "sequence": self.sequence,
            "sent_at": sent_at,
            "interval_s": self.interval_s,
        }
        optional = {
            "message": self.message,
            "metrics": self.metrics,
            "completed": [result.as_json() for result in self.completed],
            "attributes": dict(islice(identity.attributes.items(), MOST_ATTRIBUTES)) if self.described else {},
        }
        return json.dumps(body | {key: value for key, value in optional.items() if value}, allow_nan=False).encode()


@dataclass(frozen=True)
class Action:
    """One thing that the control centre asks for. Unknown names are to be ignored: that is how the protocol grows."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """The answer to a heartbeat. `interval_s` is the interval to keep from now on, in seconds."""

    interval_s: float
    next: tuple[Action, ...]
    received_at: float

    @classmethod
    def parse(cls, data: bytes) -> "Reply":
        """Read an answer; raises Refused where it is not one of this protocol."""
        try:
            body = json.loads(data)
            if body["status"] != "OK":
                raise Refused("the answer's status is not OK: is TIDEGATE_URL a Tidegate?")
            actions = tuple(
                Action(str(item["action"]), {key: value for key, value in item.items() if key != "action"})
                for item in body.get("next", [])
            )
            interval_s = float(body["interval_s"])
            if not interval_s > 0:  # zero, negative and NaN alike
                raise Refused("the answer's interval_s is not above 0")
            return cls(interval_s, actions, float(body.get("received_at", 0.0)))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
            raise Refused("the answer is not the heartbeat protocol's: is TIDEGATE_URL a Tidegate?") from problem


def send(identity: Identity, heartbeat: Heartbeat, timeout_s: float) -> Reply:
    """POST one heartbeat and read the answer; raises Refused or OSError."""
    return Reply.parse(_post(identity.url, PATH, identity.token, heartbeat.encode(identity, time.time()), timeout_s))


def enrol(identity: Identity, timeout_s: float) -> str:
    """Trade the enrolment token for this instance's own credential; raises Refused or OSError."""
    body = json.dumps({"instance": identity.instance}).encode()
    data = _post(identity.url, ENROL_PATH, identity.enrolment, body, timeout_s)
    try:
        token = json.loads(data)["token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        token = ""
    if not isinstance(token, str) or not token:
        raise Refused("the answer has no credential: is TIDEGATE_URL a Tidegate?")
    return token


def _post(url: str, path: str, token: str, body: bytes, timeout_s: float) -> bytes:
    """The answer's body; raises Refused or OSError.

    No redirect is followed: it would carry the token away.
    `timeout_s` bounds each wait for the network; the whole answer is bounded by MOST_ANSWER_BYTES.
    """
    try:
        target = urlsplit(url)
        port = target.port
    except ValueError as problem:
        raise Refused("TIDEGATE_URL is not a URL") from problem
    if target.scheme not in ("http", "https") or not target.hostname:
        raise Refused("TIDEGATE_URL must begin with http:// or https:// and name a host")
    if target.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            target.hostname, port, timeout=timeout_s, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(target.hostname, port, timeout=timeout_s)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("POST", target.path.rstrip("/") + path, body, headers)
        response = connection.getresponse()
        data = response.read(MOST_ANSWER_BYTES)
    except (http.client.HTTPException, ValueError) as problem:
        # A token with a line feed ends here too; its text must not reach a log, so the cause is named by type only.
        raise Refused(f"no exchange with the control centre ({type(problem).__name__})") from None
    finally:
        connection.close()
    if response.status != 200:
        raise Refused(
            f"the control centre answered {response.status}{_problem_title(data)}",
            response.status,
            _retry_after(response.getheader("Retry-After", "")),
        )
    return data


def _problem_title(data: bytes) -> str:
    """The title of a problem+json answer (RFC 9457), shortened, for the agent's log."""
    try:
        title = json.loads(data)["title"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {str(title)[:200]}"


def _retry_after(text: str | None) -> float:
    """Seconds of a Retry-After header; the date form is rare and counts as none. At most an hour is believed."""
    return min(float(text), 3600.0) if text and text.isascii() and text.isdigit() else 0.0
