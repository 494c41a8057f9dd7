"""Freeze windows on any day of any zone, clock changes among them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tidegate.core.calendar import frozen, next_change, occurrences
from tidegate.model.policy import FreezeWindow, Repeat

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
# Two clock changes of each zone with any lie within these two years.
MOMENTS = st.integers(1_704_067_200, 1_767_225_600).map(float)
MINUTES = st.integers(0, 1439)
DAILY = st.builds(FreezeWindow, st.just("d"), st.just(Repeat.DAILY), MINUTES, MINUTES, st.sampled_from(ZONES))
WEEKLY = st.builds(
    FreezeWindow,
    st.just("w"),
    st.just(Repeat.WEEKLY),
    MINUTES,
    MINUTES,
    st.sampled_from(ZONES),
    st.integers(0, 6),
    st.integers(0, 6),
)
WINDOWS = st.one_of(DAILY, WEEKLY)
BERLIN_SPRING = datetime(2025, 3, 30, 0, 0, tzinfo=UTC).timestamp()
BERLIN_AUTUMN = datetime(2025, 10, 26, 0, 0, tzinfo=UTC).timestamp()


def on_the_wall(window: FreezeWindow, at: float) -> bool:
    """Whether the clock on the wall shows a time inside the window: the naive reading."""
    wall = datetime.fromtimestamp(at, ZoneInfo(window.zone))
    minute = wall.hour * 60 + wall.minute + wall.second / 60
    since, until = float(window.since_minute), float(window.until_minute)
    if window.repeat is Repeat.WEEKLY:
        minute += wall.weekday() * 1440
        since, until = since + window.since_day * 1440, until + window.until_day * 1440
    return since <= minute < until if until > since else (minute >= since or minute < until)


@settings(deadline=None)
@given(window=WINDOWS, at=MOMENTS)
@example(window=FreezeWindow("d", Repeat.DAILY, 150, 180, "Europe/Berlin"), at=BERLIN_SPRING + 1800)
@example(window=FreezeWindow("d", Repeat.DAILY, 120, 150, "Europe/Berlin"), at=BERLIN_AUTUMN + 4500)
def test_a_freeze_is_never_shorter_than_the_clock_on_the_wall_says(window: FreezeWindow, at: float) -> None:
    if on_the_wall(window, at):
        held = frozen((window,), at)
        assert held is not None
        assert held.until is None or held.until > at


@settings(deadline=None)
@given(window=WINDOWS, at=MOMENTS)
def test_far_from_a_clock_change_it_is_exactly_as_the_clock_on_the_wall_says(window: FreezeWindow, at: float) -> None:
    zone = ZoneInfo(window.zone)
    days = [datetime.fromtimestamp(at, zone) + timedelta(days=shift) for shift in range(-9, 10)]
    assume(len({day.utcoffset() for day in days}) == 1)
    assert (frozen((window,), at) is not None) == on_the_wall(window, at)


@settings(deadline=None)
@given(windows=st.lists(WINDOWS, max_size=3), at=MOMENTS)
def test_when_it_ends_nothing_is_frozen_any_more(windows: list[FreezeWindow], at: float) -> None:
    held = frozen(windows, at)
    if held is not None and held.until is not None:
        assert held.until > at
        assert frozen(windows, held.until) is None
        assert frozen(windows, held.until - 0.5) is not None


@settings(deadline=None)
@given(windows=st.lists(WINDOWS, min_size=1, max_size=3), at=MOMENTS)
def test_the_next_change_is_the_beginning_of_a_window(windows: list[FreezeWindow], at: float) -> None:
    begins = next_change(windows, at)
    assert begins is not None, "a daily or weekly window comes again"
    assert at < begins <= at + 15 * 86400
    assert frozen(windows, begins) is not None
    if frozen(windows, at) is None:
        assert frozen(windows, (at + begins) / 2) is None


@settings(deadline=None)
@given(window=WINDOWS, at=MOMENTS)
def test_every_span_is_a_span(window: FreezeWindow, at: float) -> None:
    assert all(start < end for start, end in occurrences(window, at))


def test_a_range_of_dates_and_one_that_never_ends() -> None:
    new_year = FreezeWindow(
        "holidays", Repeat.ONCE, 1080, 540, "Europe/Berlin", since_date="2026-12-23", until_date="2027-01-04"
    )
    inside = datetime(2026, 12, 31, tzinfo=UTC).timestamp()
    held = frozen((new_year,), inside)
    assert held is not None
    assert held.until == datetime(2027, 1, 4, 8, 0, tzinfo=UTC).timestamp()
    assert frozen((new_year,), inside - 20 * 86400) is None
    always = (FreezeWindow("am", Repeat.DAILY, 0, 720), FreezeWindow("pm", Repeat.DAILY, 720, 0))
    held = frozen(always, inside)
    assert held is not None
    assert held.until is None
