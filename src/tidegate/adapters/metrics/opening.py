"""From an origin to its source. What a source needs is imported when it is opened: most rollouts ask none of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.model.metering import Origin, OriginKind
from tidegate.ports import Heartbeats, MetricSource, SecretSource

if TYPE_CHECKING:
    from tidegate.adapters.platform.docker.client import Engine


@dataclass(frozen=True)
class Opener:
    """ports.OpenSource for one Docker Engine. `folder` is where relative files are looked for."""

    engine: "Engine"
    secrets: SecretSource
    folder: Path
    heartbeats: Heartbeats | None = None

    def __call__(self, origin: Origin) -> MetricSource:
        """The source; nothing is connected yet."""
        match origin.kind:
            case OriginKind.STATS:
                from tidegate.adapters.metrics.stats import Stats

                return Stats(self.engine)
            case OriginKind.LOGS:
                from tidegate.adapters.metrics.logs import Logs

                return Logs(self.engine)
            case OriginKind.SCRAPE:
                from tidegate.adapters.metrics.scrape import Scrape

                return Scrape(origin)
            case OriginKind.HEARTBEAT:
                from tidegate.adapters.metrics.heartbeat import HeartbeatSource

                return HeartbeatSource(self.heartbeats)
            case OriginKind.PROMETHEUS:
                from tidegate.adapters.metrics.prometheus import Prometheus

                return Prometheus(origin, self.secrets)
            case OriginKind.FILE:
                from tidegate.adapters.metrics.file import Recorded

                return Recorded(origin, self.folder)
