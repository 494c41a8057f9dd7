"""What was measured lately, in cells of some seconds: enough for every fold over every window, in little memory.

It is made of blocks alone, so a controller that begins reads it back from those that were kept.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidegate.core.analysis.thresholds import QUANTILES, quantile_ms
from tidegate.model.alerting import AlertRule, Fold, Signal, named_signal
from tidegate.model.metering import GATEWAY
from tidegate.model.observation import LATENCY_BOUNDS_MS, Block, Traffic

CELL_S = 5.0
FRESH_S = 20.0
"""Without a window the latest value counts, if it is no older than this."""

FEWEST_REQUESTS = 10
"""Fewer requests in a window say nothing about errors or latency."""


@dataclass
class _Cell:
    start: float
    values: int = 0
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")
    grown: float = 0.0


@dataclass
class _Series:
    """One subject's values for one rule. `last` is the latest, measured at `at` (unix seconds)."""

    revision: int
    at: float = 0.0
    last: float | None = None
    cells: deque[_Cell] = field(default_factory=deque)

    def add(self, at: float, value: float, keep_s: float) -> None:
        if not self.cells or at >= self.cells[-1].start + CELL_S:
            self.cells.append(_Cell(at))
        cell = self.cells[-1]
        if self.last is not None:  # a count that fell was reset: its new value is what came since
            cell.grown += value - self.last if value >= self.last else value
        cell.values += 1
        cell.total += value
        cell.least, cell.most = min(cell.least, value), max(cell.most, value)
        self.last, self.at = value, at
        while self.cells[0].start < at - keep_s - CELL_S:
            self.cells.popleft()

    def fold(self, rule: AlertRule, now: float) -> float | None:
        if self.last is None or now - self.at > max(rule.over_s, FRESH_S):
            return None
        cells = [cell for cell in self.cells if cell.start > now - rule.over_s - CELL_S]
        if rule.fold is Fold.LAST or not rule.over_s or not cells:
            return self.last
        match rule.fold:
            case Fold.MEAN:
                return sum(cell.total for cell in cells) / sum(cell.values for cell in cells)
            case Fold.MAX:
                return max(cell.most for cell in cells)
            case Fold.MIN:
                return min(cell.least for cell in cells)
            case _:
                return sum(cell.grown for cell in cells)


class Windows:
    """The windows of one agent's rules in one environment."""

    def __init__(self, rules: Iterable[AlertRule]) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self.longest_s = max((rule.over_s for rule in self.rules.values()), default=0.0)
        self._taken_to = 0.0
        self._series: dict[tuple[str, str], _Series] = {}
        self._traffic: deque[tuple[float, dict[int, Traffic]]] = deque()

    def take(self, blocks: Iterable[Block]) -> None:
        """Add blocks, oldest first; those that were added before change nothing."""
        for block in blocks:
            if block.at <= self._taken_to:
                continue
            self._taken_to = block.at
            for name, by_revision in block.values.items():
                found = named_signal(name)
                if found is not None and found[0] in self.rules:
                    for revision, value in by_revision.items():
                        known = self._series.setdefault(found, _Series(revision))
                        known.add(block.at, value, self.rules[found[0]].over_s)
            self._count(block)

    def _count(self, block: Block) -> None:
        if not block.traffic or not any(rule.source == GATEWAY for rule in self.rules.values()):
            return
        if not self._traffic or block.at >= self._traffic[-1][0] + CELL_S:
            self._traffic.append((block.at, {}))
        cell = self._traffic[-1][1]
        for revision, traffic in block.traffic.items():
            cell[revision] = cell.get(revision, Traffic()).plus(traffic)
        while self._traffic[0][0] < block.at - self.longest_s - CELL_S:
            self._traffic.popleft()

    def signals(self, now: float) -> Mapping[str, Mapping[str, Signal]]:
        """What each rule looks at, by subject; nothing of a subject without data."""
        oldest = now - self.longest_s - FRESH_S
        self._series = {name: series for name, series in self._series.items() if series.at > oldest}
        found: dict[str, dict[str, Signal]] = {}
        for (name, subject), series in self._series.items():
            value = series.fold(self.rules[name], now)
            if value is not None:
                found.setdefault(name, {})[subject] = Signal(value, series.revision)
        for rule in self.rules.values():
            if rule.source == GATEWAY:
                found[rule.name] = self._of_gateway(rule, now)
        return found

    def _of_gateway(self, rule: AlertRule, now: float) -> dict[str, Signal]:
        span = rule.over_s or CELL_S
        sums: dict[int, Traffic] = {}
        for start, cell in self._traffic:
            if start > now - span - CELL_S:
                for revision, traffic in cell.items():
                    sums[revision] = sums.get(revision, Traffic()).plus(traffic)
        values = {revision: measure(rule.query, traffic, span) for revision, traffic in sums.items()}
        return {f"r{number}": Signal(value, number) for number, value in values.items() if value is not None}


def measure(query: str, traffic: Traffic, span_s: float) -> float | None:
    """A gateway's query over what happened in a window; None where too few requests say anything."""
    if query == "request_rate":
        return traffic.requests / span_s
    if traffic.requests < FEWEST_REQUESTS:
        return None
    if query in ("error_share", "success_rate"):
        share = traffic.errors / traffic.requests
        return share if query == "error_share" else 100.0 * (1.0 - share)
    return mean_ms(traffic.latency) if query == "latency_mean" else quantile_ms(traffic.latency, QUANTILES[query])


def mean_ms(latency: tuple[int, ...]) -> float | None:
    """The mean as far as a histogram tells: each request counts as the middle of its bucket, in milliseconds."""
    total, seen, below = 0.0, 0, 0.0
    for bound, count in zip((*LATENCY_BOUNDS_MS, LATENCY_BOUNDS_MS[-1]), latency, strict=False):
        total, seen, below = total + count * (below + bound) / 2, seen + count, bound
    return total / seen if seen else None
