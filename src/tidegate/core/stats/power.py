"""What can be seen at this traffic in the time given (H). Before a step and while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.core.stats.stream import Kind, StreamPolicy


@dataclass(frozen=True)
class Traffic:
    """Expected traffic: requests per second of both arms together, the canary's part of them, stable's share of
    events, and the dispersion (1: none)."""

    per_second: float
    canary_part: float
    share: float
    phi: float = 1.0


@dataclass(frozen=True)
class Power:
    """`needed` requests (both arms) for `ratio` to be found, `expected` within the time; inf where it never is."""

    ratio: float
    needed: float
    expected: float
    seconds: float

    @property
    def decidable(self) -> bool:
        """Whether the traffic suffices."""
        return self.expected >= self.needed

    @property
    def because(self) -> str:
        """One sentence with the numbers."""
        needed = f"{self.needed:,.0f}" if math.isfinite(self.needed) else "no number of"
        word = "decidable" if self.decidable else "undecidable"
        return f"{word} at this traffic: {self.expected:,.0f} requests expected, {needed} needed for x{self.ratio:g}"


def growth(policy: StreamPolicy, traffic: Traffic, ratio: float) -> float:
    """Expected log-evidence per request (of either arm) of the best bet of the policy, in nats, at the true `ratio`."""
    w, p, r0 = traffic.canary_part, traffic.share, policy.null_ratio
    if not 0.0 < w < 1.0 or not 0.0 < p < 1.0:
        return 0.0
    best = 0.0
    for bet in policy.prior.ratios:
        match policy.kind:
            case Kind.COUNTS:
                shrink = math.log((w * r0 + 1 - w) / (w * bet + 1 - w))
                rate = p * (w * ratio * math.log(bet / r0) + (w * ratio + 1 - w) * shrink)
            case Kind.SHARES:
                rate = _share_growth(w, p, r0, bet, ratio)
        best = max(best, rate)
    return best / max(1.0, traffic.phi)


def _share_growth(w: float, p: float, r0: float, bet: float, ratio: float) -> float:
    def lifted(odds: float) -> float:
        return odds * p / (1.0 + (odds - 1.0) * p)

    total = w * lifted(bet) + (1 - w) * p
    a, b = (1 - w) * (r0 - 1.0), w * r0 + (1 - w) - total * (r0 - 1.0)
    x = 2.0 * total / (b + math.sqrt(b * b + 4.0 * a * total))
    null = r0 * x / (1.0 + (r0 - 1.0) * x)

    def gain(truth: float, alternative: float, reference: float) -> float:
        return truth * math.log(alternative / reference) + (1 - truth) * math.log((1 - alternative) / (1 - reference))

    return w * gain(lifted(ratio), lifted(bet), null) + (1 - w) * gain(p, p, x)


def requests_needed(
    policy: StreamPolicy, traffic: Traffic, ratio: float, *, alpha: float, weight: float = 1.0
) -> float:
    """Requests of both arms until the evidence for a true `ratio` is expected to reach 1 / alpha, when the metric holds
    `weight` of the shared evidence. About half of such canaries are found by then."""
    rate = growth(policy, traffic, ratio)
    if rate <= 0.0:
        return math.inf
    near = min(range(len(policy.prior.ratios)), key=lambda i: abs(math.log(policy.prior.ratios[i] / ratio)))
    stake = weight * policy.prior.at_start * max(policy.prior.weights[near], 1e-9)
    return math.log(1.0 / (alpha * stake)) / rate


def power(
    policy: StreamPolicy,
    traffic: Traffic,
    seconds: float,
    *,
    ratio: float = 2.0,
    alpha: float = 0.01,
    weight: float = 1.0,
) -> Power:
    """Whether a canary `ratio` times worse can be found within `seconds`."""
    needed = requests_needed(policy, traffic, ratio, alpha=alpha, weight=weight)
    return Power(ratio, needed, traffic.per_second * seconds, seconds)


def smallest_visible(
    policy: StreamPolicy, traffic: Traffic, seconds: float, *, alpha: float = 0.01, weight: float = 1.0
) -> float:
    """The smallest ratio that can be found within `seconds` (to 1 %); inf where even x100 cannot."""

    def seen(ratio: float) -> bool:
        return power(policy, traffic, seconds, ratio=ratio, alpha=alpha, weight=weight).decidable

    low, high = policy.null_ratio, 100.0
    if not seen(high):
        return math.inf
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high
