"""Thresholds: conditions over measurements, with the semantics that the field knows from Argo Rollouts.

A window collects blocks until it spans the metric's interval and holds enough requests; then it is one measurement. A
window without requests, or whose value is NaN, is no measurement (unless a condition speaks of that): it goes on
growing. So no data is inconclusive, never pass and never fail.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from tidegate.model.expressions import condition, holds
from tidegate.model.metering import GATEWAY
from tidegate.model.observation import LATENCY_BOUNDS_MS, Block, Traffic
from tidegate.model.spec import Analysis, Role, ThresholdMetric
from tidegate.model.verdict import Measurement, MetricState, MetricVerdict, Outcome

RECENT = 5
"""Measurements that are kept for whoever asks why."""

QUANTILES = {"latency_p50": 0.5, "latency_p90": 0.9, "latency_p95": 0.95, "latency_p99": 0.99}
GATEWAY_QUERIES = ("error_share", "success_rate", "request_rate", *QUANTILES)


def begin(analysis: Analysis, now: float, takes_traffic: bool) -> tuple[MetricState, ...]:
    """Fresh states for the metrics that apply: the gateway's own say nothing about an agent without routes."""
    return tuple(
        MetricState(metric.name, started_at=now, window_since=now)
        for metric in analysis.metrics
        if takes_traffic or metric.source != GATEWAY
    )


def take(
    analysis: Analysis, states: Sequence[MetricState], blocks: Sequence[Block], revision: int
) -> tuple[MetricState, ...]:
    """Feed new blocks about the candidate's revision to every metric."""
    by_name = {metric.name: metric for metric in analysis.metrics}
    result = []
    for state in states:
        metric = by_name[state.metric]
        for block in blocks:
            if block.at > state.window_since and not _ended(metric, state):
                state = _close(metric, add(metric, state, block, revision), block.at)
        result.append(state)
    return tuple(result)


def judge_each(analysis: Analysis, states: Sequence[MetricState], since: float) -> tuple[MetricVerdict, ...]:
    """What each metric says. A pass needs a measurement that was taken after `since`."""
    by_name = {metric.name: metric for metric in analysis.metrics}
    return tuple(_judge_metric(by_name[state.metric], state, since) for state in states)


def _ended(metric: ThresholdMetric, state: MetricState) -> bool:
    return metric.count > 0 and state.taken >= metric.count


def add(metric: ThresholdMetric, state: MetricState, block: Block, revision: int) -> MetricState:
    """The window under way with one block more."""
    missing = block.missing.get(metric.source) or block.missing.get(f"{metric.source}/{metric.name}")
    if missing:
        return replace(state, window_missing=missing)
    if metric.source != GATEWAY:
        value = block.values.get(metric.name, {}).get(revision)
        return state if value is None else replace(state, window_value=value, window_missing="")
    traffic = block.traffic.get(revision, Traffic())
    return replace(
        state,
        window_requests=state.window_requests + traffic.requests,
        window_errors=state.window_errors + traffic.errors,
        window_latency=_sum(state.window_latency, traffic.latency),
        window_missing="",
    )


def _close(metric: ThresholdMetric, state: MetricState, now: float) -> MetricState:
    """Turn the window into a measurement when it is long enough and holds something."""
    span = now - state.window_since
    enough = state.window_requests >= max(metric.min_requests, 1) or metric.query == "request_rate"
    has_data = enough if metric.source == GATEWAY else state.window_value is not None
    if span < metric.interval_s or not has_data or state.window_missing:
        return state
    value, detail = measure(metric, state, span)
    if math.isnan(value) and not _handles_missing(metric):
        return state
    outcome = _outcome(metric, value)
    last = Measurement(metric.name, now, outcome, value, detail)
    return MetricState(
        metric=state.metric,
        started_at=state.started_at,
        window_since=now,
        taken=state.taken + 1,
        failed=state.failed + (outcome is Outcome.FAIL),
        inconclusive=state.inconclusive + (outcome is Outcome.INCONCLUSIVE),
        consecutive_successes=state.consecutive_successes + 1 if outcome is Outcome.PASS else 0,
        last=last,
        recent=(*state.recent, last)[-RECENT:],
    )


def _handles_missing(metric: ThresholdMetric) -> bool:
    return any(
        condition(text).handles_missing() for text in (metric.success_condition, metric.failure_condition) if text
    )


def measure(metric: ThresholdMetric, state: MetricState, span: float) -> tuple[float, str]:
    """The value of a window of `span` seconds that holds something, and how it came about."""
    requests = state.window_requests
    if metric.source != GATEWAY:
        value = state.window_value if state.window_value is not None else math.nan
        return value, f"{metric.query} {value:.4g}"
    if metric.query == "error_share":
        share = state.window_errors / requests
        return share, f"{state.window_errors} errors in {requests} requests ({share:.2%}) over {span:.0f} s"
    if metric.query == "success_rate":
        rate = 100.0 * (1.0 - state.window_errors / requests)
        return rate, f"{state.window_errors} errors in {requests} requests ({rate:.2f} % good) over {span:.0f} s"
    if metric.query == "request_rate":
        return requests / span, f"{requests} requests over {span:.0f} s"
    value = quantile_ms(state.window_latency, QUANTILES[metric.query])
    return value, f"{metric.query} {value:.4g} ms in {requests} requests over {span:.0f} s"


def quantile_ms(latency: Sequence[int], share: float) -> float:
    """The latency below which `share` of the requests stayed: the upper bound of its bucket, in milliseconds.

    NaN without requests; infinite when the quantile lies beyond the last bound.
    """
    total = sum(latency)
    if total == 0:
        return math.nan
    seen = 0
    for bound, count in zip((*LATENCY_BOUNDS_MS, math.inf), latency, strict=False):
        seen += count
        if seen >= share * total:
            return bound
    return math.inf


def _outcome(metric: ThresholdMetric, value: float) -> Outcome:
    """Argo's reading of the two conditions: one alone decides both ways, neither of two true is inconclusive."""
    success, failure = metric.success_condition, metric.failure_condition
    if not success and not failure:
        return Outcome.PASS
    if failure and holds(failure, value):
        return Outcome.FAIL
    if success and holds(success, value):
        return Outcome.PASS
    if success and failure:
        return Outcome.INCONCLUSIVE
    return Outcome.PASS if failure else Outcome.FAIL


def _judge_metric(metric: ThresholdMetric, state: MetricState, since: float) -> MetricVerdict:
    outcome, because = _outcome_so_far(metric, state, since)
    at = state.last.at if state.last else state.started_at
    return MetricVerdict(metric.name, outcome, metric.on_fail, because, at, metric.role is Role.OBSERVE)


def _outcome_so_far(metric: ThresholdMetric, state: MetricState, since: float) -> tuple[Outcome, str]:
    limit = metric.failure_condition or f"not ({metric.success_condition})"
    if state.failed > metric.failure_limit and state.last:
        return Outcome.FAIL, (
            f"{metric.name}: {state.last.detail}; {state.failed} of {state.taken} measurements failed "
            f"({limit}), more than the {metric.failure_limit} allowed"
        )
    if state.window_missing:
        return Outcome.INCONCLUSIVE, f"{metric.name}: no data from source {metric.source}: {state.window_missing}"
    if state.inconclusive > metric.inconclusive_limit and state.last:
        return Outcome.INCONCLUSIVE, (
            f"{metric.name}: {state.inconclusive} measurements fit neither condition; last: {state.last.detail}"
        )
    if metric.role is Role.GUARD and state.last is None:
        return Outcome.PASS, f"{metric.name}: nothing against it ({state.window_requests} requests seen)"
    if metric.role is Role.GUARD and state.last is not None:
        return Outcome.PASS, f"{metric.name}: {state.last.detail}"
    if state.last is None or (state.last.at <= since and not _ended(metric, state)):
        return Outcome.INCONCLUSIVE, f"{metric.name}: nothing measured yet ({state.window_requests} requests seen)"
    if state.consecutive_successes < metric.consecutive_success_limit:
        return Outcome.INCONCLUSIVE, (
            f"{metric.name}: {state.consecutive_successes} good measurements in a row, "
            f"{metric.consecutive_success_limit} needed"
        )
    return Outcome.PASS, f"{metric.name}: {state.last.detail}"


def _sum(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    if not a or not b:
        return tuple(a or b)
    return tuple(x + y for x, y in zip(a, b, strict=True))
