"""Structured logs: one JSON object a line on stdout, each with the version that wrote it."""

import json
import os
import time
from typing import Any

from logship import VERSION

_ENCODE = json.JSONEncoder(ensure_ascii=False, default=str).encode
_WHO = {
    "agent": os.environ.get("TIDEGATE_AGENT", "logship"),
    "version": VERSION,
    "instance": os.environ.get("TIDEGATE_INSTANCE", os.environ.get("HOSTNAME", "")),
}


def timestamp(at: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    millis = round(at * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000)) + f".{millis % 1000:03d}Z"


def write(level: str, event: str, **more: Any) -> None:
    """Write one line, in one call, so that lines of several threads never mix."""
    line = _ENCODE({"ts": timestamp(time.time()), "level": level, "event": event, **_WHO, **more}) + "\n"
    data = line.encode("utf-8", "replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        pass  # nobody reads us: shipping goes on
