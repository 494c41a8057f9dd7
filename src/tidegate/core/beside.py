"""What a rollout asks of the routes beside weights: rules, sticky users, a mirror, a preview. All is derived."""

import re
from dataclasses import replace

from tidegate.core.routing import Beside
from tidegate.core.view import View, effective_phase
from tidegate.model.desired import Mirror, Rule
from tidegate.model.rollout import Phase
from tidegate.model.spec import BlueGreen, Canary, InPlace, Rolling, SetMirror, SetRoute, SetWeight, Step
from tidegate.model.traffic import Match, MatchKind, MatchOn, Preview

BEFORE_THE_SWITCH = (Phase.PREPARING, Phase.STARTING, Phase.PROGRESSING)
VERSION = "version"


def of(view: View) -> Beside:
    """Everything beside weights; nothing on the way back, and nothing when there is only one side."""
    phase = effective_phase(view.rollout)
    if view.first or view.rollout.fast or phase is Phase.REVERTING or phase.ended:
        return Beside()
    match view.rollout.strategy:
        case Canary() as canary:
            steps = under_way(canary, view.rollout.cursor) if phase not in (Phase.PREPARING, Phase.STARTING) else ()
            mirror = _mirror(steps) if phase is Phase.PROGRESSING and not view.rollout.weight else 0
            return Beside(rules=_rules(steps, view), sticky=canary.sticky, mirror=_to_candidate(view, mirror))
        case BlueGreen() as both if phase in BEFORE_THE_SWITCH:
            return _before_the_switch(both, view)
        case BlueGreen() | Rolling() | InPlace():
            return Beside()


def under_way(canary: Canary, cursor: int) -> tuple[Step, ...]:
    """The steps that were taken and the one that is being taken."""
    return canary.steps[: cursor + 1]


def _before_the_switch(both: BlueGreen, view: View) -> Beside:
    number, preview = view.rollout.candidate.runs_as, both.preview or Preview()
    rules = (Rule("preview", preview.matches, number),) if preview.matches else ()
    mirror = _to_candidate(view, both.mirror)
    where = replace(preview, matches=()) if preview.listen or preview.host else None
    return Beside(preview_rules=rules, mirror=mirror, preview=where, candidate=view.rollout.candidate)


def _to_candidate(view: View, percent: int) -> Mirror | None:
    return Mirror(view.rollout.candidate.runs_as, percent) if percent else None


def _mirror(steps: tuple[Step, ...]) -> int:
    """The share of the last mirror step; setting a weight ends it, or the canary would get a request twice."""
    percent = 0
    for step in steps:
        match step:
            case SetMirror(share):
                percent = share
            case SetWeight(weight) if weight:
                percent = 0
    return percent


def _rules(steps: tuple[Step, ...], view: View) -> tuple[Rule, ...]:
    """The latest first; an empty set_route takes all of them back."""
    rules: tuple[Rule, ...] = ()
    for index, step in enumerate(steps, start=1):
        if not isinstance(step, SetRoute):
            continue
        if step.version_header:
            rules = (*_by_version(step.version_header, view), *rules)
        elif step.matches:
            rules = (Rule(f"step {index}", step.matches, view.rollout.candidate.runs_as), *rules)
        else:
            rules = ()
    return rules


def _by_version(header: str, view: View) -> tuple[Rule, ...]:
    """Whoever names a version reaches it: v2.0-beta and 2.0-beta are one."""
    candidate, stable = view.rollout.candidate, view.state.stable
    assert stable is not None
    if candidate.release.version.removeprefix("v") == stable.release.version.removeprefix("v"):
        return ()
    return tuple(
        Rule(
            f"{VERSION} {revision.release.version}",
            (
                Match(
                    MatchOn.HEADER,
                    "v?" + re.escape(revision.release.version.removeprefix("v")),
                    header,
                    MatchKind.REGEX,
                ),
            ),
            revision.runs_as,
        )
        for revision in (candidate, stable)
    )
