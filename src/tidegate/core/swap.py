"""The phases of in_place: what each waits for, and what turns it back. See core.strategies.in_place for the shape."""

from dataclasses import replace

from tidegate.core import backups, faults, tasks
from tidegate.core.alarm import turn_back
from tidegate.core.breaking import breaks
from tidegate.core.moves import Move, Note, note
from tidegate.core.strategies import in_place
from tidegate.core.view import View
from tidegate.model.event import Event, EventKind
from tidegate.model.observation import InstanceState, ObservedInstance, TaskState
from tidegate.model.rollout import Hold, PauseKind, Phase, TaskRecord
from tidegate.model.spec import InPlace, VersionIn

STOP_S = 30.0
"""The engine's own time to stop a container, added to its grace."""


def prepared(strategy: InPlace, view: View) -> Move | Note:
    """The image is there: everything else that can be done while stable serves."""
    if view.first:
        return Move(Phase.STARTING, "there is nothing to replace")
    if breaks := _breaking(strategy, view):
        return Move(Phase.PAUSED, breaks, hold=Hold(PauseKind.BREAKING, Phase.PREPARING, breaks))
    if measure := backups.measure(view.state, view.rollout, strategy):
        room = tasks.drive(view, measure)
        if isinstance(room, Note):
            return room
        if room.state is not TaskState.SUCCEEDED:
            return _back(view, f"the volumes cannot be backed up: {room.detail}")
    backup = backups.back_up(view.state, view.rollout, strategy)
    if backup is not None and not tasks.ready(view, backup):
        refused = _refused(view, backup)
        return _back(view, refused) if refused else note(view, "the backup is made ready")
    if not view.candidates:
        return note(view, "the new container is made")
    heard = any(i.heartbeat is not None for i in _stable(view))
    swap = replace(view.rollout.swap, down_since=view.now, heartbeats=heard)
    return Move(Phase.STOPPING, "everything is ready: stable stops", swap=swap)


def _refused(view: View, work: tasks.Work) -> str:
    prefix = f"{view.state.key.agent}.{view.state.key.environment}.task."
    for name, reason in view.facts.failures.items():
        if name.startswith(prefix) and f".{work.name}." in name:
            return f"task {work.name} cannot be made ready: {reason}"
    return ""


def _back(view: View, fault: str) -> Move:
    return turn_back(view, fault) or Move(Phase.REVERTING, fault, fault=fault, weight=0)


def _stable(view: View) -> tuple[ObservedInstance, ...]:
    stable = view.state.stable
    return view.facts.observation.of_revision(stable.runs_as) if stable else ()


def _breaking(strategy: InPlace, view: View) -> str:
    """Why a person has to accept this release before it replaces what runs; empty when nobody has to."""
    rollout = view.rollout
    if not strategy.refuse_breaking or rollout.breaking_accepted_by or rollout.candidate.undo_of is not None:
        return ""
    reference = rollout.candidate.release.image.reference
    said = next((i.breaking for i in view.facts.observation.images if i.reference == reference), "")
    if breaks(said):
        return f"image {reference} says that it breaks (dev.tidegate.breaking={said}): resume accepts it"
    return ""


def stopping(view: View) -> Move | Note:
    """Until stable is stopped."""
    strategy = _strategy(view)
    if not in_place.stable_up(view):
        took = f"stable is stopped after {view.waited:.2f} s"
        if backups.back_up(view.state, view.rollout, strategy):
            return Move(Phase.BACKING_UP, took)
        return _start(view, took)
    stable = view.state.stable
    limit = (stable.workload.stop_grace_s if stable else 0.0) + STOP_S
    if view.waited > limit:
        return _back(view, f"stable could not be stopped within {limit:g} s")
    return note(view, "stable stops with its own signal and grace")


def backing_up(view: View) -> Move | Note:
    """Copy the volumes while nothing writes; then, where a person asked for it, put another backup in their place."""
    strategy = _strategy(view)
    for work in (
        backups.back_up(view.state, view.rollout, strategy),
        backups.put_in(view.state, view.rollout, strategy),
    ):
        if work is None:
            continue
        result = tasks.drive(view, work)
        if isinstance(result, Note):
            return result
        if result.state is not TaskState.SUCCEEDED:
            return _back(view, _with_log(f"task {work.name} {result.state}: {result.detail}", result))
    return _start(view, f"the backup took {view.waited:.2f} s")


def _with_log(fault: str, record: TaskRecord) -> str:
    return "\n".join((fault, *(f"    {line}" for line in record.log[:-1])))


def _start(view: View, because: str) -> Move:
    swap = view.rollout.swap
    spent = view.waited if view.rollout.phase is Phase.BACKING_UP else 0.0
    return Move(Phase.STARTING, because, swap=replace(swap, started=True, backup_s=swap.backup_s + spent))


def up(view: View) -> Move:
    """The candidate is ready: it takes the traffic, if there is any, and the downtime is over."""
    swap = view.rollout.swap
    ready = f"revision {view.rollout.candidate.title} is ready after {view.waited:.2f} s"
    if swap.down_since is None:
        return Move(Phase.VERIFYING, ready, weight=100)
    gone = view.now - swap.down_since
    after = replace(swap, down_since=None, downtime_s=swap.downtime_s + gone)
    return Move(Phase.VERIFYING, f"{ready}; {told(gone, swap.backup_s)}", weight=100, swap=after)


def told(downtime_s: float, backup_s: float) -> str:
    """The downtime for a person, the backup's part apart."""
    backup = f", {backup_s:.2f} s of it the backup" if backup_s else ""
    return f"nothing served for {downtime_s:.2f} s{backup}"


def verifying(view: View) -> Move | Note:
    """Running and ready it is; the rest of what was asked for."""
    strategy, rollout = _strategy(view), view.rollout
    missing = [text for text in (_version(strategy, view), _heartbeat(view), _routed(view)) if text]
    if not missing:
        return Move(Phase.BAKING, f"verified; baking for {rollout.bake_s:g} s")
    if view.waited > strategy.verify.deadline_s:
        because = f"not verified within {strategy.verify.deadline_s:g} s: {'; '.join(missing)}"
        instance = next(iter(view.candidates), None)
        return _back_or_pause(view, faults.with_log(because, instance) if instance else because)
    seen = rollout.swap.version_seen or not _version(strategy, view)
    after = replace(rollout, swap=replace(rollout.swap, version_seen=seen), because=f"verifying: {'; '.join(missing)}")
    return Note(after)


def _back_or_pause(view: View, why: str) -> Move:
    return turn_back(view, why) or Move(Phase.PAUSED, why, hold=Hold(PauseKind.ANALYSIS, Phase.VERIFYING, why))


def _version(strategy: InPlace, view: View) -> str:
    verify, release = strategy.verify, view.rollout.candidate.release
    if view.rollout.swap.version_seen:
        return ""
    match verify.version_in:
        case VersionIn.NOWHERE:
            return ""
        case VersionIn.LABEL:
            said = next(
                (i.version for i in view.facts.observation.images if i.reference == release.image.reference), ""
            )
            same = said.removeprefix("v") == release.version.removeprefix("v")
            return "" if same else f"the image's label says version {said or 'nothing'}, not {release.version}"
        case VersionIn.LOG:
            text = verify.expected.replace("{version}", release.version)
            lines = (line for instance in view.candidates for line in instance.last_log)
            return "" if any(text in line for line in lines) else f"no line of the log holds {text!r}"


def _heartbeat(view: View) -> str:
    heard = any(instance.heartbeat is not None for instance in view.candidates)
    return "" if heard or not view.rollout.swap.heartbeats else "no heartbeat was seen yet, and stable had them"


def _routed(view: View) -> str:
    return "" if view.share_applied(100) else "the gateway has not applied 100 % yet"


def reverting(view: View) -> Move | Note:
    """The candidate stops, data is put back where that was opted in, stable starts as it was."""
    strategy, rollout, state = _strategy(view), view.rollout, view.state
    assert state.stable is not None
    ours = any(i.state is InstanceState.RUNNING for i in _stable(view))
    if rollout.swap.down_since is None and not ours and (rollout.swap.started or rollout.weight):
        swap = replace(rollout.swap, down_since=view.now)
        return Note(replace(rollout, swap=swap, weight=0, because="the candidate stops"))
    if in_place.candidate_up(view):
        return note(view, "the candidate stops")
    work = in_place.data_to_put_back(strategy, view)
    if work is not None:
        result = tasks.drive(view, work)
        return result if isinstance(result, Note) else note(view, f"task {work.name} {result.state}")
    if not any(instance.ready for instance in _stable(view)):
        return note(view, "the former container starts as it was")
    if rollout.swap.down_since is not None:
        return _restored(view, rollout.swap.down_since)
    if rollout.aborted_by:
        return Move(Phase.ABORTED, f"aborted by {rollout.aborted_by}: {rollout.fault}")
    return Move(Phase.ROLLED_BACK, f"rolled back to revision {state.stable.title}: {rollout.fault}")


def _restored(view: View, since: float) -> Note:
    rollout, gone = view.rollout, view.now - since
    swap = replace(rollout.swap, down_since=None, downtime_s=rollout.swap.downtime_s + gone)
    assert view.state.stable is not None
    because = f"revision {view.state.stable.title} is ready again; {told(gone, 0.0)}{_data(view)}"
    data = {"downtime_s": round(swap.downtime_s, 3), "backup_s": round(swap.backup_s, 3)}
    event = Event(view.now, view.state.key, EventKind.DOWNTIME, because, rollout.candidate.number, data)
    return Note(replace(rollout, swap=swap, because=because), event)


def _data(view: View) -> str:
    """What became of the data, and what a person can still do."""
    strategy, rollout = _strategy(view), view.rollout
    back = backups.put_back(view.state, rollout, strategy)
    record = tasks.current(view, back) if back else None
    said = f"; {record.detail}" if record else ""
    saved = backups.back_up(view.state, rollout, strategy)
    copied = tasks.current(view, saved) if saved else None
    if copied is None or copied.state is not TaskState.SUCCEEDED or not rollout.swap.started:
        return said
    kept = [volume.name for volume in strategy.volumes if not volume.restore]
    if kept:
        said += (
            f"; {', '.join(kept)} as the candidate left it: tidegate backup restore {backups.backup_id(rollout)}"
            " puts back what was there"
        )
    return said


def _strategy(view: View) -> InPlace:
    strategy = view.rollout.strategy
    assert isinstance(strategy, InPlace)
    return strategy
