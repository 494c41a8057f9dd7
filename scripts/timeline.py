"""What happened to the bad version, from the two sides that saw it: the load's records and Tidegate's events.

Pure: data in, data out. Times are unix seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.load import Report

Events = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Timeline:
    """The story of one bad version. None: it was not seen."""

    first_request: float | None
    first_fault: float | None
    decided: float | None
    because: str
    last_request: float | None
    requests: int
    faults: int
    lost: int

    def problems(self) -> list[str]:
        """What is not as it should be; empty for a rollback as promised."""
        wrong = []
        if not self.faults:
            wrong.append("the bad version never failed a request of the load, so nothing was shown")
        if self.decided is None:
            wrong.append("no event tells that Tidegate decided to take it back")
        if self.lost:
            wrong.append(f"{self.lost} requests were lost outside the canary's own faults; 0 were promised")
        return wrong

    def lines(self) -> list[tuple[float, str]]:
        """The story in order of time."""
        because = f": {self.because}" if self.because else ""
        told = [
            (self.first_request, "first request reached the bad version"),
            (self.first_fault, "the fault began: it failed its first request"),
            (self.decided, f"decided to take it back{because}"),
            (self.last_request, "last request that the bad version answered"),
        ]
        return sorted((at, text) for at, text in told if at is not None)


def of(report: Report, events: Events, version: str, revision: int) -> Timeline:
    """Put the load's records and the events of the bad revision together."""
    at = [report.started_at + record.ended for record in report.of(version)]
    faults = [report.started_at + record.ended for record in report.of(version) if record.fault]
    turned = [
        event
        for event in events
        if event.get("kind") == "phase"
        and event.get("revision") == revision
        and (event.get("data") or {}).get("to") == "reverting"
    ]
    first = min(turned, key=lambda event: float(event["at"])) if turned else None
    return Timeline(
        first_request=min(at, default=None),
        first_fault=min(faults, default=None),
        decided=float(first["at"]) if first else None,
        because=str(first["because"]) if first else "",
        last_request=max(at, default=None),
        requests=len(at),
        faults=len(faults),
        lost=len(report.lost()),
    )
