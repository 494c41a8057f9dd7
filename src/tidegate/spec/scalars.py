"""Texts of single values: YAML 1.2 core types, Go durations, Compose byte sizes; and back into text."""

import math
import re

Plain = str | bool | int | float | None

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
_BASED = re.compile(r"0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}

_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_S = 366 * 24 * 3600.0

_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([bkmgt]b?|[kmgt]ib)?", re.IGNORECASE)
_POWER = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def resolve(text: str) -> Plain:
    """The value of a plain scalar by YAML 1.2's core schema. `yes`, `on` and `1:30` are texts there."""
    folded = text.lower()
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if folded in _INFINITE:
        return _INFINITE[folded]
    return float(text) if len(text) <= 60 and _FLOAT.fullmatch(text) else text


def duration(text: str) -> float:
    """Seconds of a Go duration ("1m30s", "500ms") or of a plain number of seconds. Raises ValueError with a hint."""
    text = text.strip()
    if len(text) <= 60 and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        seconds = float(text)
    else:
        parts = _DURATION.findall(text) if len(text) <= 60 else []
        if not parts or "".join(parts) != text:
            raise ValueError("write days as hours: 24h" if re.fullmatch(r"[0-9.]+d", text) else "write 30s or 1m30s")
        seconds = 0.0
        for part in parts:
            unit = part.lstrip("0123456789.")
            seconds += float(part[: -len(unit)]) * _SECONDS[unit]
    if seconds > LONGEST_S:
        raise ValueError("a year (8784h) is the longest")
    return round(seconds, 9)


def duration_text(seconds: float) -> str:
    """The shortest Go duration of a number of seconds; `duration` reads it back."""
    if seconds == 0:
        return "0s"
    if seconds < 1 or seconds != int(seconds):
        return f"{seconds * 1000:.9g}ms"
    hours, rest = divmod(int(seconds), 3600)
    minutes, whole = divmod(rest, 60)
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (whole, "s")) if count)


def byte_size(text: str) -> int:
    """Bytes of a Compose byte size ("512m", "1.5gb"; a k is 1024) or a plain number. Raises ValueError with a hint."""
    match = _BYTES.fullmatch(text.strip()) if len(text) <= 40 else None
    if not match:
        raise ValueError("write 512m or 1g")
    return int(float(match[1]) * 1024 ** _POWER[(match[2] or "")[:1].lower()])


def byte_text(count: int) -> str:
    """The shortest Compose byte size that is exact."""
    for unit, size in (("g", 1024**3), ("m", 1024**2), ("k", 1024)):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}b"
