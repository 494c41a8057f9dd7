"""AgentToServer as a value. All of it is bounded and cleaned; whatever is wrong raises MalformedError and nothing else.

Fields that are absent are None: by OpAMP's rule they are unchanged since the last message.
Source: https://github.com/open-telemetry/opamp-spec/blob/main/specification.md#agenttoserver-message
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.control.opamp.messages import opamp_pb2
from tidegate.model.errors import UsageError
from tidegate.model.record import ComponentHealth, ConfigFile, ConfigStatus, RemoteConfig

MOST_ATTRIBUTES = 100
LONGEST_VALUE = 1000
MOST_COMPONENTS = 500
DEEPEST = 16
MOST_FILES = 100
MOST_KEPT = 256 * 1024
"""Bytes of a configuration that are kept; of a larger one only names, sizes and digests."""

MOST_SEQUENCE = 2**63

REQUEST_UID = 1
"""AgentToServerFlags.RequestInstanceUid."""

_STATUSES = (ConfigStatus.UNSET, ConfigStatus.APPLIED, ConfigStatus.APPLYING, ConfigStatus.FAILED)


class MalformedError(UsageError):
    """A message that is not OpAMP's. The answer is BAD_REQUEST."""

    code = "bad-opamp-message"

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="docs/reference/opamp.md says what is supported")


@dataclass(frozen=True, slots=True)
class EffectiveConfig:
    """The configuration that an agent runs with: its files, and each content by its digest."""

    files: tuple[ConfigFile, ...]
    contents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Report:
    """One message of an agent. `uid` has 16 bytes."""

    uid: bytes
    sequence: int
    capabilities: int = 0
    flags: int = 0
    attributes: Mapping[str, str] | None = None
    health: ComponentHealth | None = None
    components: Mapping[str, ComponentHealth] = field(default_factory=dict)
    effective: EffectiveConfig | None = None
    remote: RemoteConfig | None = None
    leaving: bool = False

    @property
    def bare(self) -> bool:
        """Whether it says nothing but that the agent is there."""
        return self.attributes is None and self.health is None and self.effective is None and self.remote is None


def decode(body: bytes) -> Report:
    """The message. Raises MalformedError, and nothing else, for every input."""
    message = opamp_pb2.AgentToServer()
    try:
        message.ParseFromString(body)
    except Exception as error:  # protobuf's runtimes raise classes of their own
        raise MalformedError(f"not an AgentToServer message ({type(error).__name__})") from None
    uid = message.instance_uid
    if len(uid) != 16 or not any(uid):
        raise MalformedError(f"instance_uid: expected 16 bytes that are not all zero, not {len(uid)}")
    if message.sequence_num >= MOST_SEQUENCE:
        raise MalformedError("sequence_num: too large")
    has = {field.name for field, _ in message.ListFields()}
    return Report(
        uid,
        message.sequence_num,
        message.capabilities,
        message.flags,
        _attributes(message.agent_description) if "agent_description" in has else None,
        _component(message.health) if "health" in has else None,
        _parts(message.health) if "health" in has else {},
        _effective(message.effective_config) if "effective_config" in has else None,
        _remote(message.remote_config_status) if "remote_config_status" in has else None,
        "agent_disconnect" in has,
    )


def clean(text: str, longest: int = LONGEST_VALUE) -> str:
    """A text that may be shown: control characters (a terminal obeys them) become spaces, what is too long is cut."""
    text = text[:longest]
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)


def _attributes(description: Any) -> Mapping[str, str]:
    """Identifying attributes win over others of the same name."""
    pairs = [*description.identifying_attributes, *description.non_identifying_attributes]
    if len(pairs) > MOST_ATTRIBUTES:
        raise MalformedError(f"agent_description: more than {MOST_ATTRIBUTES} attributes")
    found: dict[str, str] = {}
    for pair in pairs:
        found.setdefault(clean(pair.key, 200), _text(pair.value))
    return {name: value for name, value in found.items() if name}


def _text(value: Any) -> str:
    match value.WhichOneof("value"):
        case "string_value":
            return clean(value.string_value)
        case "bool_value":
            return str(value.bool_value).lower()
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return f"{value.double_value:g}"
        case "array_value":
            return clean(", ".join(_flat(one) for one in value.array_value.values[:20]))
        case _:
            return ""


def _flat(value: Any) -> str:
    """An item of a list; lists in lists are not looked into."""
    return "" if value.WhichOneof("value") in ("array_value", "kvlist_value") else _text(value)


def _component(message: Any) -> ComponentHealth:
    return ComponentHealth(
        message.healthy, clean(message.status), clean(message.last_error), message.start_time_unix_nano / 1e9
    )


def _components(message: Any, path: str = "", depth: int = 1) -> Iterator[tuple[str, ComponentHealth]]:
    """The parts below a component, by path."""
    if depth > DEEPEST:
        raise MalformedError(f"health: components deeper than {DEEPEST}")
    for name in sorted(message.component_health_map):
        part, here = message.component_health_map[name], f"{path}{clean(name, 200)}"
        yield here, _component(part)
        yield from _components(part, f"{here}/", depth + 1)


def _parts(message: Any) -> Mapping[str, ComponentHealth]:
    parts: dict[str, ComponentHealth] = {}
    for path, health in _components(message):
        parts[path] = health
        if len(parts) > MOST_COMPONENTS:
            raise MalformedError(f"health: more than {MOST_COMPONENTS} components")
    return parts


def _effective(message: Any) -> EffectiveConfig:
    contents: dict[str, bytes] = {}
    files = []
    for name, file in _files(message.config_map.config_map):
        digest = hashlib.sha256(file.body).hexdigest()
        contents[digest] = file.body
        files.append(ConfigFile(clean(name, 200), clean(file.content_type, 200), digest, len(file.body)))
    kept = contents if sum(map(len, contents.values())) <= MOST_KEPT else {}
    return EffectiveConfig(tuple(files), kept)


def _files(files: Any) -> Iterable[tuple[str, Any]]:
    if len(files) > MOST_FILES:
        raise MalformedError(f"effective_config: more than {MOST_FILES} files")
    return [(name, files[name]) for name in sorted(files)]


def _remote(message: Any) -> RemoteConfig:
    known = 0 <= message.status < len(_STATUSES)
    status = _STATUSES[message.status] if known else ConfigStatus.UNSET
    return RemoteConfig(message.last_remote_config_hash[:64].hex(), status, clean(message.error_message))
