"""The log of a process that runs for months: one line each on stderr, key=value or JSON, times in UTC."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from tidegate.model.errors import UsageError

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_/:+@")


class Logfmt(logging.Formatter):
    """at=... level=... msg="..." and whatever `extra={"fields": {...}}` adds. Line ends are escaped, never written."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return " ".join(f"{name}={quoted(str(value))}" for name, value in self.fields(record).items())

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What the line says."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "msg": record.getMessage()}
        fields |= {name: value for name, value in getattr(record, "fields", {}).items() if value is not None}
        if record.name and not record.name.startswith("tidegate"):
            fields["from"] = record.name
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return fields


class JsonLines(Logfmt):
    """The same as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return json.dumps(self.fields(record), default=str)


FORMATS: dict[str, type[Logfmt]] = {"logfmt": Logfmt, "json": JsonLines}


def quoted(text: str) -> str:
    """The text as it is when it is one plain word, else in quotes with everything unprintable escaped."""
    if text and set(text) <= PLAIN:
        return text
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else _escaped(one) for one in inner) + '"'


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def log_to_stderr(verbose: bool, form: str = "logfmt") -> None:
    """Send the log of this process to stderr. Raises UsageError for an unknown form."""
    if form not in FORMATS:
        raise UsageError(f"there is no log format {form}", hint=f"one of {', '.join(FORMATS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATS[form]())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("tidegate").setLevel(logging.DEBUG if verbose else logging.INFO)
