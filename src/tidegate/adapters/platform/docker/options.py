"""What the adapter may be told about a host. Times are seconds, sizes are bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tidegate.adapters.platform.docker.remote import HelperImage
from tidegate.adapters.platform.docker.supply import Supply

SUBNETS = ("10.213.0.0/16", "10.214.0.0/16", "172.30.0.0/16", "192.168.213.0/24")
"""Tried in this order when no subnet is configured: the first that overlaps no network of the engine is taken."""


@dataclass(frozen=True)
class DockerOptions:
    """Settings of one host.

    `subnet` is that of our network when we are the ones who make it (empty: the first of SUBNETS that is free).
    `heartbeat_url` is handed to instances as TIDEGATE_URL; "{gateway}" in it becomes our network's gateway address.
    `token_for` makes an instance's token from its name (TIDEGATE_AGENT_TOKEN).
    `supply` brings images that were never pushed. `helper_image` is for probes of a remote engine: where it is given,
    http and tcp probes are put from the engine's own host.
    `disk_reserve` is what a pull must leave free. `docker_config` is the folder with the registry credentials.
    """

    network: str = "tidegate"
    subnet: str = ""
    heartbeat_url: str = ""
    token_for: Callable[[str], str] | None = None
    deadline_s: float = 10.0
    observe_deadline_s: float = 4.0
    start_deadline_s: float = 60.0
    pull_silence_s: float = 120.0
    supply: Supply | None = None
    helper_image: HelperImage | None = None
    disk_reserve: int = 512 * 1024 * 1024
    docker_config: Path | None = None
    log_lines: int = 50
