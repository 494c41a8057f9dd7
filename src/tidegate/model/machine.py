"""What a look at this machine found: facts for doctor. None means that it could not be found out."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EngineFacts:
    """One Docker Engine. `problem` says why it does not answer; everything else is then empty. Bytes and cores."""

    endpoint: str
    problem: str = ""
    version: str = ""
    api: str = ""
    system: str = ""
    live_restore: bool | None = None
    cgroup: str = ""
    rootless: bool = False
    desktop: bool = False
    memory_limit: bool | None = None
    pids_limit: bool | None = None
    userland_proxy: bool | None = None
    data_root: str = ""
    cores: int = 0
    memory: int = 0
    images: frozenset[str] = frozenset()
    clock_skew_s: float | None = None


@dataclass(frozen=True)
class PortFact:
    """A port that the spec listens on. `holder` is empty when it is free or held by our gateway."""

    port: int
    holder: str = ""


@dataclass(frozen=True)
class StateFacts:
    """Where the state is. `problem` says why it cannot be used. Bytes; `mode` is the folder's permission bits."""

    location: str
    problem: str = ""
    folder: str = ""
    mode: int | None = None
    free: int | None = None


@dataclass(frozen=True)
class MachineFacts:
    """All of it. `tools` is name -> version (empty: not there); `gateway` tells of its image."""

    engine: EngineFacts
    state: StateFacts
    ports: tuple[PortFact, ...] = ()
    data_free: int | None = None
    nofile: tuple[int, int] | None = None
    clock_synchronised: bool | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    gateway: str = ""
    gateway_problem: str = ""
