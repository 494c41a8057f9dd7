"""Counters, gauges and histograms in the Prometheus text format (version 0.0.4), without a dependency."""

import math
import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]


class Metric(Protocol):
    """What the registry needs of a metric: its type, and its samples at this moment."""

    kind: str

    def samples(self, name: str) -> Iterator[Sample]:
        """Give (sample name, labels, value)."""
        ...


M = TypeVar("M", bound=Metric)


class Counter:
    """Only rises. Name it `..._total`."""

    kind = "counter"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Labels, float] = {}

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Add `amount` (never negative) to the series with these labels."""
        if not amount >= 0:
            raise ValueError(f"a counter only rises, not by {amount}; use a gauge")
        key = _labels(labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount

    def samples(self, name: str) -> Iterator[Sample]:
        """One sample a series; a counter without any series yet is 0, so that a rate can begin there."""
        with self._lock:
            values = dict(self._values) or {(): 0.0}
        yield from ((name, labels, value) for labels, value in values.items())


class Gauge:
    """Goes up and down: set it, or give a function that is read when asked."""

    kind = "gauge"

    def __init__(self, read: Callable[[], float] | None = None) -> None:
        self._lock = threading.Lock()
        self._read = read
        self._values: dict[Labels, float] = {}

    def set(self, value: float, **labels: str) -> None:
        """Set the series with these labels to `value`."""
        with self._lock:
            self._values[_labels(labels)] = float(value)

    def samples(self, name: str) -> Iterator[Sample]:
        """One sample a series."""
        if self._read is not None:
            yield name, (), float(self._read())
        with self._lock:
            values = dict(self._values)
        yield from ((name, labels, value) for labels, value in values.items())


class Histogram:
    """Counts observations in cumulative buckets; seconds by default. One series, without labels."""

    kind = "histogram"

    def __init__(self, bounds: Sequence[float] = LATENCY_BUCKETS_S) -> None:
        self._lock = threading.Lock()
        self._bounds = tuple(sorted(bounds))
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation: a bucket holds what is less than or equal to its bound."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def samples(self, name: str) -> Iterator[Sample]:
        """Cumulative buckets with `+Inf` last, then sum and count."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        below = 0
        for bound, count in zip((*self._bounds, math.inf), counts, strict=True):
            below += count
            yield f"{name}_bucket", (("le", _number(bound)),), float(below)
        yield f"{name}_sum", (), total
        yield f"{name}_count", (), float(below)


class Metrics:
    """A registry: make metrics by name, then `render()` for a scrape or `snapshot()` for a heartbeat."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metrics: dict[str, tuple[str, Metric]] = {}

    def counter(self, name: str, about: str = "") -> Counter:
        """Make and register a counter."""
        return self._add(name, about, Counter())

    def gauge(self, name: str, about: str = "", read: Callable[[], float] | None = None) -> Gauge:
        """Make and register a gauge; `read` is called at each scrape instead of `set`."""
        return self._add(name, about, Gauge(read))

    def histogram(self, name: str, about: str = "", bounds: Sequence[float] = LATENCY_BUCKETS_S) -> Histogram:
        """Make and register a histogram with these upper bounds."""
        return self._add(name, about, Histogram(bounds))

    def _add(self, name: str, about: str, metric: M) -> M:
        if not _NAME.fullmatch(name):
            raise ValueError(f"metric name {name!r}: letters, digits, _ and : only, no digit first")
        with self._lock:
            if name in self._metrics:
                raise ValueError(f"metric {name!r} is there already; keep the object that made it")
            self._metrics[name] = (about, metric)
        return metric

    def _read(self) -> Iterator[tuple[str, str, str, list[Sample]]]:
        with self._lock:
            metrics = list(self._metrics.items())
        for name, (about, metric) in metrics:
            try:
                yield name, about, metric.kind, list(metric.samples(name))
            except Exception:  # noqa: S112 - a gauge's function is the user's: it costs its own line, not the scrape
                continue

    def render(self) -> str:
        """The exposition text of a scrape, with the content type `CONTENT_TYPE`."""
        lines: list[str] = []
        for name, about, kind, samples in self._read():
            if about:
                lines.append(f"# HELP {name} " + about.replace("\\", r"\\").replace("\n", r"\n"))
            lines.append(f"# TYPE {name} {kind}")
            lines += [f"{sample}{_braces(labels)} {_number(value)}" for sample, labels, value in samples]
        return "\n".join(lines) + "\n"

    def snapshot(self) -> dict[str, float]:
        """Name to number for a heartbeat: buckets stay out (a scrape has them), JSON knows no infinity or NaN."""
        return {
            f"{sample}{_braces(labels)}": value
            for _, _, _, samples in self._read()
            for sample, labels, value in samples
            if not sample.endswith("_bucket") and math.isfinite(value)
        }


def _labels(labels: dict[str, str]) -> Labels:
    bad = [name for name in labels if not _LABEL.fullmatch(name)]
    if bad:
        raise ValueError(f"label name {bad[0]!r}: letters, digits and _ only, no digit first")
    return tuple(sorted((name, str(value)) for name, value in labels.items()))


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = ((name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels)
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
