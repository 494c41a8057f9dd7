"""The reason tree: decision -> metric -> numbers -> samples, and what would have changed it. One tree for all to show.

Pure: from the stored state alone, so that the command line, the API and a page say the same, now and later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.judges import Sample
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import Form
from tidegate.model.rollout import AgentState, Rollout
from tidegate.model.spec import InPlace, Mode, ThresholdMetric
from tidegate.model.verdict import JudgeState, MetricState, MetricVerdict, Outcome

SEQUENTIAL = "sequential"
LAST_SAMPLES = 5


class Side(StrEnum):
    """What a reason speaks for. NEUTRAL: a number, or what would have changed it."""

    FOR = "for"
    AGAINST = "against"
    OPEN = "open"
    NEUTRAL = "neutral"


SIDES = {Outcome.PASS: Side.FOR, Outcome.FAIL: Side.AGAINST, Outcome.INCONCLUSIVE: Side.OPEN}


@dataclass(frozen=True)
class Reason:
    """One sentence, and the reasons below it. `changed` says that it tells what would have led elsewhere."""

    text: str
    side: Side = Side.NEUTRAL
    below: tuple["Reason", ...] = ()
    changed: bool = False


def reasons(state: AgentState) -> Reason | None:
    """Why the last rollout ended or stands as it does; None where there never was one."""
    rollout = state.rollout
    if rollout is None:
        return None
    turned = bool(rollout.fault)
    text = (rollout.fault or rollout.because).partition("\n")[0] or f"the rollout is {rollout.phase}"
    side = Side.AGAINST if turned else Side.FOR if rollout.phase.value == "promoted" else Side.OPEN
    return Reason(text, side, tuple(_below(state, rollout)))


def _below(state: AgentState, rollout: Rollout) -> Iterator[Reason]:
    verdicts = rollout.verdict.metrics if rollout.verdict else ()
    by_metric = any(one.outcome is Outcome.FAIL and one.because in rollout.fault for one in verdicts)
    if rollout.fault and not by_metric and not rollout.aborted_by:
        yield Reason("a hard fact: it needs no statistics", below=tuple(_limits(rollout)))
    if rollout.approved_by:
        yield Reason(f"{rollout.approved_by} gave the word in place of evidence", Side.FOR)
    if rollout.analysis.mode is Mode.OBSERVE and verdicts:
        yield Reason("mode observe: verdicts are told, and act on nothing")
    yield Reason(compared_with(state, rollout))
    for one in sorted(verdicts, key=lambda one: one.outcome is not Outcome.FAIL):
        mark = " (only observed)" if one.observed else ""
        text = one.because.partition("\n")[0] + mark
        yield Reason(text, SIDES[one.outcome], tuple(_of_metric(rollout, one)))


def compared_with(state: AgentState, rollout: Rollout) -> str:
    """What the candidate was compared with; the strongest that there was."""
    compared = bool(rollout.evidence or rollout.streams)
    if isinstance(rollout.strategy, InPlace):
        from tidegate.core.analysis import sequential

        if rollout.evidence and sequential.totals(rollout.evidence)[1]:
            return "nothing ran beside it: compared with stable's past, its last minutes played second by second"
        compared = False
    if compared and rollout.baseline is not None:
        version = rollout.baseline.release.version
        return f"compared with a fresh baseline of {version}, as many instances, started with the candidate"
    if compared and state.stable is not None:
        return f"compared with stable, revision {_former(state, rollout)}, in the same seconds"
    return "compared with nothing that ran beside it: thresholds and hard facts alone"


def _former(state: AgentState, rollout: Rollout) -> str:
    """Who was stable then: after a promotion, the revision before."""
    assert state.stable is not None
    before = [one for one in state.history if one.number != rollout.candidate.number]
    promoted = state.stable.number == rollout.candidate.number
    return before[-1].title if promoted and before else state.stable.title


def _limits(rollout: Rollout) -> Iterator[Reason]:
    limits = rollout.rollback
    if "restarted" in rollout.fault:
        yield Reason(f"max_restarts is {limits.max_restarts}; a higher one would have waited longer", changed=True)
    if "was not ready within" in rollout.fault:
        yield Reason(f"ready_deadline is {limits.ready_deadline_s:g} s; a longer one would have waited", changed=True)
    if "no heartbeat" in rollout.fault:
        allowed = f"{limits.heartbeat_deadline_s:g} s" if limits.heartbeat_deadline_s else "three of its own intervals"
        yield Reason(f"heartbeat_deadline is {allowed}; a longer one would have waited", changed=True)


def _of_metric(rollout: Rollout, verdict: MetricVerdict) -> Iterator[Reason]:
    """Numbers, samples, and what would have changed the verdict."""
    rules = rollout.analysis
    threshold = next((one for one in rules.metrics if one.name == verdict.metric), None)
    stream = next((one for one in rules.streams if one.name == verdict.metric), None)
    judged = next((one for one in rollout.judged if one.judge == verdict.metric), None)
    window = next((one for one in rollout.metrics if one.metric == verdict.metric), None)
    if threshold is not None and window is not None:
        yield from _threshold(threshold, window, verdict)
    elif stream is not None and stream.name in rollout.streams:
        yield from _stream(rollout, stream, verdict)
    elif judged is not None:
        yield from _judge(judged, verdict)
    elif verdict.metric == SEQUENTIAL and rollout.evidence:
        yield from _requests(rollout, verdict)


def _threshold(metric: ThresholdMetric, window: MetricState, verdict: MetricVerdict) -> Iterator[Reason]:
    condition = metric.failure_condition or f"not ({metric.success_condition})"
    samples = tuple(Reason(f"{measured.detail}", SIDES[measured.outcome]) for measured in window.recent[-LAST_SAMPLES:])
    counts = f"{window.failed} of {window.taken} measurements failed ({condition}), every {metric.interval_s:g} s"
    yield Reason(counts, below=samples)
    if verdict.outcome is Outcome.FAIL:
        allowed = f"failure_limit is {metric.failure_limit}; {window.failed} or more would have let it pass"
        yield Reason(allowed, changed=True)
    elif verdict.outcome is Outcome.INCONCLUSIVE and window.last is None:
        yield Reason("a first measurement would decide it", changed=True)
    elif verdict.outcome is Outcome.PASS and metric.failure_limit >= window.failed:
        more = metric.failure_limit - window.failed + 1
        yield Reason(f"{more} more failed measurement{'s' if more > 1 else ''} would have failed it", changed=True)


def _requests(rollout: Rollout, verdict: MetricVerdict) -> Iterator[Reason]:
    from tidegate.core.analysis import sequential

    rules = rollout.analysis.rules
    for name, weight, value in sequential.parts(rules, rollout.evidence):
        yield Reason(f"{name}: evidence {value:,.3g}, {weight:.0%} of what decides")
    n, m, k, j = sequential.totals(rollout.evidence)
    if n and m:
        allowed = rules.margin * j / m * n
        yield Reason(
            f"canary {k:,.0f} errors in {n:,.0f} requests; {rules.margin:g} times stable's share are {allowed:,.1f}"
        )
    value = sequential.worse(rules, rollout.evidence)
    yield from _evidence(value, rules.alpha, verdict)
    if rules.objective:
        yield Reason(sequential.proven(rollout)[1])


def _stream(rollout: Rollout, metric: SequentialMetric, verdict: MetricVerdict) -> Iterator[Reason]:
    from tidegate.core.analysis import streams

    kept = rollout.streams[metric.name]
    seen = streams.numbers(metric, kept)
    if metric.form is not Form.MEAN and all(seen.n):
        allowed = metric.margin * seen.k[1] / seen.n[1] * seen.n[0]
        yield Reason(f"canary {seen.k[0]:,.0f}; {metric.margin:g} times stable's rate would be {allowed:,.1f}")
    yield from _evidence(streams.evidence(metric, kept), rollout.analysis.rules.alpha, verdict)


def _evidence(value: float, alpha: float, verdict: MetricVerdict) -> Iterator[Reason]:
    if verdict.outcome is Outcome.FAIL:
        text = (
            f"evidence {value:,.3g}, limit {1 / alpha:g}: an alpha below {1 / max(value, 1.0):.2g} would have gone on"
        )
        yield Reason(text, changed=True)
    elif verdict.outcome is Outcome.PASS:
        yield Reason(
            f"evidence {value:,.3g}: {1 / alpha / max(value, 1e-9):,.3g} times as much would fail it", changed=True
        )


def _judge(state: JudgeState, verdict: MetricVerdict) -> Iterator[Reason]:
    for one in state.metrics:
        last = tuple(Reason(_sample(sample)) for sample in one.samples[-LAST_SAMPLES:])
        yield Reason(f"{one.metric}: {len(one.samples)} samples", below=last)
    if verdict.outcome is Outcome.INCONCLUSIVE and not state.because:
        yield Reason("its first judgement would decide it", changed=True)


def _sample(sample: Sample) -> str:
    if sample.error:
        return f"no data: {sample.error}"
    candidate = "no data" if sample.candidate is None else f"{sample.candidate:.4g}"
    return f"canary {candidate}" + ("" if sample.stable is None else f", stable {sample.stable:.4g}")
