"""Who has gone quiet, who is back, whose clock jumped: noticed as it happens, told as events.

Instances of Tidegate's own are told of by the loop, which knows their containers too; here they only count.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tidegate.control.records import Name, Records
from tidegate.control.watch import Watch
from tidegate.core import absence, liveness
from tidegate.model.event import Event
from tidegate.model.heartbeat import AgentHealth, AgentStatus, Listening, Pulse

PulseOf = Callable[[Name], Pulse | None]


@dataclass(frozen=True, slots=True)
class Missed:
    """An instance was found silent at `at`, past the deadline `due` (unix seconds)."""

    name: Name
    due: float
    at: float
    health: AgentHealth


class Attendance:
    """Watches the deadline of every instance that reported. Not thread-safe: one event loop."""

    def __init__(self, records: Records, pulse_of: PulseOf) -> None:
        self._records = records
        self._pulse_of = pulse_of
        self._watch: Watch[Name] = Watch()
        self._gone: dict[Name, AgentHealth] = {}
        self._away: set[str] = set()
        self._returns: dict[Name, tuple[float, ...]] = {}
        self._skews: dict[Name, float] = {}
        self._doubts: set[Name] = set()
        self._events: list[Event] = []

    @property
    def gone(self) -> int:
        """How many are silent for too long."""
        return len(self._gone)

    def is_gone(self, name: Name) -> AgentHealth | None:
        """GONE or UNREACHABLE for who is silent for too long."""
        return self._gone.get(name)

    def expect(self, pulse: Pulse) -> None:
        """Watch it from now on; whether anybody listens is looked at when its time has come."""
        if pulse.status is not AgentStatus.STOPPING:
            self._watch.expect((pulse.key, pulse.instance), pulse.last_at + liveness.deadline(pulse.interval_s))

    def heard(self, before: Pulse | None, pulse: Pulse) -> None:
        """It reported."""
        name = (pulse.key, pulse.instance)
        if name in self._gone:
            self._back(name, before, pulse)
        if abs(pulse.skew_s - self._skews.get(name, 0.0)) > absence.JUMP_S:
            self._jumped(name, pulse)
        elif self._doubts:
            self._doubts.discard(name)
        self.expect(pulse)

    def _back(self, name: Name, before: Pulse | None, pulse: Pulse) -> None:
        del self._gone[name]
        host = self._records.host_of(name)
        if host in self._away:
            self._away.discard(host)
        now, silent = pulse.last_at, pulse.last_at - (before or pulse).last_at
        returns = (*self._returns.get(name, ()), now)[-absence.FLAPS - 1 :]
        self._returns[name] = returns
        self._records.note(name, now, f"reports again, after {silent:.0f} s")
        event = absence.back_event(pulse, silent, returns, now)
        if event is not None and not ours(name):
            self._events.append(event)

    def _jumped(self, name: Name, pulse: Pulse) -> None:
        """Believed when the next message says the same: one that was held up on its way shows the same once."""
        if name not in self._doubts:
            self._doubts.add(name)
            return
        self._doubts.discard(name)
        before = self._skews.get(name, 0.0)
        self._skews[name] = pulse.skew_s
        event = absence.clock_event(pulse, before, pulse.last_at)
        self._records.note(name, pulse.last_at, event.because)
        self._events.append(event)

    def look(self, listening: Listening) -> list[Missed]:
        """Those whose deadline has passed since the last look. While nobody listens, nobody is late."""
        if listening.since is None:
            return []
        overdue = self._watch.overdue(listening.at, lambda name: self._deadline(name, listening))
        if not overdue:
            return []
        pulses = {name: pulse for name in overdue if (pulse := self._pulse_of(name)) is not None}
        for name in pulses:
            self._gone[name] = AgentHealth.GONE
        self._hosts({self._records.host_of(name) for name in pulses} - {""}, listening)
        self._tell(pulses, listening)
        return [
            Missed(name, liveness.overdue_at(pulse, listening) or 0.0, listening.at, self._gone[name])
            for name, pulse in pulses.items()
        ]

    def _deadline(self, name: Name, listening: Listening) -> float | None:
        pulse = self._pulse_of(name)
        return liveness.overdue_at(pulse, listening) if pulse is not None else None

    def _hosts(self, hosts: Iterable[str], listening: Listening) -> None:
        """Whoever is silent together with everything on its host is not gone, but out of reach."""
        for host in sorted(hosts):
            there = list(self._records.on_host(host))
            if not absence.host_is_away(liveness.health(self._pulse_of(name), listening) for name in there):
                continue
            silent = [name for name in there if name in self._gone]
            for name in silent:
                self._gone[name] = AgentHealth.UNREACHABLE
            if host not in self._away:
                self._away.add(host)
                pulses = [pulse for name in silent if (pulse := self._pulse_of(name)) is not None]
                latest_first = sorted(pulses, key=lambda pulse: (-pulse.last_at, pulse.instance))
                self._events.append(absence.away_event(host, latest_first, listening))

    def _tell(self, pulses: dict[Name, Pulse], listening: Listening) -> None:
        told: dict[object, list[Pulse]] = {}
        for name, pulse in pulses.items():
            what = "its host is out of reach" if self._gone[name] is AgentHealth.UNREACHABLE else "went quiet"
            self._records.note(name, listening.at, f"{what}, silent for {liveness.age(pulse, listening) or 0:.0f} s")
            quiet = ours(name) or self._gone[name] is AgentHealth.UNREACHABLE
            if not quiet and not absence.flapping(self._returns.get(name, ()), listening.at):
                told.setdefault(pulse.key, []).append(pulse)
        for each in told.values():
            self._events += absence.gone_events(each, listening)

    def drifted(self, name: Name, has: str, wanted: str, again: str) -> None:
        """It reports another configuration than the one that it took; `again`: what is done about it."""
        pulse = self._pulse_of(name)
        if pulse is not None:
            self._events.append(absence.drift_event(pulse, has, wanted, again))

    def forget(self, name: Name) -> None:
        """It is not watched any more."""
        self._gone.pop(name, None)
        self._returns.pop(name, None)
        self._skews.pop(name, None)
        self._doubts.discard(name)

    def take_events(self) -> list[Event]:
        """What was noticed since the last time."""
        events, self._events = self._events, []
        return events

    def put_back(self, events: list[Event]) -> None:
        """They could not be kept; the newest thousand wait."""
        self._events = [*events, *self._events][-1000:]


def ours(name: Name) -> bool:
    """Whether it is an instance that Tidegate made (agent.environment.rREVISION.INDEX)."""
    return name[1].startswith(f"{name[0]}.r")
