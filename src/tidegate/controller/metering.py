"""Keeps a rollout's metric sources going: a task and deadlines for each, never in the way of the sampler or the loop.

What they said last is handed to the sampler once a second. A source that is down, slow or silent is named with its
reason; so is a single metric that has no value for the candidate.
"""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tidegate.model.errors import TidegateError
from tidegate.model.metering import (
    GATEWAY,
    NEEDS_SETTINGS,
    Form,
    Origin,
    OriginKind,
    Question,
    Reading,
    Subject,
    exposure_of,
)
from tidegate.model.observation import InstanceState, Observation
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Analysis
from tidegate.ports import Clock, MetricSource, OpenSource

LATE = 3
"""Periods after which the last answer is too old to go on with."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metered:
    """What goes into a block: metric -> revision -> value, and what is missing, by source or by source/metric."""

    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


NOTHING = Metered()


class Metering:
    """The sources of one agent's rollout. Nothing is opened before a rollout asks, and nothing stays after it."""

    def __init__(self, key: AgentKey, open_source: OpenSource | None, clock: Clock) -> None:
        self._key = key
        self._open = open_source
        self._clock = clock
        self._rollout = ""
        self._candidate = 0
        self._subject = Subject(key, ())
        self._meters: list[_Meter] = []
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> bool:
        """Whether a rollout asks anything."""
        return bool(self._meters)

    def follow(self, state: AgentState, observed: Observation) -> None:
        """Go along with the rollout under way: begin with it, end with it, know its instances."""
        rollout = state.active
        if rollout is None or rollout.fast or rollout.phase is Phase.REVERTING:
            self._stop()
            return
        if observed.reachable:
            self._subject = _subject(state, rollout, observed)
        if rollout.id != self._rollout:
            self._stop()
            self._rollout, self._candidate = rollout.id, rollout.candidate.runs_as
            self._meters = [self._begin(origin, asked) for origin, asked in questions(rollout.analysis)]

    def now(self) -> Metered:
        """What the sources said last, as far as it is still good."""
        values: dict[str, Mapping[int, float]] = {}
        missing: dict[str, str] = {}
        for meter in self._meters:
            down = meter.down(self._clock.now())
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
        self._stop()
        while self._ending:
            await asyncio.wait(self._ending)

    def _begin(self, origin: Origin | str, asked: Sequence[Question]) -> "_Meter":
        known = origin if isinstance(origin, Origin) else Origin(origin, OriginKind.FILE)
        meter = _Meter(known, tuple(asked), self._clock.now())
        if isinstance(origin, str):
            meter.error = "it is not declared in analysis.sources"
        elif self._open is None:
            meter.error = "this platform has no metric sources"
        else:
            meter.task = asyncio.create_task(self._run(meter, self._open))
        return meter

    def _stop(self) -> None:
        for meter in self._meters:
            if meter.task is not None:
                meter.task.cancel()
                self._ending.add(meter.task)
                meter.task.add_done_callback(self._ending.discard)
        self._meters, self._rollout = [], ""

    async def _run(self, meter: "_Meter", open_source: OpenSource) -> None:
        try:
            source = open_source(meter.origin)
        except TidegateError as error:
            meter.error = error.message
            return
        try:
            while True:
                due = asyncio.get_running_loop().time() + meter.origin.period_s
                await self._read(meter, source)
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        finally:
            with suppress(TidegateError):
                await source.close()

    async def _read(self, meter: "_Meter", source: MetricSource) -> None:
        try:
            async with asyncio.timeout(meter.origin.timeout_s):
                reading = await source.read(self._subject, meter.questions)
        except TimeoutError:
            meter.error = f"no answer within {meter.origin.timeout_s:g} s"
        except TidegateError as error:
            meter.error = error.message
        except Exception as error:
            # A source's own bug must not end the watching: it is told like any other failure.
            log.exception("%s: metric source %s", self._key, meter.origin.name)
            meter.error = f"a fault of Tidegate's own ({type(error).__name__})"
        else:
            now = self._clock.now()
            if meter.reading is not None:
                meter.expose(self._subject, now - meter.at)
            meter.reading, meter.error, meter.at = _exposed(_finite(reading, meter.counted), meter), "", now


@dataclass
class _Meter:
    """One source at work: what it said last and when (unix seconds), or what is wrong with it."""

    origin: Origin
    questions: tuple[Question, ...]
    at: float
    reading: Reading | None = None
    error: str = ""
    task: asyncio.Task[None] | None = None
    instance_seconds: dict[int, float] = field(default_factory=dict)

    @property
    def counted(self) -> frozenset[str]:
        """The metrics whose numbers are counts."""
        return frozenset(one.metric for one in self.questions if one.form in (Form.COUNT, Form.HISTOGRAM))

    def expose(self, subject: Subject, seconds: float) -> None:
        """These seconds more, in which each revision's instances could have had events."""
        for instance in subject.instances:
            if instance.state is InstanceState.RUNNING:
                so_far = self.instance_seconds.get(instance.revision, 0.0)
                self.instance_seconds[instance.revision] = so_far + max(seconds, 0.0)

    def down(self, now: float) -> str:
        """Why nothing can be said; empty when the last answer is good, or the first is still waited for."""
        if self.error:
            return self.error
        patience = LATE * self.origin.period_s + self.origin.timeout_s
        return f"no answer for {now - self.at:.0f} s" if now - self.at > patience else ""


def questions(analysis: Analysis) -> list[tuple[Origin | str, list[Question]]]:
    """What is asked of whom: of an origin, or of a name that nobody declared and that is no kind's either."""
    declared = {kind.value: Origin(kind.value, kind) for kind in OriginKind if kind not in NEEDS_SETTINGS}
    declared |= {origin.name: origin for origin in analysis.sources}
    asked: dict[str, list[Question]] = {}
    for metric in analysis.metrics:
        if metric.source != GATEWAY:
            asked.setdefault(metric.source, []).append(Question(metric.name, metric.query, metric.interval_s))
    for stream in analysis.streams:
        if stream.source != GATEWAY:
            question = Question(stream.name, stream.query, stream.interval_s, stream.form, stream.per)
            asked.setdefault(stream.source, []).append(question)
    for _, one in analysis.judges.asked():
        known = {(question.metric, question.query) for question in asked.get(one.source, ())}
        if one.source != GATEWAY and (one.name, one.query) not in known:
            asked.setdefault(one.source, []).append(Question(one.name, one.query, one.interval_s))
    return [(declared.get(name) or name, its) for name, its in asked.items()]


def _subject(state: AgentState, rollout: Rollout, observed: Observation) -> Subject:
    revisions = [rollout.candidate.runs_as]
    if state.stable is not None and state.stable.runs_as not in revisions:
        revisions.append(state.stable.runs_as)
    if rollout.baseline is not None:
        revisions.append(rollout.baseline.runs_as)
    instances = tuple(one for one in observed.instances if one.revision in revisions)
    workload = rollout.candidate.workload
    ports = [route.target for route in workload.routes]
    ports += [probe.port for probe in (workload.readiness, workload.liveness) if probe is not None and probe.port]
    return Subject(state.key, tuple(revisions), instances, ports[0] if ports else 0)


def _exposed(reading: Reading, meter: _Meter) -> Reading:
    """With the instance-seconds that events are counted against, where nothing else was named."""
    counted = [one.metric for one in meter.questions if one.form is Form.COUNT and one.metric in reading.values]
    without = [exposure_of(metric) for metric in counted if exposure_of(metric) not in reading.values]
    return Reading({**reading.values, **{name: dict(meter.instance_seconds) for name in without}}, reading.failed)


def _finite(reading: Reading, counted: frozenset[str]) -> Reading:
    """Without what is not a number: that is no data. Values that are no counts are rounded, so that a day of them stays
    small; the engine and replay see the same."""
    values = {
        metric: {
            revision: value if metric.partition("/")[0] in counted else rounded(value)
            for revision, value in known.items()
            if not math.isnan(value)
        }
        for metric, known in reading.values.items()
    }
    return Reading(values, reading.failed)


def rounded(value: float) -> float:
    """To four significant digits: less than what measuring a second later changes."""
    return float(f"{value:.4g}")
