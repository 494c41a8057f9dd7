"""The judges that people bring along, at work in a rollout: samples of both sides, and what each judge makes of them.

A judge sees its metrics' samples since it began, one an interval whether there was data or not, and judges all of
them: the same samples give the same verdict, whoever looks and how often. Theirs: core.judges.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.core.analysis import thresholds
from tidegate.model.expressions import condition
from tidegate.model.judges import Argo, ArgoMetric, Asked, Flagger, Judges, Kayenta, Sample
from tidegate.model.judging import Role
from tidegate.model.metering import GATEWAY
from tidegate.model.observation import Block
from tidegate.model.spec import Analysis, ThresholdMetric
from tidegate.model.verdict import JudgeState, MetricState, MetricVerdict, Outcome, Sampling

MOST_SAMPLES = 2880
"""Samples that are kept of a metric: two days of minutes."""


def begin(judges: Judges, now: float, routed: bool) -> tuple[JudgeState, ...]:
    """Fresh memories of the judges whose metrics can be measured at all."""
    found: dict[str, list[Sampling]] = {}
    for judge, asked in judges.asked():
        if routed or asked.source != GATEWAY:
            found.setdefault(judge, []).append(Sampling.fresh(asked.name, now))
    return tuple(JudgeState(judge, now, tuple(metrics)) for judge, metrics in found.items())


def take(
    judges: Judges, states: Sequence[JudgeState], blocks: Sequence[Block], arms: tuple[int, int | None]
) -> tuple[JudgeState, ...]:
    """Feed new blocks; whoever has new samples judges anew."""
    if not blocks:
        return tuple(states)
    asked = {(judge, one.name): one for judge, one in judges.asked()}
    result = []
    for state in states:
        metrics = []
        for sampling in state.metrics:
            for block in blocks:
                sampling = _sampled(asked[state.judge, sampling.metric], sampling, block, arms)
            metrics.append(sampling)
        after = replace(state, metrics=tuple(metrics))
        news = any(a.samples != b.samples for a, b in zip(after.metrics, state.metrics, strict=True))
        result.append(_judged(judges, after, blocks[-1].at) if news else after)
    return tuple(result)


def _sampled(asked: Asked, sampling: Sampling, block: Block, arms: tuple[int, int | None]) -> Sampling:
    if block.at <= sampling.candidate.window_since:
        return sampling
    metric = ThresholdMetric(asked.name, asked.source, asked.query, asked.interval_s)
    candidate = thresholds.add(metric, sampling.candidate, block, arms[0])
    stable = thresholds.add(metric, sampling.stable, block, arms[1]) if arms[1] is not None else sampling.stable
    span = block.at - candidate.window_since
    if span < asked.interval_s - 1e-6:
        return replace(sampling, candidate=candidate, stable=stable)
    arms_seen = (candidate, stable)
    known, control = (thresholds.measure(metric, one, span)[0] if _holds(metric, one) else None for one in arms_seen)
    sample = Sample(block.at, known, control, candidate.window_missing)
    kept = (*sampling.samples, sample)[-MOST_SAMPLES:]
    return replace(Sampling.fresh(asked.name, block.at), samples=kept)


def _holds(metric: ThresholdMetric, window: MetricState) -> bool:
    return window.window_requests > 0 if metric.source == GATEWAY else window.window_value is not None


def _judged(judges: Judges, state: JudgeState, now: float) -> JudgeState:
    """With the verdict on all samples so far; Kayenta's only when its interval is over."""
    samples = {one.metric: one.samples for one in state.metrics}
    match state.judge:
        case "kayenta" if judges.kayenta is not None:
            looks = math.floor((now - state.began + 1e-6) / judges.kayenta.interval_s)
            if looks <= state.looks:
                return state
            outcome, because = _kayenta(judges.kayenta, samples)
            return replace(state, looks=looks, outcome=outcome, because=because)
        case "argo" if judges.argo is not None:
            outcome, because = _argo(judges.argo, samples)
        case _:
            assert judges.flagger is not None
            outcome, because = _flagger(judges.flagger, samples)
    return replace(state, outcome=outcome, because=because)


def _kayenta(judge: Kayenta, samples: Mapping[str, Sequence[Sample]]) -> tuple[Outcome, str]:
    from tidegate.core.judges import kayenta

    def values(name: str, arm: str) -> list[float]:
        found = (getattr(sample, arm) for sample in samples.get(name, ()))
        return [math.nan if value is None else value for value in found]

    pairs = {one.name: (values(one.name, "candidate"), values(one.name, "stable")) for one in judge.rules.metrics}
    judged = kayenta.judge(judge.rules, pairs, compat=judge.compat)
    bad = [one for one in judged.metrics if one.label is not kayenta.Label.PASS]
    limits = f"{judge.rules.pass_score:g} passes, {judge.rules.marginal_score:g} is marginal"
    why = "; ".join(f"{one.name} {one.label}{f' ({one.reason})' if one.reason else ''}" for one in bad)
    count = max((len(one) for one in samples.values()), default=0)
    return judged.outcome, f"score {judged.score:g} ({limits}) after {count} samples{f': {why}' if why else ''}"


def _argo(judge: Argo, samples: Mapping[str, Sequence[Sample]]) -> tuple[Outcome, str]:
    from tidegate.core.judges import argo

    told, pairs = [], []
    for metric in judge.metrics:
        tally, last = argo.Tally(), "nothing measured yet"
        for sample in samples.get(metric.name, ()):
            if sample.error:
                phase, last = argo.Phase.ERROR, f"{metric.name}: {sample.error}"
            else:
                phase, last = argo.measure(metric, _result(metric, sample), compat=judge.compat)
            tally = argo.take(metric, tally, phase)
        pairs.append((metric, tally))
        counts = f"{tally.failed} of {tally.count} measurements failed (failureLimit {metric.failure_limit})"
        told.append((tally.phase, f"{last}; {counts}{f'; {tally.because}' if tally.because else ''}"))
    phase = argo.run_phase(pairs)
    because = max(told, key=lambda one: argo.WORSE.index(one[0]))[1] if told else "no metric"
    if phase in (argo.Phase.RUNNING, argo.Phase.PENDING):
        measured = all(tally.count for _, tally in pairs)
        return (Outcome.PASS if measured else Outcome.INCONCLUSIVE), because
    failed = judge.compat and phase is argo.Phase.ERROR
    return (Outcome.FAIL if failed else argo.outcome(phase)), f"{phase}: {because}"


def _result(metric: ArgoMetric, sample: Sample) -> float | list[float] | None:
    """A number, or a list of one where a condition reads it as Argo's Prometheus gives it: result[0]. No data is nil or
    an empty list; a share of no requests is NaN there too, unless a condition speaks of missing values."""
    read = [condition(text) for text in (metric.success_condition, metric.failure_condition) if text]
    if any(one.reads_list() for one in read):
        return [] if sample.candidate is None else [sample.candidate]
    if sample.candidate is None and metric.source == GATEWAY and not any(one.handles_missing() for one in read):
        return math.nan
    return sample.candidate


def _flagger(judge: Flagger, samples: Mapping[str, Sequence[Sample]]) -> tuple[Outcome, str]:
    from tidegate.core.judges import flagger

    rows = zip(*samples.values(), strict=False)
    state, outcome = flagger.Checks(), Outcome.INCONCLUSIVE
    for row in rows:
        values = {name: sample.candidate for name, sample in zip(samples, row, strict=True)}
        state, outcome = flagger.tick(judge.rules, state, values, compat=judge.compat)
    limit = max(1, judge.rules.threshold)
    return outcome, f"{state.because or 'nothing checked yet'}; {state.failed} failed checks of {limit}"


def judge_each(analysis: Analysis, states: Sequence[JudgeState]) -> tuple[MetricVerdict, ...]:
    """What each judge says; one that has not judged yet is inconclusive."""
    verdicts = []
    for state in states:
        judge = analysis.judges.of(state.judge)
        because = f"{state.judge}: {state.because or 'not judged yet'}"
        at = max((one.samples[-1].at for one in state.metrics if one.samples), default=state.began)
        observed = judge.role is Role.OBSERVE
        verdicts.append(MetricVerdict(state.judge, state.outcome, judge.on_fail, because, at, observed))
    return tuple(verdicts)


@dataclass(frozen=True)
class Missing:
    """A source that a judge waits for."""

    source: str
    why: str


def missing(analysis: Analysis, states: Sequence[JudgeState]) -> list[Missing]:
    """The sources that did not answer last, of judges that act."""
    sources = {(judge, one.name): one.source for judge, one in analysis.judges.asked()}
    acting = [state for state in states if analysis.judges.of(state.judge).acts]
    return [
        Missing(sources[state.judge, one.metric], one.candidate.window_missing)
        for state in acting
        for one in state.metrics
        if one.candidate.window_missing
    ]
