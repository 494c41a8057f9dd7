"""A Prometheus, or what speaks its HTTP API: PromQL with {{revision}} and the like, instant or over a range.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

import asyncio
import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tidegate.adapters.metrics.rates import Totals
from tidegate.adapters.metrics.web import Web, authorization, shown
from tidegate.model.errors import MetricError
from tidegate.model.metering import Form, Origin, Question, Reading, Reduce, Subject, exposure_of
from tidegate.model.queries import fill
from tidegate.ports import SecretSource

POINTS = 60
"""Points asked of a range at most: a mean over more says nothing else."""


class Prometheus:
    """ports.MetricSource by PromQL."""

    def __init__(self, origin: Origin, secrets: SecretSource) -> None:
        self._origin = origin
        self._secrets = secrets
        self._web: Web | None = None
        self._totals = Totals()

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        """Every question about every revision, at once. Raises MetricError when the server is down, SecretError."""
        if self._web is None:
            self._web = Web(self._origin.timeout_s * 0.9, await authorization(self._origin, self._secrets))
        named = [(one.metric, one) for one in questions]
        named += [(exposure_of(one.metric), replace(one, query=one.per)) for one in questions if one.per]
        asked = [(name, one, revision) for name, one in named for revision in subject.revisions]
        answers = await asyncio.gather(
            *(self._ask(self._web, fill(one.query, subject, revision)) for _, one, revision in asked)
        )
        values: dict[str, dict[int, float]] = {}
        failed: dict[str, str] = {}
        for (name, one, revision), answer in zip(asked, answers, strict=True):
            if isinstance(answer, str):
                failed.setdefault(one.metric, answer)
            elif not math.isnan(answer):
                if one.form is Form.COUNT:
                    self._totals.add(name, revision, "", answer)
                    answer = self._totals.of(name, (revision,))[revision]
                values.setdefault(name, {})[revision] = answer
        return Reading(values, failed)

    async def _ask(self, web: Web, query: str) -> float | str:
        """A value, or why this one query has none."""
        origin, now = self._origin, time.time()
        # What is older than max_age says nothing: the server must not look back further for a last value.
        common = {"query": query, "timeout": f"{origin.timeout_s:g}s", "lookback_delta": f"{origin.max_age_s:g}s"}
        if origin.range_s:
            step = max(origin.range_s / POINTS, 1.0)
            span = {"start": f"{now - origin.range_s:.3f}", "end": f"{now:.3f}", "step": f"{step:.3f}"}
            status, body = await web.get(f"{origin.url.rstrip('/')}/api/v1/query_range", common | span)
        else:
            status, body = await web.get(f"{origin.url.rstrip('/')}/api/v1/query", common)
        return self._read(status, body)

    def _read(self, status: int, body: bytes) -> float | str:
        where = shown(self._origin.url)
        try:
            answer = json.loads(body)
            if answer["status"] == "error" and status in (400, 422):
                return f"{where}: {answer.get('errorType')}: {str(answer.get('error'))[:200]}"
            if status != 200 or answer["status"] != "success":
                raise MetricError(f"{where} answered {status}: {str(answer.get('error', ''))[:200]}")
            if answer.get("warnings"):
                return f"{where}: partial data: {str(answer['warnings'][0])[:200]}"
            return value_of(answer["data"], self._origin.reduce)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise MetricError(f"{where} answered {status}, and not as a Prometheus does") from None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._web is not None:
            await self._web.close()


def value_of(data: dict[str, Any], reduce: Reduce) -> float | str:
    """The one value of a result; NaN when there is none, a sentence when there are several."""
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return float(result[1])
    if kind == "string":
        return "the query gives a text"
    if len(result) > 1:
        return f"the query gives {len(result)} series where one is needed: aggregate, for example with sum(...)"
    if not result:
        return math.nan
    if kind == "vector":
        return float(result[0]["value"][1])
    points = [float(value) for _, value in result[0]["values"]]
    points = [value for value in points if not math.isnan(value)]
    if not points:
        return math.nan
    match reduce:
        case Reduce.LAST:
            return points[-1]
        case Reduce.MAX:
            return max(points)
        case Reduce.MIN:
            return min(points)
        case _:
            return sum(points) / len(points)
