"""What this agent counts, in the Prometheus text format."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable

from logship import VERSION

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """Used on the event loop's thread only, so it needs no lock."""

    def __init__(self, gauges: dict[str, Callable[[], float]]) -> None:
        self.gauges = gauges
        self.counters: defaultdict[str, float] = defaultdict(float)
        self.latency = [0] * (len(BOUNDS_S) + 1)
        self.latency_sum = 0.0
        for source in ("http", "file"):  # present from the start, so that a rate has a beginning
            self.count("lines_accepted", 0, source=source)
        self.count("lines_shipped", 0)
        self.count("ship_failures", 0)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter; labels are ours, so their values need no escaping."""
        inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
        self.counters[f"logship_{name}_total" + (f"{{{inside}}}" if inside else "")] += amount

    def observe(self, seconds: float) -> None:
        """Count the time of one request."""
        self.latency[bisect_left(BOUNDS_S, seconds)] += 1
        self.latency_sum += seconds

    def snapshot(self) -> dict[str, float]:
        """Name to number, for the heartbeat."""
        return {**self.counters, **{f"logship_{name}": read() for name, read in self.gauges.items()}}

    def render(self) -> str:
        """The text of a scrape."""
        lines = ["# TYPE logship_build_info gauge", f'logship_build_info{{version="{VERSION}"}} 1']
        family = ""
        for series, value in sorted(self.counters.items()):
            if series.partition("{")[0] != family:
                family = series.partition("{")[0]
                lines.append(f"# TYPE {family} counter")
            lines.append(f"{series} {value:.15g}")
        for name, read in self.gauges.items():
            lines += [f"# TYPE logship_{name} gauge", f"logship_{name} {read():.15g}"]
        lines.append("# TYPE logship_request_seconds histogram")
        below = 0
        for bound, count in zip((*BOUNDS_S, "+Inf"), self.latency, strict=True):
            below += count
            lines.append(f'logship_request_seconds_bucket{{le="{bound}"}} {below}')
        lines += [f"logship_request_seconds_sum {self.latency_sum:.9g}", f"logship_request_seconds_count {below}"]
        return "\n".join(lines) + "\n"
