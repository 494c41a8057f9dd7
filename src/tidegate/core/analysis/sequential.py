"""The sequential engine: canary against stable at the same time, with an error rate that holds however often one looks.

The mathematics is core.stats; here its state is carried through a rollout and its evidence becomes verdicts. Two
questions are put to the same blocks: is the canary worse (then the rollout turns back), and is it proven not worse
(then it may be promoted)? In between it is too early to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tidegate.core.analysis import streams, unheard
from tidegate.core.stats import codec, guard, power, shipped
from tidegate.core.stats.guard import Guard, GuardPolicy
from tidegate.core.stats.power import Power
from tidegate.core.stats.promotion import PromotionPolicy, clean_requests_needed
from tidegate.model.observation import Block, Traffic
from tidegate.model.rollout import Rollout
from tidegate.model.spec import OnFail, Role, Sequential
from tidegate.model.verdict import MetricVerdict, Outcome

NAME = unheard.SEQUENTIAL
DOUBLING = 2.0
Kept = Mapping[str, Any]
"""The guard's plain form, as the rollout keeps it; empty before the first block."""


@lru_cache(maxsize=1024)
def policy(sequential: Sequential) -> GuardPolicy:
    """The engine's settings."""
    promotion = PromotionPolicy(sequential.worst_ratio, sequential.floor)
    return GuardPolicy(margin=sequential.margin, alpha=sequential.alpha, promotion=promotion)


def begin(sequential: Sequential, past: Sequence[Block], stable: int) -> Kept:
    """A guard that has learned what stable was like before the canary."""
    rules = policy(sequential)
    state = guard.opening(rules)
    for block in unheard.heard(past):
        state = guard.learn(rules, state, block.duration_s, block.traffic.get(stable, Traffic()))
    return codec.to_json(state)


def _remembered(sequential: Sequential, kept: Kept) -> tuple[GuardPolicy, Guard]:
    rules = policy(sequential)
    return rules, _revived(rules, _opening(sequential), kept)


@lru_cache(maxsize=1024)
def _opening(sequential: Sequential) -> Guard:
    return guard.opening(policy(sequential))


def _revived(rules: GuardPolicy, fresh: Guard, kept: Kept) -> Guard:
    if not unheard.is_unheard(kept):
        return codec.revive(fresh, kept)
    seconds = kept[unheard.SECONDS]
    return guard.update(rules, fresh, seconds, Traffic(), Traffic()) if seconds else fresh


def take(sequential: Sequential, kept: Kept, blocks: Sequence[Block], candidate: int, stable: int) -> Kept:
    """Feed new blocks of both. A block that the gateway did not answer for says nothing."""
    heard = unheard.heard(blocks)
    if not heard:
        return kept
    rules, state = _remembered(sequential, kept)
    for block in heard:
        arms = block.traffic.get(candidate, Traffic()), block.traffic.get(stable, Traffic())
        state = guard.update(rules, state, block.duration_s, *arms)
    return codec.to_json(state)


@dataclass(frozen=True)
class _Member:
    """One metric's part of the evidence. `silent` says why nothing is known yet; empty when something is."""

    name: str
    on_fail: OnFail
    observed: bool
    weight: float
    value: float
    because: str
    silent: str = ""

    @property
    def group(self) -> tuple[OnFail, str]:
        """Whom it shares its evidence with: what never acts stands alone."""
        return self.on_fail, self.name if self.observed else ""


def judge(rollout: Rollout, instances: int, now: float) -> tuple[MetricVerdict, ...]:
    """Worse or not yet known to be, for each metric; one that has no data of both sides is inconclusive.

    Metrics with the same on_fail share their evidence: the average of their e-values, by weight. Where it reaches the
    limit, the metric that brings the most of it fails.
    """
    members, limit = _members(rollout, instances), 1.0 / rollout.analysis.rules.alpha
    verdicts = []
    for one in members:
        same = [member for member in members if member.group == one.group]
        total = sum(member.weight for member in same)
        shared = sum(member.weight / total * member.value for member in same)
        worst = max(same, key=lambda member: member.weight * member.value)
        because = f"{one.name}: {one.because}"
        if len(same) > 1:
            others = ", ".join(member.name for member in same if member is not one)
            because += f"; shared with {others}: {shared:,.3g}"
        outcome = Outcome.FAIL if shared >= limit and one is worst else Outcome.PASS
        if one.silent and outcome is Outcome.PASS:
            outcome, because = Outcome.INCONCLUSIVE, f"{one.name}: {one.silent}"
        verdicts.append(MetricVerdict(one.name, outcome, one.on_fail, because, now, one.observed))
    return tuple(verdicts)


def _members(rollout: Rollout, instances: int) -> list[_Member]:
    found, rules = [], rollout.analysis.sequential
    if rules is not None and rollout.evidence:
        limits, state = _remembered(rules, rollout.evidence)
        silent = "" if state.totals[guard.N_CANARY] else unheard.NOBODY
        because = guard.because(limits, state, instances)
        if not state.totals[guard.N_STABLE]:
            because += "; nothing ran beside it to compare with: thresholds and hard facts alone"
        found.append(_Member(NAME, rules.on_fail, False, 1.0, guard.worse(limits, state), because, silent))
    limit = 1.0 / rollout.analysis.rules.alpha
    alone = "; one instance, so a bad host cannot be told from a bad version" if instances == 1 else ""
    for metric in rollout.analysis.streams:
        kept = rollout.streams.get(metric.name)
        if kept is None:
            continue
        seen, value, why = streams.numbers(metric, kept), streams.evidence(metric, kept), streams.missing(kept)
        silent = "" if all(seen.n) else "nothing was measured of the canary and of stable at the same time yet"
        silent = f"no data from source {metric.source}: {why}" if why else silent
        because = (
            f"{streams.sentence(metric, kept)}; evidence {value:,.3g} against a limit of {limit:g}; "
            f"seen after {seen.seconds:,.0f} s{alone}"
        )
        observed = metric.role is Role.OBSERVE
        found.append(_Member(metric.name, metric.on_fail, observed, metric.weight, value, because, silent))
    return found


def proven(rollout: Rollout) -> tuple[bool, str]:
    """Whether the canary is proven not to be worse than allowed by every objective, and how far the proofs are."""
    rules, proofs = rollout.analysis.sequential, []
    if rules is not None and rules.objective and rollout.evidence:
        proofs.append(_proven_by_requests(rules, rollout.evidence))
    for metric in rollout.analysis.streams:
        if metric.role is Role.OBJECTIVE and metric.name in rollout.streams:
            kept = rollout.streams[metric.name]
            value, needed = streams.proof(metric, kept), streams.NEEDED
            word = "proven not worse" if value >= needed else "not proven yet"
            sentence = f"{metric.name} {word}: {streams.sentence(metric, kept)}; evidence {value:,.3g} of {needed:g}"
            proofs.append((value >= needed, sentence))
    missing = [why for sure, why in proofs if not sure]
    return not missing, "; ".join(missing or [why for _, why in proofs])


def parts(sequential: Sequential, kept: Kept) -> list[tuple[str, float, float]]:
    """Each of the gateway's metrics: name, part of what decides, evidence."""
    by_metric = guard.evidence_by_metric(*_remembered(sequential, kept))
    return [(name.replace("_", " "), shipped.WEIGHTS[name], value) for name, value in by_metric.items()]


def worse(sequential: Sequential, kept: Kept) -> float:
    """The evidence against the canary in the gateway's numbers."""
    return guard.worse(*_remembered(sequential, kept))


def totals(kept: Kept) -> tuple[float, float, float, float]:
    """Requests of canary and stable, errors of canary and stable."""
    rules = GuardPolicy()
    state = _revived(rules, guard.opening(rules), kept)
    _, n_canary, n_stable, k_canary, k_stable = (float(value) for value in state.totals)
    return n_canary, n_stable, k_canary, k_stable


def _proven_by_requests(sequential: Sequential, kept: Kept) -> tuple[bool, str]:
    rules, state = _remembered(sequential, kept)
    evidence, needed = guard.good_enough(rules, state), 1.0 / rules.promotion.alpha
    seen, errors = state.totals[guard.N_CANARY], state.totals[guard.K_CANARY]
    counted = f"canary {errors:,.0f} errors in {seen:,.0f} requests"
    if evidence >= needed:
        return True, f"proven not worse: {counted}; evidence {evidence:,.3g}, {needed:g} needed"
    clean = clean_requests_needed(rules.promotion.floor, rules.promotion.alpha, rules.promotion.floor_weight / 2)
    return False, f"not proven yet: {counted}; evidence {evidence:,.3g} of {needed:g} (about {clean:,} clean requests)"


def outlook(sequential: Sequential, kept: Kept, seconds: float, weight: int) -> Power | None:
    """Whether a doubling can be seen at this traffic in this time when the canary has `weight` percent; None before
    there was traffic. A share of errors below the floor is taken for the floor: nothing below it does harm."""
    rules, state = _remembered(sequential, kept)
    seen = guard.traffic(rules, state, weight / 100)
    if seen is None:
        return None
    part = shipped.WEIGHTS[shipped.ERRORS]
    return power.power(rules.errors, seen, seconds, ratio=DOUBLING, alpha=rules.alpha, weight=part)
