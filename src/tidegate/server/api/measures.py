"""What /metrics counts of the server itself. A registry of our own: nothing is global."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """Counters of one process. Labels are route templates, never paths: an attacker must not choose their number."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tidegate_http_requests_total", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "tidegate_http_request_seconds", "Time to answer.", ["route"], buckets=BUCKETS, registry=self.registry
        )
        self.refused = Counter(
            "tidegate_http_refused_total", "Requests refused before any route.", ["why"], registry=self.registry
        )
        self.streams = Gauge("tidegate_http_streams", "Event streams that are open.", registry=self.registry)
        self.open_streams = 0

    def stream(self, change: int) -> None:
        """An event stream began (+1) or ended (-1)."""
        self.open_streams += change
        self.streams.set(self.open_streams)
