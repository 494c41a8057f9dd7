"""The agents' own /metrics, read from every running instance. Counters become rates over the metric's interval."""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

from tidegate.adapters.metrics.rates import Counter, Totals
from tidegate.adapters.metrics.web import Web
from tidegate.model.errors import MetricError
from tidegate.model.metering import Form, Origin, Question, Reading, Subject, bucket_of, exposure_of
from tidegate.model.observation import InstanceState, ObservedInstance
from tidegate.model.queries import Selection, Selector, read_selection

Found = Mapping[Selector, tuple[float, bool]]
"""Selector -> the sum of its samples, and whether that is a counter. Of a histogram, one selector a bucket."""

PerRevision = Mapping[int, Sequence[tuple[ObservedInstance, Found]]]


class Scrape:
    """ports.MetricSource by HTTP."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._web = Web(origin.timeout_s * 0.9)
        self._now = 0.0
        self._counters: dict[tuple[str, str, Selector], Counter] = {}
        self._totals = Totals()

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        """Ask every instance at once. Raises MetricError when none answers."""
        port = self._origin.port or subject.port
        if not port:
            raise MetricError("no port: the agent has no route and no probe; give the source a port")
        asked = {one.metric: (one, read_selection(one.query)) for one in questions}
        wanted = {selector for question, selection in asked.values() for selector in _selectors(question, selection)}
        running = [one for one in subject.instances if one.state is InstanceState.RUNNING and one.address]
        answers = await asyncio.gather(*(self._instance(one, port, wanted) for one in running), return_exceptions=True)
        self._forget({one.id for one in running})
        per_revision: dict[int, list[tuple[ObservedInstance, Found]]] = {}
        errors = []
        for instance, answer in zip(running, answers, strict=True):
            if isinstance(answer, BaseException):
                if not isinstance(answer, MetricError):
                    raise answer
                errors.append((instance, answer))
            else:
                per_revision.setdefault(instance.revision, []).append((instance, answer))
        if errors and not per_revision:
            raise errors[0][1]
        self._now = time.monotonic()
        values: dict[str, Mapping[int, float]] = {}
        for question, selection in asked.values():
            values |= self._answer(question, selection, per_revision, subject.revisions)
        why = "; ".join(f"{instance.name}: {error.message}" for instance, error in errors[:2])
        return Reading(values, dict.fromkeys(asked, why) if why else {})

    async def _instance(self, instance: ObservedInstance, port: int, wanted: Iterable[Selector]) -> Found:
        host = f"[{instance.address}]" if ":" in instance.address else instance.address
        status, body = await self._web.get(f"http://{host}:{port}{self._origin.path}")
        if status != 200:
            raise MetricError(f"http://{host}:{port}{self._origin.path} answered {status}")
        try:
            return await asyncio.to_thread(find, body.decode(), tuple(wanted))
        except (ValueError, KeyError, IndexError) as error:
            raise MetricError(
                f"{instance.name}: what it answers is no Prometheus text ({type(error).__name__})"
            ) from None

    def _answer(
        self, question: Question, selection: Selection, found: PerRevision, revisions: Sequence[int]
    ) -> dict[str, Mapping[int, float]]:
        """What one question gets, by the names in a reading."""
        match question.form:
            case Form.COUNT:
                names = (question.metric, exposure_of(question.metric))  # the second only where it is counted
                pairs = zip(names, _counted(question, selection), strict=False)
                return {name: self._grown(name, selector, found, revisions) for name, selector in pairs}
            case Form.HISTOGRAM:
                bounds = {s for each in found.values() for _, one in each for s in one if _is_bucket(s, selection)}
                return {_named(question, s): self._grown(_named(question, s), s, found, revisions) for s in bounds}
            case _:
                values = {number: self._value(question, selection, list(each)) for number, each in found.items()}
                return {question.metric: {number: v for number, v in values.items() if not math.isnan(v)}}

    def _grown(self, name: str, selector: Selector, found: PerRevision, revisions: Sequence[int]) -> dict[int, float]:
        for revision, each in found.items():
            for instance, one in each:
                if selector in one:
                    self._totals.add(name, revision, instance.id, one[selector][0])
        return self._totals.of(name, revisions)

    def _value(self, question: Question, selection: Selection, found: list[tuple[ObservedInstance, Found]]) -> float:
        """One value for a revision; NaN where there is none yet."""
        tops = [value for one in found if (value := self._of(question, selection.selector, *one)) is not None]
        if selection.by is not None:
            bottoms = [value for one in found if (value := self._of(question, selection.by, *one)) is not None]
            return sum(tops) / sum(bottoms) if tops and bottoms and sum(bottoms) else math.nan
        if not tops:
            return math.nan
        match selection.over:
            case "sum":
                return sum(tops)
            case "max":
                return max(tops)
            case "min":
                return min(tops)
            case _:
                return sum(tops) / len(tops)

    def _of(self, question: Question, selector: Selector, instance: ObservedInstance, found: Found) -> float | None:
        if selector not in found:
            return None
        value, cumulative = found[selector]
        if not cumulative:
            return value
        counter = self._counters.setdefault((instance.id, question.metric, selector), Counter())
        counter.add(self._now, value, question.interval_s)
        return counter.rate()

    def _forget(self, running: set[str]) -> None:
        self._counters = {key: counter for key, counter in self._counters.items() if key[0] in running}

    async def close(self) -> None:
        """Let go of the connections."""
        await self._web.close()


def _selectors(question: Question, selection: Selection) -> tuple[Selector, ...]:
    if question.form is Form.COUNT:
        return _counted(question, selection)
    if question.form is Form.HISTOGRAM:
        return (Selector(_bucket_name(selection), selection.selector.labels, spread=True),)
    return (selection.selector,) if selection.by is None else (selection.selector, selection.by)


def _counted(question: Question, selection: Selection) -> tuple[Selector, ...]:
    """The selector of the events, and that of what they are counted against where there is one."""
    per = read_selection(question.per).selector if question.per else selection.by
    return (selection.selector,) if per is None else (selection.selector, per)


def _bucket_name(selection: Selection) -> str:
    return selection.selector.name.removesuffix("_bucket") + "_bucket"


def _is_bucket(selector: Selector, selection: Selection) -> bool:
    return selector.name == _bucket_name(selection) and selector.labels[:-1] == selection.selector.labels


def _named(question: Question, bucket: Selector) -> str:
    """Of the bucket without a bound: all events."""
    bound = float(bucket.labels[-1][2])
    return question.metric if math.isinf(bound) else bucket_of(question.metric, bound)


def find(text: str, wanted: Sequence[Selector]) -> Found:
    """What the text says of each selector; absent where no sample fits. Raises ValueError for what is no such text."""
    found: dict[Selector, tuple[float, bool]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            ends = ("_bucket", "_count", "_sum")
            grows = family.type == "counter" or (family.type in ("histogram", "summary") and sample.name.endswith(ends))
            grows = grows or (family.type in ("unknown", "untyped") and sample.name.endswith("_total"))
            for selector in wanted:
                if selector.fits(sample.name, sample.labels):
                    key = selector.at(sample.labels)
                    found[key] = (found.get(key, (0.0, grows))[0] + sample.value, grows)
    return found
