"""Who runs what, and how it is: the instances that should report joined with what they reported."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.core import absence, liveness, orders
from tidegate.model.desired import instance_name
from tidegate.model.heartbeat import AgentHealth, Listening, Pulse
from tidegate.model.order import Order
from tidegate.model.record import AgentRecord, ConfigStatus
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState


@dataclass(frozen=True)
class RosterRow:
    """One instance. Times are unix seconds and seconds; None where it never reported.

    `version` is what its code says it is, `desired` the version of its revision: where they differ, it drifted.
    `config` is what became of the configuration that it is offered ("": none is), `config_differs`: it has another one.
    """

    instance: str
    revision: int
    track: str
    version: str
    desired: str
    drifted: bool
    health: AgentHealth
    status: str = ""
    last_at: float | None = None
    silent_s: float | None = None
    interval_s: float | None = None
    gaps: int = 0
    skew_s: float = 0.0
    message: str = ""
    host: str = ""
    protocol: str = ""
    config: str = ""
    config_differs: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What agents say of themselves, by instance, and the orders that are open."""

    records: Mapping[str, AgentRecord] = field(default_factory=dict)
    orders: Sequence[Order] = ()


def roster(
    state: AgentState, pulses: Mapping[str, Pulse], listening: Listening, known: Known | None = None
) -> tuple[RosterRow, ...]:
    """The instances that should be there, by name, then those that report and are not Tidegate's own.

    Instances of Tidegate's own that should not be there any more are left out, unless they are still heard.
    """
    known = known or Known()
    deadline = state.rollout.rollback.heartbeat_deadline_s if state.rollout is not None else 0.0
    wanted = {name: (track, revision) for track, revision, name in _wanted(state)}
    rows = []
    for name in (*wanted, *sorted(set(pulses) - set(wanted))):
        track, revision = wanted.get(name, ("", None))
        pulse = pulses.get(name)
        health = liveness.health(pulse, listening, deadline)
        if revision is None and name.startswith(f"{state.key}.r") and health not in HEARD:
            continue
        row = _row(name, track, revision, pulse, (health, listening))
        rows.append(_described(row, known.records.get(name), known.orders))
    return _with_hosts(rows)


def _described(row: RosterRow, record: AgentRecord | None, open_orders: Sequence[Order]) -> RosterRow:
    """With what it says of itself."""
    if record is None:
        return row
    found = orders.in_force(open_orders, record)
    differs = found is not None and record.remote.digest != found[1].digest
    status = "" if found is None else ("offered" if differs else str(record.remote.status))
    return replace(
        row,
        host=record.host,
        protocol=str(record.protocol),
        config=status,
        config_differs=differs or status == ConfigStatus.FAILED,
        labels=record.attributes,
    )


def _with_hosts(rows: Sequence[RosterRow]) -> tuple[RosterRow, ...]:
    """Those that are silent together with everything on their host are not gone, but out of reach."""
    healths: dict[str, list[AgentHealth]] = {}
    for row in rows:
        healths.setdefault(row.host, []).append(row.health)
    away = {host for host, each in healths.items() if host and absence.host_is_away(each)}
    return tuple(
        replace(row, health=AgentHealth.UNREACHABLE) if row.host in away and row.health is AgentHealth.GONE else row
        for row in rows
    )


@dataclass(frozen=True)
class Filter:
    """Which rows somebody wants to see; what is empty leaves all in."""

    host: str = ""
    health: str = ""
    text: str = ""
    drifted: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    def takes(self, row: RosterRow) -> bool:
        """Whether the row is among them."""
        words = (row.instance, row.version, row.host, row.message)
        return (
            self.host in ("", row.host)
            and self.health in ("", row.health)
            and (not self.text or any(self.text in word for word in words))
            and (not self.drifted or row.drifted or row.config_differs)
            and all(row.labels.get(name) == value for name, value in self.labels.items())
        )


HEARD = (AgentHealth.ALIVE, AgentHealth.LATE)


def _wanted(state: AgentState) -> Iterator[tuple[str, Revision, str]]:
    """Track, revision and name of every instance that should be there."""
    if state.decommissioned:
        return
    seen: set[str] = set()
    tracks: list[tuple[str, Revision, Iterable[str]]] = []
    if state.stable is not None:
        tracks.append(("stable", state.stable, _names(state, state.stable)))
    if state.active is not None:
        tracks.append(("canary", state.active.candidate, _names(state, state.active.candidate)))
        if state.active.baseline is not None:
            tracks.append(("baseline", state.active.baseline, _names(state, state.active.baseline)))
    tracks += [("retiring", leaving.revision, leaving.instances) for leaving in state.retiring]
    for track, revision, names in tracks:
        for name in names:
            if name not in seen:
                seen.add(name)
                yield track, revision, name


def _names(state: AgentState, revision: Revision) -> Iterator[str]:
    for index in range(1, state.replicas + 1):
        yield instance_name(state.key, revision.runs_as, index)


def _row(
    name: str, track: str, revision: Revision | None, pulse: Pulse | None, heard: tuple[AgentHealth, Listening]
) -> RosterRow:
    health, listening = heard
    desired = revision.release.version if revision else ""
    number = revision.runs_as if revision else (pulse.revision if pulse else 0)
    if pulse is None:
        return RosterRow(name, number, track, "", desired, False, health)
    drifted = revision is not None and (pulse.version, pulse.revision) != (desired, number)
    return RosterRow(
        name,
        number,
        track,
        pulse.version,
        desired,
        drifted,
        health,
        pulse.status,
        pulse.last_at,
        liveness.age(pulse, listening),
        pulse.interval_s,
        pulse.gaps,
        pulse.skew_s,
        pulse.message,
    )
