"""Configuration: a mounted JSON file first, the environment on top of it; every mistake is told with its place."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class BadSettings(Exception):
    """What is wrong, where, and what was expected."""


@dataclass(frozen=True)
class Settings:
    """One field is one key of the file, and LOGSHIP_<FIELD> in the environment."""

    sink: str = ""  # http://host:port/path, https://..., or file:///path
    sink_token: str = ""  # sent to the sink as a bearer token
    port: int = 8080
    host: str = "0.0.0.0"
    files: str = ""  # globs to follow, separated by commas
    state_dir: str = "/var/lib/logship"
    batch_lines: int = 500
    batch_s: float = 0.1  # how long a batch waits to fill
    spool_mb: float = 64.0  # beyond this, POST /logs is answered with 503
    fsync: bool = False  # false: an accepted line survives this process; true: the host's power too
    body_mb: float = 1.0  # the largest body of one request
    linger_s: float = 0.5  # after SIGTERM: still answering while the gateway turns away
    stop_s: float = 8.0  # after SIGTERM: the longest time to empty the spool (Docker kills after 10 s)


def load(environ: Mapping[str, str]) -> Settings:
    """Read the file named by LOGSHIP_CONFIG, then LOGSHIP_*; raises BadSettings."""
    given: dict[str, Any] = {}
    path = environ.get("LOGSHIP_CONFIG", "")
    if path:
        given = {key: (f"{path}: {key}", value) for key, value in _read(path).items()}
    known = {field.name: field for field in fields(Settings)}
    unknown = [where for key, (where, _) in given.items() if key not in known]
    if unknown:
        raise BadSettings(f"{unknown[0]}: no such key; known are {', '.join(known)}")
    for key in known:
        name = f"LOGSHIP_{key.upper()}"
        if name in environ:
            given[key] = (name, environ[name])
    settings = Settings(**{key: _convert(where, value, known[key].type) for key, (where, value) in given.items()})
    _check(settings)
    return settings


def _read(path: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as problem:
        raise BadSettings(f"LOGSHIP_CONFIG: cannot read {path}: {problem.strerror}") from problem
    except ValueError as problem:
        raise BadSettings(f"{path}: not JSON: {problem}") from problem
    if not isinstance(content, dict):
        raise BadSettings(f"{path}: expected an object with keys, found {type(content).__name__}")
    return content


def _convert(where: str, value: Any, kind: Any) -> Any:
    if kind is bool:
        text = str(value).strip().lower()
        if text not in TRUE | FALSE:
            raise BadSettings(f"{where}: expected true or false")
        return text in TRUE
    if kind is str:
        if isinstance(value, list):  # files may be a list in the file
            return ",".join(str(item) for item in value)
        if not isinstance(value, str):
            raise BadSettings(f"{where}: expected text")
        return value
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not (math.isfinite(number) and number >= 0):
        raise BadSettings(f"{where}: expected {'a whole number' if kind is int else 'a number'}, 0 or more")
    return number


def _check(settings: Settings) -> None:
    target = urlsplit(settings.sink)
    is_http = target.scheme in ("http", "https") and bool(target.hostname)
    if not is_http and not (target.scheme == "file" and target.path):
        raise BadSettings("LOGSHIP_SINK: expected http://host:port/path, https://... or file:///path")
    if settings.port > 65535:
        raise BadSettings("LOGSHIP_PORT: expected 0 to 65535")
    if settings.batch_lines < 1:
        raise BadSettings("LOGSHIP_BATCH_LINES: expected 1 or more")
