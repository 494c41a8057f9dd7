"""The notice that a team gets at every end, the good one too."""

from tidegate.core import drill
from tidegate.model.alerting import OnAlert
from tidegate.model.event import Datum, Event, EventKind
from tidegate.model.fleet import FleetRollout, FleetState
from tidegate.model.policy import Channel, Endpoint
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.verdict import Outcome

PIPELINES = (Channel.GITLAB, Channel.JENKINS)


def of(state: AgentState, rollout: Rollout, now: float) -> Event:
    """One sentence: what became of the update, with versions, duration and evidence; the facts apart in `data`."""
    title = rollout.candidate.title
    took = f"{now - rollout.started_at:.0f} s"
    fault = rollout.fault.splitlines()[0] if rollout.fault else ""
    match rollout.phase:
        case Phase.PROMOTED:
            text = f"Update complete: {state.key} runs revision {title} after {took}.{_evidence(rollout)}"
        case Phase.ROLLED_BACK:
            text = f"Update taken back: {state.key} runs revision {_stable(state)} again after {took}. Why: {fault}"
        case Phase.ABORTED:
            text = f"Update aborted by {rollout.aborted_by}: {state.key} runs revision {_stable(state)}. Why: {fault}"
        case _:
            text = f"First release failed: {state.key} has nothing to go back to. Why: {fault}"
    return Event(now, state.key, EventKind.NOTICE, text, rollout.candidate.number, data(state, rollout, now))


def concerns(endpoint: Endpoint, event: Event, since: float) -> bool:
    """Whether a receiver is told of it: of ends and alerts since `since` (unix seconds), of those that it wants.

    A pipeline is started by an alert only where the alert's rule asks for it, and only when it begins to fire.
    """
    if event.kind not in (EventKind.NOTICE, EventKind.ALERT) or event.at < since or event.data.get("drill"):
        return False
    if event.kind is EventKind.ALERT and endpoint.channel in PIPELINES:
        asks = event.data.get("on_alert") == OnAlert.PIPELINE and event.data.get("end") == "alert_firing"
        return asks and (not endpoint.on or "alert_firing" in endpoint.on)
    return not endpoint.on or str(event.data.get("end")) in endpoint.on


def data(state: AgentState | FleetState, rollout: Rollout | FleetRollout, now: float) -> dict[str, Datum]:
    """The facts of an end, for receivers that read no sentences."""
    release = rollout.candidate.release
    return {
        "end": rollout.phase,
        "rollout": rollout.id,
        "version": release.version,
        "image": release.image.reference,
        "digest": release.image.manifest_digest or release.image.config_digest,
        "commit": release.provenance.commit,
        "undo_of": rollout.candidate.undo_of,
        "former": _former(state, rollout),
        "took_s": round(now - rollout.started_at, 3),
        "drill": rollout.candidate.reason == drill.REASON,
    }


def _evidence(rollout: Rollout) -> str:
    verdict = rollout.verdict
    if verdict is not None and verdict.outcome is Outcome.PASS and verdict.metrics:
        return f" Evidence: {verdict.because}."
    return f" On the word of {rollout.approved_by}." if rollout.approved_by else ""


def _stable(state: AgentState) -> str:
    return state.stable.title if state.stable else "none"


def _former(state: AgentState | FleetState, rollout: Rollout | FleetRollout) -> str:
    """The version that served before; empty for a first release."""
    if rollout.phase is not Phase.PROMOTED:
        return state.stable.release.version if state.stable else ""
    earlier = [revision for revision in state.history if revision.number != rollout.candidate.number]
    return earlier[-1].release.version if earlier else ""
