"""The monitor table of a way back: kept with the rollout, filled while it goes back and a moment after. Pure.

A check that fails changes nothing about the way back (a rollback is never rolled back); it says so to a person.
"""

from dataclasses import replace

from tidegate.core.routing import serving
from tidegate.model.decision import Facts
from tidegate.model.event import Event, EventKind
from tidegate.model.monitor import Check, Grade, Item, Row, Stage
from tidegate.model.rollout import AgentState, Phase, Rollout

LEAST_S = 10.0
"""A rate is watched for this long at least before it passes (its whole time when that is shorter)."""


def begin(rollout: Rollout, state: AgentState) -> Rollout:
    """The table of a rollout that turns back; empty where there is nothing to go back to."""
    checks = rollout.rollback.monitor if state.stable is not None else ()
    return replace(rollout, monitor=tuple(Row(check) for check in checks))


def under_way(state: AgentState) -> bool:
    """Whether a check is still open."""
    return state.rollout is not None and any(row.grade.open for row in state.rollout.monitor)


def wants_logs(state: AgentState) -> bool:
    """Whether somebody has to count what stable's instances write."""
    return under_way(state) and any(
        row.check.item is Item.LOG_ERROR_RATE and row.grade is Grade.RUNNING
        for row in (state.rollout.monitor if state.rollout else ())
    )


def watch(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    """Look at the checks of the stage under way; a stage begins when the one before it is done."""
    rollout = state.rollout
    if rollout is None or state.stable is None or not under_way(state):  # decommissioned: nothing is left to look at
        return state, ()
    rows: list[Row] = []
    events: list[Event] = []
    for row in rollout.monitor:
        waits = any(r.grade.open and r.check.stage is not row.check.stage for r in rows)
        after = row if waits or not row.grade.open else _look(row, state, rollout, facts)
        rows.append(after)
        if row.grade.open and not after.grade.open:
            events += _tell(after, rollout, state, facts.now)
    return replace(state, rollout=replace(rollout, monitor=tuple(rows))), tuple(events)


def wake_at(state: AgentState) -> float | None:
    """When the next check runs out of time (unix seconds)."""
    rows = state.rollout.monitor if state.rollout else ()
    ends = [row.since + row.check.timeout_s for row in rows if row.grade is Grade.RUNNING and row.since is not None]
    return min(ends, default=None)


def _look(row: Row, state: AgentState, rollout: Rollout, facts: Facts) -> Row:
    if row.check.stage is Stage.VERIFY and not rollout.phase.ended:
        return row
    since = facts.now if row.since is None else row.since
    row = replace(row, since=since, grade=Grade.RUNNING)
    match row.check.item:
        case Item.PROBE_READY:
            good, because = _ready(state, facts)
        case Item.INSTANCES_SWITCHED:
            good, because = _switched(state, rollout, facts)
        case Item.LOG_ERROR_RATE:
            return _rate(_counted(row, state, facts), facts.now)
    took = facts.now - since
    if good:
        return replace(row, grade=Grade.PASS, until=facts.now, because=f"{because} after {took:.1f} s")
    if took >= row.check.timeout_s:
        return replace(row, grade=Grade.FAIL, until=facts.now, because=f"{because} after {row.check.timeout_s:g} s")
    return replace(row, because=because)


def _ready(state: AgentState, facts: Facts) -> tuple[bool, str]:
    assert state.stable is not None
    ready = sum(1 for one in facts.observation.of_revision(state.stable.runs_as) if one.ready)
    return ready >= state.replicas, f"{ready} of {state.replicas} instances of stable ready"


def _switched(state: AgentState, rollout: Rollout, facts: Facts) -> tuple[bool, str]:
    assert state.stable is not None
    ready, text = _ready(state, facts)
    gateway = facts.observation.gateway
    left = gateway.endpoints(rollout.candidate.runs_as) if rollout.candidate.workload.takes_traffic else frozenset()
    on_stable = bool(serving(facts.observation, state.stable.runs_as)) or not state.stable.workload.takes_traffic
    where = "no request goes to the candidate" if not left else f"{len(left)} instances of the candidate still serve"
    return ready and not left and on_stable, f"{where}, {text}"


def _counted(row: Row, state: AgentState, facts: Facts) -> Row:
    """With what was written and served since the last look."""
    assert state.stable is not None
    logs, number = facts.logs, state.stable.runs_as
    blocks = [block for block in facts.blocks if row.since is not None and block.at - block.duration_s >= row.since]
    traffic = [block.traffic[number] for block in blocks if number in block.traffic]
    return replace(
        row,
        lines=row.lines + (logs.lines if logs else 0),
        errors=row.errors + (logs.errors if logs else 0),
        requests=row.requests + sum(one.requests for one in traffic),
        failed=row.failed + sum(one.errors for one in traffic),
    )


def _rate(row: Row, now: float) -> Row:
    """A silent log says nothing: then the requests speak, and without those it stays unknown."""
    check, took = row.check, now - (row.since or now)
    if row.lines:
        share, evidence = row.errors / row.lines, f"{row.errors} of {row.lines} log lines are errors"
    elif row.requests:
        share, evidence = row.failed / row.requests, f"a silent log; {row.failed} of {row.requests} requests failed"
    else:
        share, evidence = None, "neither a log line nor a request was seen"
    because = f"{evidence} within {took:.0f} s"
    if share is not None and share <= check.limit and took >= min(LEAST_S, check.timeout_s):
        return replace(row, grade=Grade.PASS, until=now, because=because)
    if took >= check.timeout_s:
        grade = Grade.UNKNOWN if share is None else Grade.FAIL
        return replace(row, grade=grade, until=now, because=f"{because}, {100 * check.limit:g} % allowed")
    return replace(row, because=because)


def _tell(row: Row, rollout: Rollout, state: AgentState, now: float) -> list[Event]:
    number, text = rollout.candidate.number, title(row.check)
    data = {"check": row.check.stage.value, "item": row.check.item.value, "grade": row.grade.value}
    events = [Event(now, state.key, EventKind.MONITOR, f"{text}: {row.grade}: {row.because}", number, data)]
    if row.grade is Grade.FAIL and rollout.phase in (Phase.REVERTING, Phase.ROLLED_BACK, Phase.ABORTED):
        why = f"Way back not verified: {state.key}: {text}: {row.because}. A rollback is not rolled back: look at it."
        events.append(
            Event(now, state.key, EventKind.NOTICE, why, number, {"end": "unverified", "rollout": rollout.id})
        )
    return events


def title(check: Check) -> str:
    """A check as the table names it."""
    return f"{check.stage} / {check.item} / {check.timeout_s:g} s"
