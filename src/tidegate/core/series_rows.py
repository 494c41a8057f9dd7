"""The text of a recorded series into rows: CSV with a header, a JSON list, or JSON lines."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tidegate.core.series import Row
from tidegate.model.errors import MetricError

COLUMNS = ("at", "track", "metric", "value")
TIMES = ("time", "timestamp", "ts")
"""What `at` may be called as well."""
HINT = "a row has at, track (stable or candidate), metric and value"
NOTHING = ("", "null", "none", "nan", "na", "n/a")


def rows_of(text: str, name: str) -> list[Row]:
    """Every row. Raises MetricError that names the file, the line and what to mend."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise MetricError(f"{name}: the file is empty: {HINT}")
    records = _json(text, name) if text.lstrip()[0] in "[{" else _csv(text, name)
    rows = [_row(record, line, name) for line, record in records]
    if not rows:
        raise MetricError(f"{name}: there is a header and no row")
    return rows


def _csv(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    header = tuple((column or "").strip().lower() for column in reader.fieldnames or ())
    known = (*header, "at") if set(TIMES) & set(header) else header
    missing = [column for column in COLUMNS if column not in known]
    if missing:
        raise MetricError(f"{name}: line 1: the header has no {', '.join(missing)}: write {','.join(COLUMNS)}")
    reader.fieldnames = header
    try:
        for record in reader:
            if None in record or None in record.values():
                raise MetricError(f"{name}: line {reader.line_num}: {len(header)} columns in the header, not here")
            yield reader.line_num, record
    except csv.Error as error:
        raise MetricError(f"{name}: line {reader.line_num}: {error}") from None


def _json(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        whole = json.loads(text)
        records = list(enumerate(whole if isinstance(whole, list) else [whole], start=1))
    except ValueError:
        records = []
        for line, part in enumerate(text.splitlines(), start=1):
            if part.strip():
                try:
                    records.append((line, json.loads(part)))
                except ValueError as error:
                    raise MetricError(
                        f"{name}: line {line}: not JSON ({error}): one object a line, or one list"
                    ) from None
    for line, record in records:
        if not isinstance(record, dict):
            raise MetricError(f"{name}: line {line}: {HINT}")
        yield line, record


def _row(record: Mapping[str, Any], line: int, name: str) -> Row:
    where = f"{name}: line {line}"
    if "at" not in record:
        record = {**record, "at": next((record[other] for other in TIMES if other in record), None)}
    for column in ("at", "track", "metric"):
        if record.get(column) in (None, ""):
            raise MetricError(f"{where}: {column} is missing: {HINT}")
    track, metric = str(record["track"]).strip().lower(), str(record["metric"]).strip()
    return Row(_time(record["at"], where), track, metric, _value(record.get("value"), where), line)


def _time(written: Any, where: str) -> float:
    try:
        return float(written)
    except (TypeError, ValueError):
        pass
    try:
        at = datetime.fromisoformat(str(written).strip())
    except ValueError:
        raise MetricError(f"{where}: {str(written)[:40]!r} is no time: unix seconds, or 2026-01-31T12:00:00Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _value(written: Any, where: str) -> float:
    if written is None or (isinstance(written, str) and written.strip().lower() in NOTHING):
        return math.nan
    try:
        return float(written)
    except (TypeError, ValueError):
        raise MetricError(
            f"{where}: {str(written)[:40]!r} is no number: leave it empty where nothing is known"
        ) from None
