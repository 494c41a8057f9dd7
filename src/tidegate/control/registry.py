"""The registry of agents: the latest pulse of every instance in memory, saved in batches.

Whatever way an agent reports, it ends here; what it says of itself beyond that is in the records.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tidegate.control.asking import Orders
from tidegate.control.attendance import Attendance, Missed
from tidegate.control.records import Name, Records
from tidegate.core import liveness
from tidegate.model.errors import StoreError, TidegateError
from tidegate.model.heartbeat import Action, Ask, Heartbeat, Listening, Pulse, Reply
from tidegate.model.record import AgentRecord
from tidegate.model.release import AgentKey
from tidegate.ports import Clock, Pulses

SHORTEST_INTERVAL_S = 1.0
LONGEST_INTERVAL_S = 300.0
"""The interval that agents are told to keep lies within these; the SDK refuses longer ones."""

MOST_INSTANCES = 20_000
"""Instances of one agent in one environment: a bound on memory, not on fleets."""

BURST, PER_SECOND = 20.0, 5.0
"""Heartbeats that one instance may send at once, and in the long run."""

DEAF_S = 5.0
"""A process that did not look at its clock for so long (suspended, starved, or the clock was set) could not hear."""

FORGET_S = 7 * 86400.0
"""An instance that was not heard for so long is forgotten."""

log = logging.getLogger(__name__)


class TooManyError(TidegateError):
    """More heartbeats than anybody needs; try again after `retry_after_s`."""

    code = "too-many-heartbeats"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, hint="keep the interval that the last answer asked for")
        self.retry_after_s = retry_after_s


class Registry:
    """Who reports. Not thread-safe: it lives in one event loop."""

    def __init__(self, store: Pulses, clock: Clock, records: Records | None = None) -> None:
        self._store = store
        self._clock = clock
        self.records = records if records is not None else Records()
        self.orders: Orders | None = None
        self.attendance = Attendance(self.records, self.pulse)
        self._pulses: dict[AgentKey, dict[str, Pulse]] = {}
        self._allowance: dict[tuple[AgentKey, str], tuple[float, float]] = {}
        self._unsaved: dict[tuple[AgentKey, str], Pulse] = {}
        self._since: float | None = None
        self._looked = clock.now()
        self._told: str = ""

    def hear(self, heartbeat: Heartbeat) -> Reply:
        """Take one heartbeat in. Raises TooManyError."""
        now = self._clock.now()
        self._look(now)
        ours = self._pulses.setdefault(heartbeat.key, {})
        before = ours.get(heartbeat.instance)
        if before is None and len(ours) >= MOST_INSTANCES:
            raise TooManyError(f"{MOST_INSTANCES} instances of {heartbeat.key} report already", 60.0)
        self._spend(heartbeat, now)
        pulse = liveness.beat(before, heartbeat, now)
        ours[heartbeat.instance] = pulse
        self._unsaved[heartbeat.key, heartbeat.instance] = pulse
        if heartbeat.attributes is not None:
            self._describe((heartbeat.key, heartbeat.instance), heartbeat.attributes)
        self.attendance.heard(before, pulse)
        unknown = before is None and heartbeat.sequence > 1
        interval = min(max(heartbeat.interval_s, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S)
        asked = () if self.orders is None else self.orders.asked(heartbeat, pulse)
        return Reply(interval, (Action(Ask.REPORT_STATE if unknown else Ask.CONTINUE), *asked), now)

    def _describe(self, name: Name, attributes: Mapping[str, str]) -> None:
        """What a JSON heartbeat says of its place."""
        known = self.records.get(name)
        if known is None or known.attributes != attributes:
            self.records.put(replace(known or AgentRecord(*name), attributes=attributes))

    def _spend(self, heartbeat: Heartbeat, now: float) -> None:
        """One heartbeat of the instance's allowance (a token bucket)."""
        name = (heartbeat.key, heartbeat.instance)
        left, at = self._allowance.get(name, (BURST, now))
        left = min(BURST, left + max(0.0, now - at) * PER_SECOND)
        if left < 1:
            self._allowance[name] = (left, now)
            raise TooManyError(f"{heartbeat.instance} sends more than {PER_SECOND:g} heartbeats a second", 1.0)
        self._allowance[name] = (left - 1, now)

    def now(self) -> float:
        """Unix seconds, by the clock that everything here is measured with."""
        return self._clock.now()

    def forget_instance(self, name: Name) -> None:
        """It goes by another name now."""
        self._pulses.get(name[0], {}).pop(name[1], None)
        self._unsaved.pop(name, None)
        self._allowance.pop(name, None)
        self.attendance.forget(name)
        self.records.drop(name)

    def pulse(self, name: Name) -> Pulse | None:
        """What is known of one instance."""
        return self._pulses.get(name[0], {}).get(name[1])

    def pulses(self, key: AgentKey | None) -> Iterable[Pulse]:
        """What is known of every instance of an agent in an environment, or of all."""
        return self.pulses_of(key).values() if key else (p for each in self._pulses.values() for p in each.values())

    def pulses_of(self, key: AgentKey) -> Mapping[str, Pulse]:
        """What is known of each instance that ever reported, by its name."""
        return self._pulses.get(key, {})

    def listening(self) -> Listening:
        """Since when somebody hears without a break, as of now."""
        now = self._clock.now()
        self._look(now)
        return Listening(self._since, now)

    def look(self) -> list[Missed]:
        """Those that have been silent for too long since the last look."""
        return self.attendance.look(self.listening())

    def deafened(self) -> None:
        """Some were turned away unheard: silence counts from now."""
        if self._since is not None:
            self._since = self._clock.now()

    def open(self) -> None:
        """From now on agents can reach us."""
        self._looked = self._clock.now()
        if self._since is None:
            self._since = self._looked

    def shut(self) -> None:
        """From now on agents cannot reach us."""
        self._since = None

    def _look(self, now: float) -> None:
        """Begin to listen anew after a time without a look: what was sent meanwhile may still wait in a queue."""
        if self._since is not None and not 0 <= now - self._looked <= DEAF_S:
            self._since = now
        self._looked = now

    async def load(self) -> None:
        """Take over what was saved, as far as it is newer than what is known here. Raises StoreError."""
        for pulse in await self._store.pulses(None):
            ours = self._pulses.setdefault(pulse.key, {})
            known = ours.get(pulse.instance)
            if known is None or known.last_at < pulse.last_at:
                ours[pulse.instance] = pulse
                self.attendance.expect(pulse)
        await self.records.load()

    async def save(self) -> None:
        """Keep what was heard since the last time; what cannot be kept now is tried again with the next batch."""
        batch, self._unsaved = self._unsaved, {}
        try:
            await self._store.save_pulses(list(batch.values()), self.listening())
            await self.records.save()
            self._told = ""
        except StoreError as error:
            self._unsaved = batch | self._unsaved
            if error.message != self._told:
                log.warning("heartbeats are heard, but cannot be saved: %s", error.message)
            self._told = error.message

    async def forget(self) -> None:
        """Drop instances that were not heard for a week. Raises StoreError."""
        before = self._clock.now() - FORGET_S
        for key, ours in list(self._pulses.items()):
            for name in [name for name, pulse in ours.items() if pulse.last_at < before]:
                del ours[name]
                self._allowance.pop((key, name), None)
                self.attendance.forget((key, name))
                self.records.drop((key, name))
        await self._store.forget_pulses(before)
