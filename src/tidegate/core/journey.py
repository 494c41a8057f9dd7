"""How a delivery's rollout stands, read from the state of the environment that it moves. Pure."""

from tidegate.model.delivery import Delivery, RolloutSeen, StageState
from tidegate.model.fleet import FleetRollout, FleetState
from tidegate.model.intent import Answer
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.stages import StageName


def rollout_seen(delivery: Delivery, answer: Answer | None, state: AgentState | FleetState | None) -> RolloutSeen:
    """What became of it. The answer must have been read before the state, which holds what the answer led to."""
    if answer is None or state is None:
        return RolloutSeen()
    if not answer.accepted:
        return RolloutSeen(StageState.FAILED, f"refused: {answer.because}")
    rollout = _ours(delivery, state.rollout)
    if rollout is not None:
        if rollout.phase is Phase.PROMOTED:
            return RolloutSeen(StageState.PASSED, rollout.because)
        return RolloutSeen(StageState.FAILED if rollout.phase.ended else StageState.RUNNING, rollout.because)
    if isinstance(state, AgentState) and state.queued and state.queued.action.delivery == delivery.key.number:
        return RolloutSeen(because=answer.because)
    if _runs(delivery, state):
        return RolloutSeen(StageState.PASSED, answer.because)
    return RolloutSeen(StageState.FAILED, "it no longer waits: another release was asked for, or it went back")


def _ours(delivery: Delivery, rollout: Rollout | FleetRollout | None) -> Rollout | FleetRollout | None:
    record = delivery.stage(StageName.ROLLOUT)
    if rollout is None or record is None or delivery.release is None:
        return None
    over_before = rollout.ended_at is not None and rollout.ended_at < record.started_at
    return None if over_before or rollout.candidate.release.id != delivery.release.id else rollout


def _runs(delivery: Delivery, state: AgentState | FleetState) -> bool:
    running = state.stable.release.id if state.stable is not None else ""
    return delivery.release is not None and delivery.release.id == running
