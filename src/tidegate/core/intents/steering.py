"""A person's word to the rollout under way: promote, pause, resume, abort, reject."""

from dataclasses import replace

from tidegate.core import approval, gates, hooks, monitor
from tidegate.core.refusal import RefusedError
from tidegate.core.view import effective_phase
from tidegate.model import spec
from tidegate.model.decision import Facts
from tidegate.model.intent import Intent
from tidegate.model.rollout import SWAPPING, AgentState, Hold, PauseKind, Phase, Rollout, Wish

ALL_STEPS = 1_000_000


def promote(state: AgentState, intent: Intent, full: bool, facts: Facts) -> tuple[AgentState, str]:
    now = facts.now
    rollout = under_way(state)
    if rollout.phase in (Phase.PREPARING, Phase.STARTING, Phase.REVERTING, *SWAPPING):
        raise RefusedError(f"the rollout is {rollout.phase}: there is nothing to skip yet")
    _no_barrier(rollout, full)
    if rollout.hold is not None and rollout.hold.kind in (PauseKind.BREAKING, PauseKind.TASK):
        return resume(state, intent, facts)
    phase = effective_phase(rollout)
    if phase is Phase.VERIFYING:
        phase = Phase.BAKING
    forgiven = rollout.verdict is not None and any(m.outcome == "fail" for m in rollout.verdict.metrics)
    unproven = rollout.hold is not None and rollout.hold.kind is PauseKind.ANALYSIS
    rollout = replace(rollout, hold=None, wish=None, guard_failed=rollout.guard_failed or forgiven, phase_since=now)
    if phase in (Phase.PROMOTING, Phase.BAKING):
        return replace(state, rollout=replace(rollout, phase=phase, approved_by=intent.by)), f"promoted by {intent.by}"
    gate = approval.next_gate(rollout)
    cursor = (ALL_STEPS if gate is None else gate) if full else rollout.cursor + 1
    rollout = replace(rollout, phase=Phase.PROGRESSING, cursor=cursor, cursor_since=now)
    if full or unproven:
        rollout = replace(rollout, approved_by=intent.by)
    if full:
        return replace(state, rollout=rollout), f"every step that is left is skipped{_up_to(gate)}, by {intent.by}"
    return replace(state, rollout=rollout), f"step {cursor} is skipped, by {intent.by}"


def _up_to(gate: int | None) -> str:
    return "" if gate is None else f", up to the gate in step {gate + 1}"


def _no_barrier(rollout: Rollout, full: bool) -> None:
    """A person's word skips pauses and evidence, never a gate, a freeze window or the switch for everything."""
    hold = rollout.hold
    if hold is not None and hold.kind in (PauseKind.GATE, PauseKind.FREEZE, PauseKind.ALL):
        mend = {PauseKind.GATE: "approve it", PauseKind.FREEZE: "resume with --reason", PauseKind.ALL: "resume --all"}
        raise RefusedError(f"{hold.because}: this is not skipped; {mend[hold.kind]}")
    if not full and approval.next_gate(rollout) == rollout.cursor:
        raise RefusedError(f"step {rollout.cursor + 1} is a gate: it is not skipped; resume, then approve it")


def pause(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    rollout = under_way(state)
    if rollout.phase is Phase.REVERTING:
        raise RefusedError("the way back is not paused; it ends by itself")
    phase = effective_phase(rollout)
    if phase in SWAPPING or (phase is Phase.STARTING and isinstance(rollout.strategy, spec.InPlace)):
        raise RefusedError("nothing serves at this moment, so this is no time to pause; abort brings stable back")
    because = f"paused by {intent.by}" + (f": {intent.reason}" if intent.reason else "")
    hold = Hold(PauseKind.PERSON, phase, because)
    return replace(state, rollout=replace(rollout, phase=Phase.PAUSED, phase_since=now, hold=hold)), because


def resume(state: AgentState, intent: Intent, facts: Facts) -> tuple[AgentState, str]:
    now = facts.now
    rollout = under_way(state)
    if rollout.phase is not Phase.PAUSED or rollout.hold is None:
        raise RefusedError(f"the rollout is {rollout.phase}, not paused")
    hold = rollout.hold
    if hold.kind is PauseKind.GATE:
        return approval.ask_anew(state, now)
    if hold.kind is PauseKind.ALL and facts.paused is not None:
        raise RefusedError(f"{hold.because}; tidegate resume --all ends that")
    if hold.kind is PauseKind.FREEZE:
        if not intent.reason:
            raise RefusedError(f"{hold.because}; going on all the same needs a reason (--reason)")
        rollout = replace(rollout, freeze_overridden_by=intent.by)
    if hold.kind is PauseKind.BREAKING:
        rollout = replace(rollout, breaking_accepted_by=intent.by)
    if hold.kind is PauseKind.TASK:
        rollout = hooks.taken_as_done(rollout, intent.by)
    cursor = rollout.cursor + 1 if hold.kind is PauseKind.STEP else rollout.cursor
    rollout = replace(rollout, phase=hold.resume_to, phase_since=now, cursor=cursor, cursor_since=now, hold=None)
    approved = f"approved by {intent.by}" if hold.kind is PauseKind.STEP else f"resumed by {intent.by}"
    why = f" ({intent.reason})" if intent.reason else ""
    return replace(state, rollout=rollout), f"{approved}{why}: {hold.resume_to}"


def abort(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    rollout = under_way(state)
    if rollout.phase is Phase.REVERTING:
        return state, "the way back is under way already"
    because = f"aborted by {intent.by}" + (f": {intent.reason}" if intent.reason else "")
    rollout = replace(
        rollout,
        phase=Phase.REVERTING,
        phase_since=now,
        hold=None,
        wish=None,
        fault=intent.reason or "a person's word",
        aborted_by=intent.by,
        because=because,
        decided_at=now,
        turned_at=effective_phase(rollout),
    )
    return replace(state, rollout=monitor.begin(rollout, state)), because


def reject(state: AgentState, intent: Intent, now: float) -> tuple[AgentState, str]:
    gate = approval.may_reject(state, intent)
    why = f"gate {gate} was rejected" + (f": {intent.reason}" if intent.reason else "")
    return abort(state, replace(intent, reason=why), now)


def set_weight(state: AgentState, intent: Intent, weight: int, facts: Facts) -> tuple[AgentState, str]:
    """A weight by hand: applied when its instances are ready. After the last step it pauses what would promote."""
    rollout = under_way(state)
    if not 0 <= weight <= 100:
        raise RefusedError(f"{weight} %: a weight from 0 to 100 is needed")
    if rollout.phase is Phase.REVERTING:
        raise RefusedError("the rollout is on its way back: traffic goes to stable")
    if not isinstance(rollout.strategy, spec.Canary) or rollout.fast or state.stable is None:
        raise RefusedError("there are no steps whose weight could be set: the switch is made at once")
    failing = rollout.failing
    if weight > rollout.weight and (failing or rollout.guard_failed):
        because = rollout.verdict.because if rollout.verdict else "a guarding metric failed"
        raise RefusedError(f"the weight does not rise on bad evidence: {because}")
    barred = gates.barrier(rollout, facts, weight) if weight > rollout.weight else ""
    if barred:
        raise RefusedError(f"the weight does not rise: {barred}")
    now = facts.now
    rollout = replace(rollout, wish=Wish(weight, intent.by, intent.reason))
    phase = effective_phase(rollout)
    if phase in (Phase.PROMOTING, Phase.BAKING):
        if not rollout.candidate.workload.takes_traffic:
            raise RefusedError("every instance has been replaced already: abort takes it back")
        hold = Hold(PauseKind.PERSON, Phase.PROMOTING, f"{weight} % set by {intent.by}; resume promotes")
        rollout = replace(rollout, phase=Phase.PAUSED, phase_since=now, hold=hold)
    elif _on_a_weight(rollout):
        rollout = replace(rollout, cursor=rollout.cursor + 1, cursor_since=now)
    why = f": {intent.reason}" if intent.reason else ""
    return replace(state, rollout=rollout), f"{rollout.weight} -> {weight} %, by {intent.by}{why}"


def _on_a_weight(rollout: Rollout) -> bool:
    """Whether the step under way sets a weight: a person's weight takes its place."""
    assert isinstance(rollout.strategy, spec.Canary)
    steps = rollout.strategy.steps
    started = rollout.phase not in (Phase.PREPARING, Phase.STARTING)
    return started and rollout.cursor < len(steps) and isinstance(steps[rollout.cursor], spec.SetWeight)


def under_way(state: AgentState) -> Rollout:
    if state.active is None:
        raise RefusedError("no rollout is under way")
    return state.active
