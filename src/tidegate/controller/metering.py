"""Keeps a rollout's metric sources going.

What they said last is handed to the sampler once a second. A source that is down, slow or silent is named with its
reason; so is a single metric that has no value for the candidate.
"""

from collections.abc import Iterable, Mapping

from tidegate.controller.meters import Metered as Metered
from tidegate.controller.meters import Meters
from tidegate.model.metering import GATEWAY, NEEDS_SETTINGS, Origin, OriginKind, Question, Subject
from tidegate.model.observation import Observation
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Analysis
from tidegate.model.workload import Workload
from tidegate.ports import Clock, OpenSource


class Metering:
    """The sources of one agent's rollout. Nothing is opened before a rollout asks, and nothing stays after it."""

    def __init__(self, key: AgentKey, open_source: OpenSource | None, clock: Clock) -> None:
        self._meters = Meters(key, open_source, clock)
        self._rollout = ""
        self._candidate = 0

    @property
    def active(self) -> bool:
        """Whether a rollout asks anything."""
        return bool(self._meters.all)

    def follow(self, state: AgentState, observed: Observation) -> None:
        """Go along with the rollout under way: begin with it, end with it, know its instances."""
        rollout = state.active
        if rollout is None or rollout.fast or rollout.phase is Phase.REVERTING:
            self._meters.stop()
            self._rollout = ""
            return
        if observed.reachable:
            self._meters.subject = _subject(state, rollout, observed)
        if rollout.id != self._rollout:
            self._rollout, self._candidate = rollout.id, rollout.candidate.runs_as
            self._meters.begin(questions(rollout.analysis))

    def now(self) -> Metered:
        """What the sources said last, as far as it is still good."""
        values: dict[str, Mapping[int, float]] = {}
        missing: dict[str, str] = {}
        for meter in self._meters.all:
            down = self._meters.down(meter)
            if down:
                missing[meter.origin.name] = down
            elif meter.reading is not None:
                known = meter.reading
                values |= known.values
                for one in meter.questions:
                    if self._candidate not in known.values.get(one.metric, {}):
                        why = known.failed.get(one.metric, f"no data about revision {self._candidate}")
                        missing[f"{meter.origin.name}/{one.metric}"] = why
        return Metered(values, missing)

    async def end(self) -> None:
        """Stop everything, and wait until it has."""
        self._rollout = ""
        await self._meters.end()


def declared(sources: Iterable[Origin]) -> dict[str, Origin]:
    """The origins by name: those that need no settings, and those that were declared."""
    known = {kind.value: Origin(kind.value, kind) for kind in OriginKind if kind not in NEEDS_SETTINGS}
    return known | {origin.name: origin for origin in sources}


def questions(analysis: Analysis) -> list[tuple[Origin | str, list[Question]]]:
    """What is asked of whom: of an origin, or of a name that nobody declared and that is no kind's either."""
    known = declared(analysis.sources)
    asked: dict[str, list[Question]] = {}
    for metric in analysis.metrics:
        if metric.source != GATEWAY:
            asked.setdefault(metric.source, []).append(Question(metric.name, metric.query, metric.interval_s))
    for stream in analysis.streams:
        if stream.source != GATEWAY:
            question = Question(stream.name, stream.query, stream.interval_s, stream.form, stream.per)
            asked.setdefault(stream.source, []).append(question)
    for _, one in analysis.judges.asked():
        same = {(question.metric, question.query) for question in asked.get(one.source, ())}
        if one.source != GATEWAY and (one.name, one.query) not in same:
            asked.setdefault(one.source, []).append(Question(one.name, one.query, one.interval_s))
    return [(known.get(name) or name, its) for name, its in asked.items()]


def _subject(state: AgentState, rollout: Rollout, observed: Observation) -> Subject:
    revisions = [rollout.candidate.runs_as]
    if state.stable is not None and state.stable.runs_as not in revisions:
        revisions.append(state.stable.runs_as)
    if rollout.baseline is not None:
        revisions.append(rollout.baseline.runs_as)
    instances = tuple(one for one in observed.instances if one.revision in revisions)
    return Subject(state.key, tuple(revisions), instances, port_of(rollout.candidate.workload))


def port_of(workload: Workload) -> int:
    """Where the agent listens, as far as its workload tells; 0 where it does not."""
    ports = [route.target for route in workload.routes]
    ports += [probe.port for probe in (workload.readiness, workload.liveness) if probe is not None and probe.port]
    return ports[0] if ports else 0
