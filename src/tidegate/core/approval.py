"""Gates of a rollout: who may open one, which one it waits at, and what an approval is worth. Pure."""

from dataclasses import replace

from tidegate.core.calendar import local
from tidegate.core.refusal import RefusedError
from tidegate.model.intent import Intent
from tidegate.model.policy import Gate
from tidegate.model.rollout import AgentState, Hold, PauseKind, Phase, Rollout
from tidegate.model.spec import Step
from tidegate.model.standing import Approval

BEFORE = -1
"""The step of the gate before the rollout."""


def ask(now: float, gate: Gate, resume_to: Phase) -> Hold:
    """Wait at a gate."""
    who = f" by {' or '.join(gate.approvers)}" if gate.approvers else ""
    because = f"gate {gate.name}: waits for approval{who} until {local(now + gate.expires_s)}"
    return Hold(PauseKind.GATE, resume_to, because, now + gate.expires_s)


def is_open(rollout: Rollout, gate: Gate, step: int) -> bool:
    """Whether somebody approved it."""
    return any(approval.gate == gate.name and approval.step == step for approval in rollout.approvals)


def steps_of(rollout: Rollout) -> tuple[Step, ...]:
    """The steps of a strategy that has any."""
    steps: tuple[Step, ...] = getattr(rollout.strategy, "steps", ())
    return steps


def here(rollout: Rollout) -> tuple[Gate, int] | None:
    """The gate that a rollout waits at, with its step; None when it waits for something else."""
    if rollout.phase is not Phase.PAUSED or rollout.hold is None or rollout.hold.kind is not PauseKind.GATE:
        return None
    steps = steps_of(rollout)
    if rollout.hold.resume_to is Phase.PROGRESSING and rollout.cursor < len(steps):
        step = steps[rollout.cursor]
        return (step, rollout.cursor) if isinstance(step, Gate) else None
    return (rollout.policy.gate, BEFORE) if rollout.policy.gate else None


def next_gate(rollout: Rollout) -> int | None:
    """The index of the next gate among the steps that are left; nobody skips it."""
    steps = steps_of(rollout)
    return next((i for i in range(rollout.cursor, len(steps)) if isinstance(steps[i], Gate)), None)


def approve(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    """Open the gate that the rollout waits at."""
    rollout, gate, step = _waiting(state, intent)
    hold = rollout.hold
    assert hold is not None
    if hold.until is not None and now >= hold.until:
        raise RefusedError(f"gate {gate.name} expired at {local(hold.until)}; resume asks anew")
    if not intent.reason:
        raise RefusedError("an approval needs a comment: say what you looked at (--comment)")
    approval = Approval(gate.name, intent.by, now, intent.reason, step)
    cursor = rollout.cursor if step == BEFORE else rollout.cursor + 1
    rollout = replace(
        rollout,
        phase=hold.resume_to,
        phase_since=now,
        hold=None,
        cursor=cursor,
        cursor_since=now,
        approvals=(*rollout.approvals, approval),
    )
    return replace(state, rollout=rollout), f"gate {gate.name}: approved by {intent.by}: {intent.reason}"


def may_reject(state: AgentState, intent: Intent) -> str:
    """The gate's name, for whoever may say no. Raises RefusedError."""
    return _waiting(state, intent)[1].name


def ask_anew(state: AgentState, now: float) -> tuple[AgentState, str]:
    """Start the time of an expired gate again. Raises RefusedError while it has not expired."""
    rollout = state.active
    at = here(rollout) if rollout else None
    assert rollout is not None
    assert rollout.hold is not None
    if at is None:
        raise RefusedError("the rollout waits at a gate that is no longer in its steps; abort it")
    gate, _ = at
    if rollout.hold.until is None or now < rollout.hold.until:
        raise RefusedError(f"{rollout.hold.because}: nobody goes around a gate; approve or reject it")
    hold = ask(now, gate, rollout.hold.resume_to)
    return replace(state, rollout=replace(rollout, hold=hold, because=hold.because)), hold.because


def _waiting(state: AgentState, intent: Intent) -> tuple[Rollout, Gate, int]:
    rollout = state.active
    at = here(rollout) if rollout else None
    if rollout is None or at is None:
        raise RefusedError("the rollout waits at no gate" if rollout else "no rollout is under way")
    gate, step = at
    if not intent.by.strip():
        raise RefusedError("a gate is opened by a named person (--by)")
    if gate.approvers and intent.by not in gate.approvers:
        raise RefusedError(f"gate {gate.name} is for {', '.join(gate.approvers)}, not for {intent.by}")
    if gate.four_eyes and intent.by == rollout.asked_by:
        raise RefusedError(f"gate {gate.name} needs a second person: {intent.by} asked for this rollout")
    return rollout, gate, step
