"""Who runs what, and how it is: the instances that should report joined with what they reported."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tidegate.core import liveness
from tidegate.model.desired import instance_name
from tidegate.model.heartbeat import AgentHealth, Listening, Pulse
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState


@dataclass(frozen=True)
class RosterRow:
    """One instance. Times are unix seconds and seconds; None where it never reported.

    `version` is what its code says it is, `desired` the version of its revision: where they differ, it drifted.
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


def roster(state: AgentState, pulses: Mapping[str, Pulse], listening: Listening) -> tuple[RosterRow, ...]:
    """The instances that should be there, by name, then those that report and are not Tidegate's own.

    Instances of Tidegate's own that should not be there any more are left out, unless they are still heard.
    """
    deadline = state.rollout.rollback.heartbeat_deadline_s if state.rollout is not None else 0.0
    wanted = {name: (track, revision) for track, revision, name in _wanted(state)}
    rows = []
    for name in (*wanted, *sorted(set(pulses) - set(wanted))):
        track, revision = wanted.get(name, ("", None))
        pulse = pulses.get(name)
        health = liveness.health(pulse, listening, deadline)
        if revision is None and name.startswith(f"{state.key}.r") and health not in HEARD:
            continue
        rows.append(_row(name, track, revision, pulse, (health, listening)))
    return tuple(rows)


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
