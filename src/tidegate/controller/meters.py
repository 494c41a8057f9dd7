"""Metric sources at work: a task and deadlines for each, never in the way of the sampler or the loop."""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tidegate.model.errors import TidegateError
from tidegate.model.metering import Form, Origin, OriginKind, Question, Reading, Subject, exposure_of
from tidegate.model.observation import InstanceState
from tidegate.model.release import AgentKey
from tidegate.ports import Clock, MetricSource, OpenSource

LATE = 3
"""Periods after which the last answer is too old to go on with."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metered:
    """What goes into a block: metric -> revision -> value, and what is missing, by source or by source/metric."""

    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def plus(self, other: "Metered") -> "Metered":
        """Both together."""
        return Metered({**self.values, **other.values}, {**self.missing, **other.missing})


NOTHING = Metered()


class Meters:
    """The sources that somebody asks about one agent. `subject` is whom they are asked about from now on."""

    def __init__(self, key: AgentKey, open_source: OpenSource | None, clock: Clock) -> None:
        self.subject = Subject(key, ())
        self.all: list[Meter] = []
        self._key = key
        self._open = open_source
        self._clock = clock
        self._ending: set[asyncio.Task[None]] = set()

    def begin(self, asked: Sequence[tuple[Origin | str, list[Question]]]) -> None:
        """Ask these from now on, and nobody else."""
        self.stop()
        self.all = [self._begin(origin, questions) for origin, questions in asked]

    def down(self, meter: "Meter") -> str:
        """Why a source says nothing at this moment; empty when it does."""
        return meter.down(self._clock.now())

    async def end(self) -> None:
        """Stop everything, and wait until it has."""
        self.stop()
        while self._ending:
            await asyncio.wait(self._ending)

    def stop(self) -> None:
        """Ask nobody any more."""
        for meter in self.all:
            if meter.task is not None:
                meter.task.cancel()
                self._ending.add(meter.task)
                meter.task.add_done_callback(self._ending.discard)
        self.all = []

    def _begin(self, origin: Origin | str, asked: Sequence[Question]) -> "Meter":
        known = origin if isinstance(origin, Origin) else Origin(origin, OriginKind.FILE)
        meter = Meter(known, tuple(asked), self._clock.now())
        if isinstance(origin, str):
            meter.error = "it is not declared in analysis.sources"
        elif self._open is None:
            meter.error = "this platform has no metric sources"
        else:
            meter.task = asyncio.create_task(self._run(meter, self._open))
        return meter

    async def _run(self, meter: "Meter", open_source: OpenSource) -> None:
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

    async def _read(self, meter: "Meter", source: MetricSource) -> None:
        try:
            async with asyncio.timeout(meter.origin.timeout_s):
                reading = await source.read(self.subject, meter.questions)
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
                meter.expose(self.subject, now - meter.at)
            meter.reading, meter.error, meter.at = _exposed(_finite(reading, meter.counted), meter), "", now


@dataclass
class Meter:
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


def _exposed(reading: Reading, meter: Meter) -> Reading:
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
