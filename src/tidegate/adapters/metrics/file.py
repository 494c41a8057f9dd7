"""A file that another program writes, or that was recorded: JSON lines or CSV with at, metric, revision and value.

`at` is unix seconds. The latest value that is not in the future counts, unless it is older than the origin's max_age.
Without a revision (or with an empty one) a value is every revision's.
"""

import asyncio
import csv
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.adapters.metrics.rates import Totals
from tidegate.model.errors import MetricError
from tidegate.model.metering import Form, Origin, Question, Reading, Subject, exposure_of

MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Row:
    """One value. `revision` None: of every revision."""

    at: float
    metric: str
    revision: int | None
    value: float


class Recorded:
    """ports.MetricSource by a file."""

    def __init__(self, origin: Origin, folder: Path) -> None:
        self._origin = origin
        self._path = folder / Path(origin.file).expanduser()
        self._seen: tuple[int, int] | None = None
        self._rows: list[Row] = []
        self._totals = Totals()

    async def read(self, subject: Subject, questions: Sequence[Question]) -> Reading:
        """As of now. Raises MetricError for a file that cannot be read; the message names the place."""
        try:
            facts = self._path.stat()
            if self._seen != (facts.st_mtime_ns, facts.st_size):
                self._rows = await asyncio.to_thread(load, self._path)
                self._seen = (facts.st_mtime_ns, facts.st_size)
        except OSError as error:
            raise MetricError(f"{self._path.name}: {error.strerror}") from None
        now = time.time()
        latest: dict[tuple[str, int | None], Row] = {}
        for row in self._rows:
            if now - self._origin.max_age_s <= row.at <= now:
                known = latest.get((row.metric, row.revision))
                latest[row.metric, row.revision] = row if known is None or row.at >= known.at else known
        values: dict[str, dict[int, float]] = {}
        named = [(one.metric, one.query, one.form) for one in questions]
        named += [(exposure_of(one.metric), one.per, one.form) for one in questions if one.per]
        for name, query, form in named:
            for number in subject.revisions:
                found = latest.get((query, number)) or latest.get((query, None))
                if found is not None:
                    values.setdefault(name, {})[number] = self._counted(name, number, found.value, form)
        return Reading(values)

    def _counted(self, name: str, revision: int, value: float, form: Form) -> float:
        if form is not Form.COUNT:
            return value
        self._totals.add(name, revision, "", value)
        return self._totals.of(name, (revision,))[revision]

    async def close(self) -> None:
        """There is nothing to let go of."""


def load(path: Path) -> list[Row]:
    """The rows of a file. Raises MetricError that names the place, OSError."""
    if path.stat().st_size > MOST_BYTES:
        raise MetricError(f"{path.name} is larger than {MOST_BYTES >> 20} MiB")
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        number = 0
        try:
            source = csv.DictReader(file) if path.suffix == ".csv" else _json_lines(file)
            for record in source:
                rows.append(_row(record))
                number += 1
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise MetricError(
                f"{path.name}: after {number} rows: {type(error).__name__}: write at, metric, revision and value"
            ) from None
    return rows


def _json_lines(lines: Iterator[str]) -> Iterator[Mapping[str, Any]]:
    return (json.loads(line) for line in lines if line.strip())


def _row(record: Mapping[str, Any]) -> Row:
    revision = record.get("revision")
    return Row(
        at=float(record["at"]),
        metric=str(record["metric"]),
        revision=None if revision in (None, "") else int(revision),
        value=float(record["value"]),
    )
