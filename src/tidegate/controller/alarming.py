"""Asks what alert rules look at, of every instance for itself, for as long as there are rules.

What sources said last goes into the blocks, which are kept for hours; the windows over them are made from the blocks
again when a controller begins. A source that is down is no data for its rules, and is told once in the log.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tidegate.controller.metering import declared, port_of
from tidegate.controller.meters import NOTHING, Metered, Meters
from tidegate.core.alerts.windows import Windows
from tidegate.model.alerting import ALERTMANAGER, NO_ALERTS, Alerting, AlertRule, Signal, signal_name
from tidegate.model.errors import TidegateError
from tidegate.model.heartbeat import AgentStatus
from tidegate.model.metering import GATEWAY, Origin, Question, Subject
from tidegate.model.observation import Block, Observation, ObservedInstance
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.ports import Clock, Journal, OpenSource

PERIOD_S = 5.0
"""Alerts look at minutes: asking more often than this would cost more than it tells."""

RATE_S = 30.0
"""Counts become rates over this time."""

PART_S = 1.0

OBSERVED = frozenset(
    {("heartbeat", "silence_s"), ("heartbeat", "failing"), ("stats", "restarts"), ("stats", "oom_kills")}
)
"""Sources and queries that the loop sees anyway."""

log = logging.getLogger(__name__)


class Alarming:
    """The measurements behind one agent's alert rules."""

    def __init__(self, key: AgentKey, open_source: OpenSource | None, clock: Clock) -> None:
        self._key = key
        self._meters = Meters(key, open_source, clock)
        self._alerting = NO_ALERTS
        self._windows = Windows(())
        self._observed_at = 0.0
        self._observed: tuple[ObservedInstance, ...] = ()
        self._restarts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._latest = 0
        self._told: dict[str, str] = {}

    @property
    def active(self) -> bool:
        """Whether there are rules to measure for."""
        return bool(self._windows.rules)

    async def follow(self, state: AgentState, journal: Journal, now: float) -> None:
        """Go by the rules of the state; those that are new begin with what was measured lately."""
        if state.alerting == self._alerting:
            return
        self._alerting = state.alerting
        self._windows = Windows(rule for rule in state.alerting.rules if rule.source != ALERTMANAGER)
        self._meters.begin(questions(state.alerting))
        if self.active:
            try:
                self._windows.take(await journal.blocks(self._key, now - self._windows.longest_s, now))
            except TidegateError as error:
                log.warning("%s: alerts begin without what was measured before: %s", self._key, error.message)

    def see(self, state: AgentState, observed: Observation) -> None:
        """Know the instances. Each is asked about for itself, as if it were a revision of its own."""
        if not self.active or not observed.reachable:
            return
        self._observed, self._observed_at = observed.instances, observed.at
        self._restarts = {name: entry.count for name, entry in state.restarts.items()}
        self._number(one.name for one in observed.instances)
        alone = tuple(replace(one, revision=self._numbers[one.name]) for one in observed.instances)
        revision = state.stable or (state.rollout.candidate if state.rollout else None)
        port = port_of(revision.workload) if revision is not None else 0
        self._meters.subject = Subject(self._key, tuple(self._numbers.values()), alone, port)

    def _number(self, names: Iterable[str]) -> None:
        """A number for each instance, never given to another one."""
        numbers = {}
        for name in names:
            if name not in self._numbers:
                self._latest += 1
            numbers[name] = self._numbers.get(name, self._latest)
        self._numbers = numbers

    def now(self) -> Metered:
        """What there is to know of each instance at this moment, under the names of alerts."""
        if not self.active:
            return NOTHING
        values: dict[str, Mapping[int, float]] = {}
        named = {self._numbers[one.name]: one for one in self._observed}
        for rule in self._alerting.rules:
            for one in self._observed:
                value = self._seen(rule, one)
                if value is not None:
                    values[signal_name(rule.name, one.name)] = {one.revision: value}
        for meter in self._meters.all:
            down = self._meters.down(meter)
            self._tell(meter.origin.name, down)
            if down or meter.reading is None:
                continue
            for question in meter.questions:
                for number, value in meter.reading.values.get(question.metric, {}).items():
                    if number in named:
                        one = named[number]
                        values[signal_name(question.metric, one.name)] = {one.revision: value}
        return Metered(values)

    def _seen(self, rule: AlertRule, instance: ObservedInstance) -> float | None:
        """What the loop sees anyway; None for what it does not."""
        heartbeat = instance.heartbeat
        match rule.source, rule.query:
            case "heartbeat", "silence_s" if heartbeat is not None and heartbeat.status is not AgentStatus.STOPPING:
                # Where nobody listened for a part of it, it may be longer: enough to be bad, never to be good.
                part = self._observed_at - heartbeat.at > heartbeat.age_s + PART_S
                return None if part and not rule.is_bad(heartbeat.age_s) else heartbeat.age_s
            case "heartbeat", "failing" if heartbeat is not None:
                return float(heartbeat.status is AgentStatus.FAILING)
            case "stats", "restarts":
                return float(instance.restart_count + self._restarts.get(instance.name, 0))
            case "stats", "oom_kills":
                return float(instance.oom_killed)
        return None

    def signals(self, blocks: Sequence[Block], now: float) -> Mapping[str, Mapping[str, Signal]]:
        """What the rules look at, after these blocks."""
        if not self.active:
            return {}
        self._windows.take(blocks)
        return self._windows.signals(now)

    async def end(self) -> None:
        """Let go of the sources."""
        await self._meters.end()

    def _tell(self, source: str, down: str) -> None:
        if down and self._told.get(source) != down:
            log.warning("%s: alerts have no data from %s: %s", self._key, source, down)
        self._told[source] = down


def questions(alerting: Alerting) -> list[tuple[Origin | str, list[Question]]]:
    """What is asked of whom; what is observed anyway is asked of nobody."""
    known = declared(alerting.origins)
    asked: dict[str, list[Question]] = {}
    for rule in alerting.rules:
        if rule.source not in (GATEWAY, ALERTMANAGER) and (rule.source, rule.query) not in OBSERVED:
            asked.setdefault(rule.source, []).append(Question(rule.name, rule.query, RATE_S))
    return [(_slowly(known.get(name)) or name, its) for name, its in asked.items()]


def _slowly(origin: Origin | None) -> Origin | None:
    return replace(origin, period_s=max(origin.period_s, PERIOD_S)) if origin is not None else None
