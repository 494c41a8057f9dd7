"""Freeze windows: which one holds at a moment, and until when. Pure; time zones and their changes by zoneinfo.

A window's ends are wall clock times of its zone. Where a clock change makes one of them happen twice or not at all, the
window begins at the earlier and ends at the later moment that could be meant: a freeze is never shorter than written.
Source: PEP 495 (fold), https://peps.python.org/pep-0495/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tidegate.model.policy import FreezeWindow, Repeat

MOST_JOINED = 40
"""Windows that follow each other without a gap are joined, at most this many: after that it is frozen for ever."""


@dataclass(frozen=True)
class Frozen:
    """A window holds; `until` is when the last of those that follow without a gap ends (unix seconds; None: never)."""

    name: str
    until: float | None


def frozen(windows: Sequence[FreezeWindow], at: float) -> Frozen | None:
    """The window that holds at a moment (unix seconds), or None."""
    name, until = "", at
    for _ in range(MOST_JOINED):
        ends = [(end, window.name) for window in windows if (end := _end(window, until)) is not None]
        if not ends:
            return Frozen(name, until) if name else None
        until, last = max(ends)
        name = name or last
    return Frozen(name, None)


def next_change(windows: Sequence[FreezeWindow], at: float) -> float | None:
    """When a window begins next, after a moment (unix seconds); None when none does within eight days."""
    starts = [start for window in windows for start, _ in _occurrences(window, at) if start > at]
    return min(starts, default=None)


def occurrences(window: FreezeWindow, at: float) -> list[tuple[float, float]]:
    """The window's spans around a moment: the one before, the present one, the next (unix seconds, end excluded)."""
    return sorted(_occurrences(window, at))


def _end(window: FreezeWindow, at: float) -> float | None:
    return max((end for start, end in _occurrences(window, at) if start <= at < end), default=None)


def _occurrences(window: FreezeWindow, at: float) -> Iterator[tuple[float, float]]:
    zone = ZoneInfo(window.zone)
    today = datetime.fromtimestamp(at, zone).date()
    match window.repeat:
        case Repeat.ONCE:
            first, last = date.fromisoformat(window.since_date), date.fromisoformat(window.until_date)
            yield _span(window, zone, first, last)
        case Repeat.DAILY:
            more = 0 if window.until_minute > window.since_minute else 1
            for shift in (-2, -1, 0, 1):
                day = today + timedelta(days=shift)
                yield _span(window, zone, day, day + timedelta(days=more))
        case Repeat.WEEKLY:
            monday = today - timedelta(days=today.weekday())
            since = (window.since_day, window.since_minute)
            more = 0 if (window.until_day, window.until_minute) > since else 7
            for weeks in (-2, -1, 0, 1):
                week = monday + timedelta(weeks=weeks)
                last = week + timedelta(days=window.until_day + more)
                yield _span(window, zone, week + timedelta(days=window.since_day), last)


def _span(window: FreezeWindow, zone: ZoneInfo, first: date, last: date) -> tuple[float, float]:
    return min(_moments(zone, first, window.since_minute)), max(_moments(zone, last, window.until_minute))


def _moments(zone: ZoneInfo, day: date, minute: int) -> tuple[float, float]:
    """The moments (unix seconds) that a wall clock time may mean; the same twice on most days."""
    wall = datetime.combine(day + timedelta(days=minute // 1440), time(minute % 1440 // 60, minute % 60))
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC).timestamp() for fold in (0, 1))
    return before, after


def local(at: float | None, zone: str = "UTC") -> str:
    """A moment as a person reads it."""
    if at is None:
        return "ever"
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")
