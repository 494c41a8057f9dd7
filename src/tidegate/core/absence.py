"""What silences mean together: one agent is gone, or its whole host is out of reach; and who only flaps."""

from collections.abc import Iterable, Sequence

from tidegate.core import liveness
from tidegate.model.event import Event, EventKind
from tidegate.model.heartbeat import AgentHealth, Listening, Pulse

FLAPS, FLAPPING_S = 3, 600.0
"""Whoever came back this often within so many seconds flaps: it is said once, and then not every time."""

TOGETHER = 10
"""When more instances of an agent than this go quiet in one look, they are told in one line."""

JUMP_S = 5.0
"""A clock that is wrong by this much more than before was set, or jumped."""

SILENT = (AgentHealth.GONE, AgentHealth.LATE, AgentHealth.UNREACHABLE)


def host_is_away(healths: Iterable[AgentHealth]) -> bool:
    """Whether a host is out of reach, by the health of all that report from it.

    One agent's silence says nothing of its host; that of all of several does. Those that stopped say nothing.
    """
    told = [one for one in healths if one not in (AgentHealth.STOPPED, AgentHealth.UNKNOWN)]
    return len(told) > 1 and all(one in SILENT for one in told) and any(one is not AgentHealth.LATE for one in told)


def flapping(returns: Sequence[float], now: float) -> bool:
    """Whether somebody with these returns (unix seconds) flaps."""
    return sum(1 for at in returns if now - at <= FLAPPING_S) >= FLAPS


def gone_events(gone: Sequence[Pulse], listening: Listening) -> tuple[Event, ...]:
    """Instances of one agent that went quiet, each found silent for too long now."""
    if len(gone) > TOGETHER:
        first, last = (pulse.instance for pulse in (gone[0], gone[-1]))
        because = f"{len(gone)} instances went quiet together, {first} to {last}; {_silence(gone[0], listening)}"
        return (_event(gone[0], listening.at, because, {"instances": len(gone)}),)
    return tuple(
        _event(pulse, listening.at, f"no heartbeat of {pulse.instance} {_silence(pulse, listening)}") for pulse in gone
    )


def _silence(pulse: Pulse, listening: Listening) -> str:
    silent = liveness.age(pulse, listening) or 0.0
    missed = int(silent / pulse.interval_s)
    return f"for {silent:.1f} s: {missed} missed in a row, one was due every {pulse.interval_s:.3g} s"


def away_event(host: str, gone: Sequence[Pulse], listening: Listening) -> Event:
    """A host out of reach: all that reports from there is silent, whoever was heard last comes first."""
    names = ", ".join(pulse.instance for pulse in gone[:3])
    because = (
        f"nothing from host {host} {_silence(gone[0], listening)}; {len(gone)} instances are silent there: {names}"
    )
    more = " ..." if len(gone) > 3 else ""
    return Event(
        listening.at, gone[0].key, EventKind.UNREACHABLE, because + more, None, {"host": host, "instances": len(gone)}
    )


def back_event(pulse: Pulse, silent_s: float, returns: Sequence[float], now: float) -> Event | None:
    """It reports again. Whoever flaps is told of once, as such."""
    recent = sum(1 for at in returns if now - at <= FLAPPING_S)
    if recent > FLAPS:
        return None
    because = f"{pulse.instance} reports again, after {silent_s:.0f} s"
    if recent == FLAPS:
        because += f"; it flaps: {FLAPS} times in {FLAPPING_S / 60:.0f} min, and is told no more until it is steady"
    return _event(pulse, now, because)


def clock_event(pulse: Pulse, before_s: float, now: float) -> Event:
    """Its clock jumped. Nothing but the clock: its heartbeats go on."""
    where = "ahead" if pulse.skew_s > 0 else "behind"
    because = (
        f"the clock of {pulse.instance} is {abs(pulse.skew_s):.0f} s {where}"
        f" ({pulse.skew_s - before_s:+.0f} s against before); it reports as usual"
    )
    return _event(pulse, now, because, {"skew_s": round(pulse.skew_s, 3)})


def drift_event(pulse: Pulse, has: str, wanted: str, again: str) -> Event:
    """It has another configuration than the one that it took."""
    because = f"{pulse.instance} runs with configuration {has[:8] or 'of its own'}, not {wanted[:8]}: {again}"
    return _event(pulse, pulse.last_at, because)


def _event(pulse: Pulse, at: float, because: str, more: dict[str, int | float] | None = None) -> Event:
    data = {"instance": pulse.instance, **(more or {})}
    return Event(at, pulse.key, EventKind.HEARTBEAT, because, pulse.revision or None, data)
