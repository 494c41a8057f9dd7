"""The engine's own measurements of containers, streamed: a single answer takes the engine two seconds.

Shares are of the container's limit (of the host where there is none). A revision's value is that of its worst instance;
restarts and memory kills are added up. For evidence it is the mean of its instances, and what was counted since the
source began.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.adapters.metrics.followers import Followers
from tidegate.adapters.metrics.rates import Totals
from tidegate.adapters.platform.docker.client import Engine
from tidegate.model.metering import Form, Question, Reading, Subject
from tidegate.model.observation import ObservedInstance

STALE_S = 5.0
"""The engine writes once a second; what is older is not the present."""


@dataclass(frozen=True)
class Sample:
    """What one instance used at `at` (monotonic seconds). None where the engine does not say."""

    at: float
    cpu_share: float | None
    memory_share: float | None
    memory_bytes: float | None


class Stats:
    """ports.MetricSource by `stats`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._samples: dict[str, Sample] = {}
        self._followers = Followers(self._follow)
        self._totals = Totals()

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        """The latest samples. Raises MetricError when no stream at all can be had."""
        running = self._followers.meet(subject.instances)
        self._followers.check(running)
        self._samples = {id: sample for id, sample in self._samples.items() if id in running}
        values: dict[str, dict[int, float]] = {}
        for one in questions:
            if one.form is Form.COUNT:
                values[one.metric] = self._count(one, subject)
                continue
            over = _mean if one.form is Form.MEAN else max
            by_revision = {
                number: self._value(one.query, subject.of_revision(number), over) for number in subject.revisions
            }
            values[one.metric] = {number: value for number, value in by_revision.items() if value is not None}
        return Reading(values)

    def _count(self, question: Question, subject: Subject) -> dict[int, float]:
        for one in subject.instances:
            seen = float(one.restart_count if question.query == "restarts" else one.oom_killed)
            self._totals.add(question.metric, one.revision, one.id, seen)
        return self._totals.of(question.metric, subject.revisions)

    def _value(
        self, query: str, instances: Sequence[ObservedInstance], over: Callable[[Sequence[float]], float]
    ) -> float | None:
        if not instances:
            return None
        if query == "restarts":
            return float(sum(one.restart_count for one in instances))
        if query == "oom_kills":
            return float(sum(one.oom_killed for one in instances))
        now = time.monotonic()
        fresh = [self._samples[one.id] for one in instances if one.id in self._samples]
        found = [getattr(sample, query) for sample in fresh if now - sample.at < STALE_S]
        known = [value for value in found if value is not None]
        return over(known) if known else None

    async def _follow(self, instance: ObservedInstance) -> None:
        cpus: float | None = None
        async with self._engine.call(f"stats of {instance.name}", math.inf) as docker:
            container = docker.containers.container(instance.id)
            cpus = cpu_limit((await container.show()).get("HostConfig") or {})
            async for raw in container.stats(stream=True):
                self._samples[instance.id] = sample_of(raw, cpus, time.monotonic())
                self._followers.broken.pop(instance.id, None)

    async def close(self) -> None:
        """Let go of the streams."""
        await self._followers.close()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def cpu_limit(host: Mapping[str, Any]) -> float | None:
    """CPUs that a container may use, by its HostConfig; None without a limit."""
    if host.get("NanoCpus"):
        return float(host["NanoCpus"]) / 1e9
    if host.get("CpuQuota"):
        return float(host["CpuQuota"]) / float(host.get("CpuPeriod") or 100_000)
    return None


def sample_of(raw: Mapping[str, Any], cpus: float | None, at: float) -> Sample:
    """One answer of the engine's. Memory is counted without the page cache that can be dropped, as `docker stats` does.

    Source: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerStats
    """
    memory = raw.get("memory_stats") or {}
    used = limit = None
    if "usage" in memory:
        details = memory.get("stats") or {}
        cache = details.get("inactive_file", details.get("total_inactive_file", 0))
        used, limit = float(max(memory["usage"] - cache, 0)), float(memory.get("limit") or 0)
    share = used / limit if used is not None and limit else None
    return Sample(at, _cpu_share(raw, cpus), share, used)


def _cpu_share(raw: Mapping[str, Any], cpus: float | None) -> float | None:
    now, before = raw.get("cpu_stats") or {}, raw.get("precpu_stats") or {}
    if "system_cpu_usage" not in now or "system_cpu_usage" not in before:  # the first answer has nothing before it
        return None
    elapsed = now["system_cpu_usage"] - before["system_cpu_usage"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    online = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or ()) or 1
    return float(used / elapsed * online / (cpus or online)) if elapsed > 0 and used >= 0 else None
