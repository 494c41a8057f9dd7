"""The notice that a team gets at every end, the good one too."""

from tidegate.model.event import Event, EventKind
from tidegate.model.rollout import AgentState, Phase, Rollout


def of(state: AgentState, rollout: Rollout, now: float) -> Event:
    """One sentence: what became of the update, with versions and duration."""
    title = rollout.candidate.title
    took = f"{now - rollout.started_at:.0f} s"
    fault = rollout.fault.splitlines()[0] if rollout.fault else ""
    match rollout.phase:
        case Phase.PROMOTED:
            text = f"Update complete: {state.key} runs revision {title} after {took}."
        case Phase.ROLLED_BACK:
            text = f"Update taken back: {state.key} runs revision {_stable(state)} again after {took}. Why: {fault}"
        case Phase.ABORTED:
            text = f"Update aborted by {rollout.aborted_by}: {state.key} runs revision {_stable(state)}. Why: {fault}"
        case _:
            text = f"First release failed: {state.key} has nothing to go back to. Why: {fault}"
    return Event(now, state.key, EventKind.NOTICE, text, rollout.candidate.number, {"end": rollout.phase})


def _stable(state: AgentState) -> str:
    return state.stable.title if state.stable else "none"
