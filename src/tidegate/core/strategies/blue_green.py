"""Blue-green: all of the candidate beside all of stable, then every request at once.

By cursor: watch the preview (WATCH), have it approved (APPROVE), switch. The switch is the phase PROMOTING,
whose change of weight from 0 to 100 is one configuration of the gateway. The former side keeps running until promotion,
and after it for `keep_s` (core.rollout keeps it warm), so that the way back is a change of weight too.
"""

from tidegate.core import unwatched
from tidegate.core.strategies.answers import Advance, Done, Progress, Shape, Stay, Wait
from tidegate.core.view import View
from tidegate.model.rollout import Hold, PauseKind, Phase
from tidegate.model.spec import BlueGreen
from tidegate.model.verdict import Outcome, Verdict

WATCH, APPROVE = 0, 1
GATEWAY = "gateway"


def progress(both: BlueGreen, view: View) -> Progress:
    """What the step under way asks for now."""
    rollout = view.rollout
    if view.first:
        return Done("there is nothing to switch from")
    if rollout.cursor == WATCH and both.analyse_s:
        return _watch(both, view)
    if rollout.cursor == WATCH:
        return Advance("no analysis before the switch", rollout.weight)
    if rollout.cursor == APPROVE and not both.automatic:
        because = f"the switch to revision {rollout.candidate.title} waits for a person's word{_where(both)}"
        return Wait(Hold(PauseKind.STEP, Phase.PROGRESSING, because))
    return Done(f"the switch to revision {rollout.candidate.title} may be made")


def _where(both: BlueGreen) -> str:
    preview = both.preview
    if preview is None:
        return ""
    parts = (f"port {preview.listen}" if preview.listen else "", f"host {preview.host}" if preview.host else "")
    matches = " and ".join(f"{m.on} {m.name} {m.kind} {m.value}".replace("  ", " ") for m in preview.matches)
    return f"; its preview: {', '.join(part for part in (*parts, matches) if part)}"


def _watch(both: BlueGreen, view: View) -> Progress:
    """Watch for the duration; then the evidence must be good, as far as there could be any before the switch."""
    rollout = view.rollout
    until = unwatched.until(rollout, rollout.cursor_since, both.analyse_s)
    verdict = rollout.verdict
    told = f": {verdict.because}" if verdict else ""
    if view.now < until:
        return Stay(f"watching the preview for {both.analyse_s:g} s{told}", until)
    if verdict is None or view.passed or not _expected(both, view, verdict):
        return Advance(f"nothing speaks against the switch after {both.analyse_s:g} s{told}", rollout.weight)
    because = f"inconclusive before the switch, after {both.analyse_s:g} s: {verdict.because}"
    return Wait(Hold(PauseKind.ANALYSIS, Phase.PROGRESSING, because))


def _expected(both: BlueGreen, view: View, verdict: Verdict) -> bool:
    """Whether what is inconclusive could have been measured.

    Without a preview and a mirror no request can have reached the candidate: the gateway's metrics then wait for the
    bake, and the duration shows the hard facts and every other source.
    """
    if both.preview or both.mirror:
        return True
    watched = view.rollout.analysis
    elsewhere = {metric.name for metric in watched.metrics if metric.source != GATEWAY}
    elsewhere |= {metric.name for metric in watched.streams if metric.source != GATEWAY}
    return any(m.outcome is Outcome.INCONCLUSIVE and m.metric in elsewhere for m in verdict.metrics)


def shape(both: BlueGreen, view: View, phase: Phase) -> Shape:
    """Both sides with all their replicas; without routes the former one is stopped and kept at the switch."""
    replicas = view.state.replicas
    if view.first:
        return Shape(0, 0 if phase is Phase.PREPARING else replicas)
    if phase is Phase.PREPARING:
        return Shape(replicas, 0)
    if not view.takes_traffic and phase in (Phase.PROMOTING, Phase.BAKING):
        return Shape(0, replicas, replicas)
    return Shape(replicas, replicas)
