"""The sequential engine: canary against stable at the same time, with an error rate that holds however often one looks.

The mathematics is core.stats; here its state is carried through a rollout and its evidence becomes verdicts. Two
questions are put to the same blocks: is the canary worse (then the rollout turns back), and is it proven not worse
(then it may be promoted)? In between it is too early to say.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.core.stats import codec, guard, power, shipped
from tidegate.core.stats.guard import Guard, GuardPolicy
from tidegate.core.stats.promotion import PromotionPolicy, clean_requests_needed
from tidegate.model.metering import GATEWAY
from tidegate.model.observation import Block, Traffic
from tidegate.model.spec import Sequential
from tidegate.model.verdict import MetricVerdict, Outcome

NAME = "sequential"
Kept = Mapping[str, Any]
"""The guard's plain form, as the rollout keeps it; empty before the first block."""


def policy(sequential: Sequential) -> GuardPolicy:
    """The engine's settings."""
    promotion = PromotionPolicy(sequential.worst_ratio, sequential.floor)
    return GuardPolicy(margin=sequential.margin, alpha=sequential.alpha, promotion=promotion)


def begin(sequential: Sequential, past: Sequence[Block], stable: int) -> Kept:
    """A guard that has learned what stable was like before the canary."""
    rules = policy(sequential)
    state = guard.opening(rules)
    for block in past:
        if block.duration_s > 0 and GATEWAY not in block.missing:
            state = guard.learn(rules, state, block.duration_s, block.traffic.get(stable, Traffic()))
    return codec.to_json(state)


def take(sequential: Sequential, kept: Kept, blocks: Sequence[Block], candidate: int, stable: int) -> Kept:
    """Feed new blocks of both. A block that the gateway did not answer for says nothing."""
    heard = [block for block in blocks if block.duration_s > 0 and GATEWAY not in block.missing]
    if not heard:
        return kept
    rules, state = policy(sequential), codec.from_json(Guard, kept)
    for block in heard:
        arms = block.traffic.get(candidate, Traffic()), block.traffic.get(stable, Traffic())
        state = guard.update(rules, state, block.duration_s, *arms)
    return codec.to_json(state)


def judge(sequential: Sequential, kept: Kept, instances: int, now: float) -> MetricVerdict:
    """Worse or not yet known to be; a canary that nobody asked anything is inconclusive."""
    rules, state = policy(sequential), codec.from_json(Guard, kept)
    sentence = f"{NAME}: {guard.because(rules, state, instances)}"
    if guard.worse(rules, state) >= rules.limit:
        outcome = Outcome.FAIL
    elif state.totals[guard.N_CANARY] == 0:
        outcome, sentence = Outcome.INCONCLUSIVE, f"{NAME}: no request has reached the canary yet"
    else:
        outcome = Outcome.PASS
    return MetricVerdict(NAME, outcome, sequential.on_fail, sentence, now)


def proven(sequential: Sequential, kept: Kept) -> tuple[bool, str]:
    """Whether the canary is proven not to be worse than allowed, and how far the proof is."""
    rules, state = policy(sequential), codec.from_json(Guard, kept)
    evidence, needed = guard.good_enough(rules, state), 1.0 / rules.promotion.alpha
    seen, errors = state.totals[guard.N_CANARY], state.totals[guard.K_CANARY]
    counted = f"canary {errors:,.0f} errors in {seen:,.0f} requests"
    if evidence >= needed:
        return True, f"proven not worse: {counted}; evidence {evidence:,.3g}, {needed:g} needed"
    clean = clean_requests_needed(rules.promotion.floor, rules.promotion.alpha, rules.promotion.floor_weight / 2)
    return False, f"not proven yet: {counted}; evidence {evidence:,.3g} of {needed:g} (about {clean:,} clean requests)"


def outlook(sequential: Sequential, kept: Kept, seconds: float) -> str:
    """What can be seen at this traffic in this time: one sentence, empty before there was traffic."""
    rules, state = policy(sequential), codec.from_json(Guard, kept)
    elapsed, canary, stable, _, errors = state.totals
    if not elapsed or not canary or not stable:
        return ""
    share = max(float(errors) / float(stable), rules.promotion.floor)
    seen = power.Traffic(float(canary + stable) / float(elapsed), float(canary / (canary + stable)), share)
    weight = shipped.WEIGHTS[shipped.ERRORS]
    return power.power(rules.errors, seen, seconds, ratio=2.0, alpha=rules.alpha, weight=weight).because
