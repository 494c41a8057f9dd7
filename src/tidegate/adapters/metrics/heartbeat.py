"""What is known of instances from their heartbeats: silence, lost messages, processes, the clock's skew, failing."""

from collections.abc import Sequence

from tidegate.adapters.metrics.rates import Totals
from tidegate.model.errors import MetricError
from tidegate.model.heartbeat import AgentStatus, Pulse
from tidegate.model.metering import Form, Question, Reading, Subject
from tidegate.ports import Heartbeats


class HeartbeatSource:
    """ports.MetricSource by the control centre. A value is that of the worst instance; for evidence, the mean."""

    def __init__(self, heartbeats: Heartbeats | None) -> None:
        self._heartbeats = heartbeats
        self._totals = Totals()

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        """As heard up to now. Raises MetricError when nobody listens."""
        if self._heartbeats is None:
            raise MetricError("nobody listens for heartbeats: TIDEGATE_AGENTS_PORT is off")
        listening = self._heartbeats.listening()
        if listening.since is None:
            raise MetricError("nobody listens for heartbeats")
        pulses = self._heartbeats.pulses_of(subject.key)
        values: dict[str, dict[int, float]] = {}
        for one in questions:
            for number in subject.revisions:
                names = [instance.name for instance in subject.of_revision(number) if instance.name in pulses]
                found = {name: _value(one.query, pulses[name], listening.since, listening.at) for name in names}
                match one.form:
                    case Form.COUNT:
                        for name, value in found.items():
                            self._totals.add(one.metric, number, name, value)
                        values.setdefault(one.metric, {}).update(self._totals.of(one.metric, (number,)))
                    case Form.MEAN if found:
                        values.setdefault(one.metric, {})[number] = sum(found.values()) / len(found)
                    case _ if found:
                        values.setdefault(one.metric, {})[number] = max(found.values())
        return Reading(values)

    async def close(self) -> None:
        """There is nothing to let go of."""


def _value(query: str, pulse: Pulse, since: float, now: float) -> float:
    match query:
        case "silence_s":
            return max(now - max(pulse.last_at, since), 0.0)
        case "gaps":
            return float(pulse.gaps)
        case "processes":
            return float(pulse.runs)
        case "skew_s":
            return abs(pulse.skew_s)
        case _:
            return float(pulse.status is AgentStatus.FAILING)
