"""From measurement blocks to one verdict: the sequential engine and the thresholds side by side.

`begin` opens the memory of a rollout's metrics, `take` feeds it new blocks, `judge` says pass, fail or inconclusive,
and `proven` whether promotion has its evidence. All of it is pure, and all memory is kept with the rollout.
The sequential engine needs numpy, which takes longer to load than all the rest: it is loaded with the first request.
"""

from collections.abc import Sequence
from dataclasses import replace

from tidegate.core.analysis import judging, thresholds, unheard
from tidegate.core.analysis.thresholds import GATEWAY_QUERIES
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import GATEWAY
from tidegate.model.observation import Block
from tidegate.model.rollout import Rollout
from tidegate.model.spec import Mode, OnFail, Role
from tidegate.model.verdict import MetricVerdict, Outcome, Verdict


def begin(rollout: Rollout, now: float, past: Sequence[Block], stable: int | None) -> Rollout:
    """Open the metrics that apply. `past` are stable's blocks before this rollout, `stable` the number it runs as."""
    routed = rollout.candidate.workload.takes_traffic
    rollout = replace(
        rollout,
        metrics=thresholds.begin(rollout.analysis, now, routed),
        judged=judging.begin(rollout.analysis.judges, now, routed),
    )
    rules, asked = rollout.analysis.sequential if routed else None, _streams(rollout, routed)
    if stable is None or (rules is None and not asked):
        return rollout
    if not asked and unheard.silent(past, stable):
        return replace(rollout, evidence=unheard.NEW)
    from tidegate.core.analysis import sequential, streams

    arms = (rollout.candidate.runs_as, stable)
    return replace(
        rollout,
        evidence=sequential.begin(rules, past, stable) if rules is not None else {},
        streams={metric.name: streams.begin(metric, past, arms) for metric in asked},
    )


def restarted(rollout: Rollout, now: float) -> Rollout:
    """The thresholds from now on: what was not watched until now is no part of their first measurement."""
    fresh = thresholds.begin(rollout.analysis, now, rollout.candidate.workload.takes_traffic)
    return replace(rollout, metrics=fresh)


def take(rollout: Rollout, blocks: Sequence[Block], stable: int | None) -> Rollout:
    """Feed new blocks to every metric."""
    candidate = rollout.candidate.runs_as
    rollout = replace(
        rollout,
        metrics=thresholds.take(rollout.analysis, rollout.metrics, blocks, candidate),
        judged=judging.take(rollout.analysis.judges, rollout.judged, blocks, (candidate, stable)),
    )
    rules, kept = rollout.analysis.sequential, rollout.streams
    if stable is None or not (kept or rollout.evidence):
        return rollout
    if not kept and unheard.is_unheard(rollout.evidence) and unheard.silent(blocks, candidate, stable):
        return replace(rollout, evidence=unheard.take(rollout.evidence, blocks))
    from tidegate.core.analysis import sequential, streams

    evidence = rollout.evidence
    if rules is not None and evidence:
        evidence = sequential.take(rules, evidence, blocks, candidate, stable)
    arms, asked = (candidate, stable), [one for one in rollout.analysis.streams if one.name in kept]
    after = {metric.name: streams.take(metric, kept[metric.name], blocks, arms) for metric in asked}
    return replace(rollout, evidence=evidence, streams=after)


def judge(rollout: Rollout, instances: int, now: float, heard: bool) -> Verdict:
    """The verdict over all metrics; the worst of those that guard decides. Without news the evidence is as it was."""
    verdicts = (
        *thresholds.judge_each(rollout.analysis, rollout.metrics, rollout.cursor_since),
        *judging.judge_each(rollout.analysis, rollout.judged),
    )
    if not rollout.evidence and not rollout.streams:
        return combine(verdicts)
    if not rollout.streams and unheard.is_unheard(rollout.evidence):
        return combine((*unheard.judge(rollout, now), *verdicts))
    from tidegate.core.analysis import sequential

    ours = {sequential.NAME, *rollout.streams}
    former = tuple(one for one in (rollout.verdict.metrics if rollout.verdict else ()) if one.metric in ours)
    if heard or not former:
        former = sequential.judge(rollout, instances, now)
    return combine((*former, *verdicts))


def combine(verdicts: Sequence[MetricVerdict]) -> Verdict:
    """One verdict of many: fail before inconclusive before pass; an aborting metric is named before a pausing one."""
    if not verdicts:
        return Verdict(Outcome.PASS, "no metric applies; the hard facts alone are watched")
    guards = [verdict for verdict in verdicts if verdict.on_fail is not OnFail.NOTIFY and not verdict.observed]
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        worst = [verdict for verdict in guards if verdict.outcome is outcome]
        if worst:
            worst.sort(key=lambda verdict: verdict.on_fail is not OnFail.ABORT)
            return Verdict(outcome, worst[0].because, tuple(verdicts))
    because = "; ".join(verdict.because for verdict in guards) or "no metric guards this rollout"
    return Verdict(Outcome.PASS, because, tuple(verdicts))


def down(rollout: Rollout) -> str:
    """Which sources of metrics that act are down, and why; empty when none is, or when nothing acts."""
    acting = {
        m.name: m for m in rollout.analysis.metrics if m.role is not Role.OBSERVE and m.on_fail is not OnFail.NOTIFY
    }
    if rollout.analysis.mode is Mode.OBSERVE:
        return ""
    found = {
        f"{acting[state.metric].source} ({state.window_missing})": None
        for state in rollout.metrics
        if state.metric in acting and state.window_missing
    }
    for metric in rollout.analysis.streams:
        acts = metric.role is not Role.OBSERVE and metric.on_fail is not OnFail.NOTIFY
        if acts and (why := rollout.streams.get(metric.name, {}).get("meter", {}).get("missing")):
            found[f"{metric.source} ({why})"] = None
    found |= {f"{one.source} ({one.why})": None for one in judging.missing(rollout.analysis, rollout.judged)}
    return f"no data from metric source {'; '.join(found)}" if found else ""


def proven(rollout: Rollout) -> tuple[bool, str]:
    """Whether promotion has its evidence; true where nothing asks for any."""
    if not rollout.evidence and not rollout.streams:
        return True, ""
    from tidegate.core.analysis import sequential

    return sequential.proven(rollout)


def outlook(rollout: Rollout, seconds: float, weight: int) -> tuple[bool, str]:
    """Whether a doubling of the errors can be seen within these seconds at `weight` percent, in one sentence; true and
    empty where nothing can be said."""
    rules = rollout.analysis.sequential
    if rules is None or not rollout.evidence or unheard.is_unheard(rollout.evidence) or not weight:
        return True, ""
    from tidegate.core.analysis import sequential

    seen = sequential.outlook(rules, rollout.evidence, seconds, weight)
    return (seen.decidable, seen.because) if seen else (True, "")


def enough(rollout: Rollout, seconds: float, most: int) -> int:
    """The least weight, twice the present one or that doubled again, that suffices for a doubling of the errors to be
    seen within these seconds; `most` where none below does."""
    weight = min(2 * rollout.weight, most)
    while weight < most and not outlook(rollout, seconds, weight)[0]:
        weight = min(2 * weight, most)
    return weight


def _streams(rollout: Rollout, routed: bool) -> list[SequentialMetric]:
    """The metrics of their own evidence that apply: the gateway's say nothing about an agent without routes."""
    return [metric for metric in rollout.analysis.streams if routed or metric.source != GATEWAY]


__all__ = ["GATEWAY_QUERIES", "begin", "combine", "down", "enough", "judge", "outlook", "proven", "take"]
