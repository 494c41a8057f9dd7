"""What an agent says of itself beyond its heartbeats: where it runs, what it can, its health and its configuration.

Nothing of it steers traffic: the gateway's endpoints come from what the platform observed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntFlag, StrEnum

from tidegate.model.release import AgentKey

MOST_CHANGES = 20
"""Lines of an agent's history that are kept."""


class Capability(IntFlag):
    """What an agent can do: AgentCapabilities of OpAMP. Bits that are not known here are kept and ignored."""

    REPORTS_STATUS = 1
    ACCEPTS_REMOTE_CONFIG = 2
    REPORTS_EFFECTIVE_CONFIG = 4
    ACCEPTS_PACKAGES = 8
    REPORTS_PACKAGE_STATUSES = 16
    REPORTS_OWN_TRACES = 32
    REPORTS_OWN_METRICS = 64
    REPORTS_OWN_LOGS = 128
    ACCEPTS_OPAMP_CONNECTION = 256
    ACCEPTS_OTHER_CONNECTIONS = 512
    ACCEPTS_RESTART = 1024
    REPORTS_HEALTH = 2048
    REPORTS_REMOTE_CONFIG = 4096
    REPORTS_HEARTBEAT = 8192
    REPORTS_COMPONENTS = 16384

    @property
    def words(self) -> tuple[str, ...]:
        """For a person: accepts remote config, reports health ..."""
        return tuple(str(one.name).lower().replace("_", " ") for one in Capability if one in self)


class Protocol(StrEnum):
    """How an agent reports."""

    JSON = "json"
    OPAMP = "opamp"
    OPAMP_WEBSOCKET = "opamp-websocket"


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """An agent, or a part of it. `started_at`: unix seconds, the agent's clock; 0: not running, or not said."""

    healthy: bool
    status: str = ""
    error: str = ""
    started_at: float = 0.0


class ConfigStatus(StrEnum):
    """What became of an offered configuration."""

    UNSET = "unset"
    APPLYING = "applying"
    APPLIED = "applied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """The configuration that an agent received last (`digest`: its offer's, hexadecimal) and what became of it."""

    digest: str = ""
    status: ConfigStatus = ConfigStatus.UNSET
    error: str = ""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file of the configuration that an agent runs with; the content is kept under its SHA-256."""

    name: str
    content_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Change:
    """One line of an agent's history. `at` is unix seconds, our clock."""

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """One instance, by what it said. `uid` is its OpAMP instance_uid (hexadecimal), empty for the JSON heartbeat.

    `components` is the tree of its parts' health, by path: receivers/otlp. `took`: the digest of the offered
    configuration that it answered last.
    """

    key: AgentKey
    instance: str
    uid: str = ""
    protocol: Protocol = Protocol.JSON
    attributes: Mapping[str, str] = field(default_factory=dict)
    capabilities: int = 0
    health: ComponentHealth | None = None
    components: Mapping[str, ComponentHealth] = field(default_factory=dict)
    effective: tuple[ConfigFile, ...] = ()
    remote: RemoteConfig = RemoteConfig()
    history: tuple[Change, ...] = ()
    took: str = ""

    @property
    def host(self) -> str:
        """Where it says that it runs; empty when it does not say."""
        return self.attributes.get("host.name") or self.attributes.get("host.id") or ""

    def can(self, what: Capability) -> bool:
        """Whether it said that it can."""
        return bool(self.capabilities & what)


def with_history(record: AgentRecord, lines: tuple[Change, ...]) -> AgentRecord:
    """The record with lines added to its history; the oldest go when there are too many."""
    return replace(record, history=(record.history + lines)[-MOST_CHANGES:]) if lines else record
