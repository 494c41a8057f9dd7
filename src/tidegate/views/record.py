"""agents show: one instance, as a person reads it."""

from collections.abc import Iterator, Mapping

from tidegate.core.roster import RosterRow
from tidegate.model.record import AgentRecord, Capability, ComponentHealth
from tidegate.model.release import AgentKey
from tidegate.views.lines import Line, Span, date, line, span_of, table
from tidegate.views.roster import TONES


def record_lines(
    key: AgentKey, row: RosterRow, record: AgentRecord | None, files: Mapping[str, str | None]
) -> tuple[Line, ...]:
    """Everything that is known of it. `files`: the contents of its configuration, where they were asked for."""
    return tuple(_lines(key, row, record, files))


def _lines(
    key: AgentKey, row: RosterRow, record: AgentRecord | None, files: Mapping[str, str | None]
) -> Iterator[Line]:
    yield line(Span(row.instance, "bold"), f" of {key}: ", Span(row.health, TONES[row.health]))
    yield from table(list(_facts(row, record)))
    if record is None:
        return
    if record.components:
        yield line()
        yield from table([_part(path, part) for path, part in record.components.items()], ("part", "health", ""))
    if record.effective:
        yield line()
        cells = [
            (f.name or "(unnamed)", f.content_type or "-", f"{f.size} bytes", f.digest[:16]) for f in record.effective
        ]
        yield from table(cells, ("configuration", "type", "size", "sha256"))
    for name, text in files.items():
        yield line()
        yield line(Span(name or "(unnamed)", "bold"))
        yield from (line(one) for one in (text if text is not None else "(too large to be kept)").splitlines())
    if record.history:
        yield line()
        yield from table([(date(change.at), change.what) for change in record.history], ("when", "what"))


def _facts(row: RosterRow, record: AgentRecord | None) -> Iterator[tuple[str, str]]:
    yield "version", f"{row.version or '-'} (should be {row.desired})" if row.drifted else row.version or "-"
    if row.interval_s is not None:
        yield "reports", f"every {row.interval_s:.3g} s, {row.gaps} messages lost"
    if row.silent_s is not None:
        yield "silent for", span_of(row.silent_s)
    if abs(row.skew_s) >= 1:
        yield "clock", f"{abs(row.skew_s):.0f} s {'ahead' if row.skew_s > 0 else 'behind'}"
    if row.message:
        yield "says", row.message
    if record is None:
        return
    yield "protocol", str(record.protocol)
    if record.uid:
        yield "uid", record.uid
        yield "can", ", ".join(Capability(record.capabilities).words) or "-"
    if record.remote.digest:
        error = f": {record.remote.error}" if record.remote.error else ""
        yield "offered configuration", f"{record.remote.digest[:16]} {record.remote.status}{error}"
    yield from sorted(record.attributes.items())


def _part(path: str, part: ComponentHealth) -> tuple[str | Span, ...]:
    said = ": ".join(one for one in (part.status, part.error) if one)
    return path, Span("healthy", "green") if part.healthy else Span("unhealthy", "red"), said
