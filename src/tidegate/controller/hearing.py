"""Joins what agents report to what the platform observes: heartbeats of the incarnation that runs now, no earlier one.

An instance keeps its name over restarts, and its former incarnation's heartbeats say nothing about the present one. The
engine's times are not ours, so incarnations are told apart by when we looked: whatever a process reported that was
first heard after the last look at the former incarnation is the present one's.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime

from tidegate.core import liveness
from tidegate.model.desired import reported_name
from tidegate.model.heartbeat import Pulse
from tidegate.model.observation import Observation, ObservedInstance
from tidegate.model.release import AgentKey
from tidegate.ports import Heartbeats


@dataclass(frozen=True)
class _Incarnation:
    """`after`: when the former one was seen last; `seen`: when this one was seen first. Unix seconds, our clock."""

    started_at: str
    after: float
    seen: float

    def reported(self, pulse: Pulse) -> bool:
        """Whether the pulse is this incarnation's."""
        return pulse.run_at >= self.after or pulse.last_at > self.seen


class Hearing:
    """For one agent in one environment."""

    def __init__(self, heartbeats: Heartbeats | None) -> None:
        self._heartbeats = heartbeats
        self._incarnations: dict[str, _Incarnation] = {}
        self._looked: float | None = None

    def attach(self, key: AgentKey, observed: Observation) -> Observation:
        """The observation with each instance's heartbeat, where its present incarnation has reported."""
        if self._heartbeats is None or not observed.reachable:
            return observed
        pulses, listening = self._heartbeats.pulses_of(key.fleet), self._heartbeats.listening()
        now = listening.at
        self._incarnations = {i.name: self._incarnation(i, now) for i in observed.instances}
        self._looked = now
        instances = []
        for instance in observed.instances:
            pulse = pulses.get(reported_name(key, instance.name))
            if pulse is not None and self._incarnations[instance.name].reported(pulse):
                instance = replace(instance, heartbeat=liveness.heard(pulse, listening))
            instances.append(instance)
        return replace(observed, instances=tuple(instances))

    def _incarnation(self, instance: ObservedInstance, now: float) -> _Incarnation:
        known = self._incarnations.get(instance.name)
        if known is not None and known.started_at == instance.started_at:
            return known
        if self._looked is not None:
            return _Incarnation(instance.started_at, self._looked, now)
        # The first look of this controller: all that there is to compare with is the engine's clock. When it is ahead
        # of ours, what was heard before counts for nothing until the next heartbeat; when it is behind, silence is
        # counted from when we began to listen.
        started = min(_unix(instance.started_at), now)
        return _Incarnation(instance.started_at, math.inf, math.nextafter(started, -math.inf))


def _unix(started_at: str) -> float:
    """Unix seconds of the engine's text (RFC 3339); minus infinity for anything else."""
    try:
        return datetime.fromisoformat(started_at).timestamp()
    except (ValueError, OverflowError):
        return -math.inf
