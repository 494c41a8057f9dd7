"""A rehearsal of the way back: release something broken, see it go back by itself, release something sound, undo it.

Pure: what to ask for, and how what happened compares with the monitor table. The broken release is the running one with
a program that does not exist, so any agent can be rehearsed with; the sound one differs by one variable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Deploy
from tidegate.model.monitor import Grade
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.spec import Analysis, Canary

REASON = "drill"
"""Why its rollouts are asked for: their ends are the drill's own, and nobody is woken by them."""

PASSED, FAILED = "drill_passed", "drill_failed"
"""The ends of a drill, as notices have them."""

MARK = "TIDEGATE_DRILL"
BAKE_S = 5.0
NOT_SEEN = "not seen in time"
NO_PROGRAM = "/tidegate-drill-no-such-program"


@dataclass(frozen=True)
class DrillRow:
    """One line of the result. `limit_s` None: measured, with nothing to compare it with."""

    what: str
    measured_s: float | None
    limit_s: float | None
    good: bool
    because: str = ""


def broken(state: AgentState) -> Deploy:
    """The running release with a program that does not exist."""
    return _copy(state, "broken", (NO_PROGRAM,))


def sound(state: AgentState) -> Deploy:
    """The running release once more, told apart by a variable."""
    return _copy(state, "sound", None)


def _copy(state: AgentState, kind: str, entrypoint: tuple[str, ...] | None) -> Deploy:
    stable, last = state.stable, state.rollout
    assert stable is not None
    assert last is not None
    mark = f"{kind}-{state.next_revision}"
    workload = replace(stable.workload, environment={**stable.workload.environment, MARK: mark})
    if entrypoint is not None:
        workload = replace(workload, entrypoint=entrypoint)
    release = replace(
        stable.release, id=f"drill-{mark}-{stable.release.id}", version=f"{stable.release.version}-{kind}"
    )
    # No steps: it is the way back that is rehearsed. Nobody has to acknowledge what was broken on purpose.
    strategy = Canary(steps=(), bake_s=BAKE_S, drain_s=last.strategy.drain_s)
    policy = replace(last.policy, gate=None, freeze=())
    rollback = replace(last.rollback, hold=False, cleanup=False)
    return Deploy(release, workload, strategy, Analysis((), None), rollback, policy)


def of_rollback(rollout: Rollout) -> tuple[DrillRow, ...]:
    """How the broken release went back, against the monitor table."""
    back = rollout.phase in (Phase.ROLLED_BACK, Phase.FAILED)
    found = (rollout.decided_at or rollout.started_at) - rollout.started_at
    took = None if rollout.ended_at is None else rollout.ended_at - (rollout.decided_at or rollout.started_at)
    rows = [
        DrillRow("break: fault found", found if back else None, None, back, rollout.fault.partition("\n")[0]),
        DrillRow("break: back on stable", took if back else None, None, back, rollout.because.partition("\n")[0]),
    ]
    for row in rollout.monitor:
        measured = None if row.since is None or row.until is None else row.until - row.since
        name = f"break: {row.check.stage} / {row.check.item}"
        rows.append(DrillRow(name, measured, row.check.timeout_s, row.grade is not Grade.FAIL, row.because))
    return tuple(rows)


def of_undo(rollout: Rollout, events: Sequence[Event], limit_s: float) -> tuple[DrillRow, ...]:
    """How long a person's undo took: until all traffic was sent back, and until it was done."""
    number, began = rollout.candidate.number, rollout.started_at
    switched = [e.at for e in events if e.kind is EventKind.WEIGHT and e.revision == number and e.data.get("to") == 100]
    done = rollout.phase is Phase.PROMOTED and rollout.ended_at is not None
    at = switched[0] - began if switched else None
    end = rollout.ended_at - began if done and rollout.ended_at is not None else None
    return (
        DrillRow("undo: traffic switched", at, limit_s, at is not None and at <= limit_s),
        DrillRow("undo: done", end, None, done, rollout.because.partition("\n")[0]),
    )


def told(key: AgentKey, rows: Sequence[DrillRow], now: float) -> Event:
    """The notice of a drill's end, kept in the log."""
    bad = [row for row in rows if not row.good]
    slowest = max((row for row in rows if row.measured_s is not None), key=lambda row: row.measured_s or 0.0)
    if bad:
        text = f"Drill failed: {key}: {'; '.join(f'{row.what}: {row.because or NOT_SEEN}' for row in bad)}."
    else:
        text = f"Drill passed: {key} went back and was undone; slowest: {slowest.what}, {slowest.measured_s:.1f} s."
    return Event(now, key, EventKind.NOTICE, text, None, {"end": FAILED if bad else PASSED})


def settled(state: AgentState, revision: int) -> bool:
    """Whether this revision's rollout has ended and every check of its table is closed."""
    rollout = state.rollout
    if rollout is None or rollout.candidate.number < revision or not rollout.phase.ended:
        return False
    return not any(row.grade.open for row in rollout.monitor)
