"""Hosts and waves as the spec has them: who belongs to a fleet, and how a release goes over it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HostTls:
    """Paths of the certificates for a host reached by tcp://: whose word is good, and who we are (mTLS)."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Host:
    """One Docker host of a fleet. `endpoint`: unix://, ssh:// or tcp://; labels choose it for waves."""

    name: str
    endpoint: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tls: HostTls | None = None


@dataclass(frozen=True)
class Limits:
    """What a wave puts up with. Seconds; shares are percent.

    `concurrency` hosts roll at once: a number ("8") or a percentage of the wave ("25%", rounded up). The fleet goes
    back once at least `failed_minimum` hosts of a wave have failed and they are `failed_share` percent of those of its
    hosts that can be reached. A host that is not done `host_deadline_s` after it began has failed; time in which it
    could not be reached does not count.
    """

    concurrency: str = "8"
    bake_s: float = 30.0
    failed_share: float = 0.0
    failed_minimum: int = 1
    host_deadline_s: float = 1800.0


@dataclass(frozen=True)
class WavePlan:
    """One wave: hosts with these labels, and of those so many: "3", "25%" of the fleet (rounded up), "" for all."""

    labels: Mapping[str, str] = field(default_factory=dict)
    size: str = ""
    limits: Limits = Limits()


@dataclass(frozen=True)
class Exponential:
    """Waves that grow: `first` hosts, then each time `factor` times as many."""

    first: int = 1
    factor: float = 2.0


@dataclass(frozen=True)
class Waves:
    """How a release goes over a fleet. Hosts that no plan takes form a last wave with `limits`.

    Without plans the waves grow exponentially.
    """

    plans: tuple[WavePlan, ...] = ()
    exponential: Exponential = Exponential()
    limits: Limits = Limits()
