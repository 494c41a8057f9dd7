"""Canary: the candidate starts beside stable, traffic (or, without routes, the share of instances) step by step."""

import math

from tidegate.core import analysis, approval, beside, unwatched
from tidegate.core.strategies.answers import Advance, Done, Progress, Shape, Stay, Wait
from tidegate.core.view import View
from tidegate.model.policy import Gate
from tidegate.model.rollout import Hold, PauseKind, Phase
from tidegate.model.spec import Analyse, Canary, Pause, SetMirror, SetRoute, SetScale, SetWeight


def progress(canary: Canary, view: View) -> Progress:
    """What the step under way asks for now."""
    rollout = view.rollout
    if view.first or rollout.cursor >= len(canary.steps):
        stepped = bool(canary.steps) and not view.first
        return Done("every step is done" if stepped else "there are no steps to take", needs_proof=stepped)
    match canary.steps[rollout.cursor]:
        case SetWeight(weight):
            return _set_weight(canary, view, weight)
        case Pause(duration_s):
            until = None if duration_s is None else rollout.cursor_since + duration_s
            whom = "a person's word" if until is None else f"{duration_s:g} s"
            return Wait(Hold(PauseKind.STEP, Phase.PROGRESSING, f"step {rollout.cursor + 1} waits for {whom}", until))
        case Analyse(duration_s):
            return _analyse(view, duration_s)
        case SetRoute() | SetMirror():
            return _set_beside(canary, view)
        case SetScale():
            return _scaled(canary, view)
        case Gate() as gate:
            if rollout.returning or approval.is_open(rollout, gate, rollout.cursor):
                return Advance(f"gate {gate.name} is open, or not asked on the way back", rollout.weight)
            return Wait(approval.ask(view.now, gate, Phase.PROGRESSING))


def _set_weight(canary: Canary, view: View, weight: int) -> Progress:
    if view.rollout.weight > weight:
        return Advance(
            f"{view.rollout.weight} % was set by hand: the step to {weight} % is passed", view.rollout.weight
        )
    needed = count(canary, view, weight)
    if view.ready_candidates < needed:
        return Stay(f"{view.ready_candidates} of {needed} canary instances are ready for {weight} %")
    if beside_it := view.baseline_missing(needed):
        return Stay(beside_it)
    if view.rollout.weight != weight:
        return Advance(
            f"{weight} % to the canary: {needed} ready{_outlook(view, weight, _watched(canary, view))}", weight
        )
    if not view.share_applied(weight):
        return Stay(f"the gateway has not applied {weight} % yet")
    return Advance(f"{weight} % is applied", weight)


def _set_beside(canary: Canary, view: View) -> Progress:
    """Done when the gateway has in force what all steps so far ask for beside weights."""
    step, wanted = f"step {view.rollout.cursor + 1}", beside.of(view)
    if not view.ready_candidates:
        return Stay(f"no canary instance is ready for {step}")
    names = {rule.name for rule in wanted.rules}
    for goal in view.requests():
        if {rule.name for rule in goal.rules} != names or goal.mirror != wanted.mirror:
            return Stay(f"the gateway has not applied {step} yet")
    return Advance(f"{step} is applied", view.rollout.weight)


def _scaled(canary: Canary, view: View) -> Progress:
    needed = count(canary, view, view.rollout.weight)
    if view.ready_candidates < needed:
        return Stay(f"{view.ready_candidates} of {needed} canary instances are ready")
    return Advance(f"{needed} canary instance{'s' if needed > 1 else ''} ready", view.rollout.weight)


def _analyse(view: View, duration_s: float | None) -> Progress:
    rollout = view.rollout
    if duration_s is None:
        return Advance("from here on the metrics are watched in the background", rollout.weight)
    until = unwatched.until(rollout, rollout.cursor_since, duration_s)
    verdict = rollout.verdict
    if view.now < until:
        seen = (f": {verdict.because}" if verdict else "") + _outlook(view, rollout.weight, duration_s)
        return Stay(f"watching for {duration_s:g} s{seen}", until)
    if view.passed:
        return Advance(verdict.because if verdict else "observing", rollout.weight)
    why = verdict.because if verdict else "nothing measured"
    return Wait(Hold(PauseKind.ANALYSIS, Phase.PROGRESSING, f"inconclusive after {duration_s:g} s: {why}"))


def _outlook(view: View, weight: int, seconds: float) -> str:
    """What cannot be seen at this weight in this time; empty when a doubling of the errors can."""
    decidable, because = analysis.outlook(view.rollout, seconds, weight)
    return "" if decidable else f"; {because}"


def _watched(canary: Canary, view: View) -> float:
    """Seconds until the canary gets more than the step under way gives it, or must be proven."""
    seconds = 0.0
    for step in canary.steps[view.rollout.cursor + 1 :]:
        match step:
            case Analyse(float() as duration_s) | Pause(float() as duration_s):
                seconds += duration_s
            case SetWeight(_):
                return seconds
    return seconds + view.rollout.analysis.rules.within_s


def watched(canary: Canary, cursor: int) -> bool:
    """Whether the metrics are watched on this step: from the step that begins it in the background, if there is one."""
    begins = [index for index, step in enumerate(canary.steps) if step == Analyse(None)]
    return not begins or cursor > begins[0]


def steps_weight(canary: Canary, view: View) -> int:
    """The weight that instances are needed for now: the step under way or a person may ask for more than is applied."""
    rollout = view.rollout
    weights = [rollout.weight, rollout.wish.weight if rollout.wish else 0]
    if rollout.cursor < len(canary.steps):
        match canary.steps[rollout.cursor]:
            case SetWeight(weight):
                weights.append(weight)
    return max(weights)


def count(canary: Canary, view: View, weight: int) -> int:
    """Instances of the canary for a weight: as the last set_scale says, or the weight's share of the replicas."""
    scales = [s.count for s in beside.under_way(canary, view.rollout.cursor) if isinstance(s, SetScale)]
    if not scales or not scales[-1]:
        return view.wanted(weight)
    written = scales[-1]
    share = float(written[:-1]) * view.state.replicas / 100 if written.endswith("%") else float(written)
    return max(1, math.ceil(share))


def shape(canary: Canary, view: View, phase: Phase) -> Shape:
    """Instances of each track in a phase.

    With routes, stable keeps all its instances until the candidate has baked, so that going back is a change of
    weight. Without routes the share of instances is the canary: as candidates get ready, as many of stable are stopped
    and kept.
    """
    replicas = view.state.replicas
    stable = 0 if view.first else replicas
    match phase:
        case Phase.PREPARING:
            return Shape(stable, 0)
        case Phase.STARTING | Phase.PROGRESSING:
            candidate = replicas if view.first or view.rollout.fast else count(canary, view, steps_weight(canary, view))
        case _:
            candidate = replicas
    if view.takes_traffic or view.first:
        return Shape(stable, candidate)
    stopped = min(stable, view.ready_candidates)
    if phase in (Phase.STARTING, Phase.PROGRESSING) and stopped == stable:
        stopped = max(0, stable - 1)
    return Shape(stable - stopped, candidate, stopped)
