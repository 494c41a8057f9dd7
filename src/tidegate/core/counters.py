"""From cumulative counters to what happened in between, whatever resets on the way."""

from collections.abc import Mapping

from tidegate.model.observation import Traffic


def increments(before: Mapping[int, Traffic], after: Mapping[int, Traffic]) -> dict[int, Traffic]:
    """What each revision's requests did between two readings.

    A counter that went down was reset in between: what it shows now is then all that is known to have happened (the
    reading of Prometheus' rate()). A revision seen for the first time counts from its first reading on.
    """
    return {number: _since(before[number], now) for number, now in after.items() if number in before} | {
        number: Traffic() for number in after if number not in before
    }


def _since(before: Traffic, now: Traffic) -> Traffic:
    if now.requests < before.requests or now.errors < before.errors:
        return now
    if len(before.latency) != len(now.latency) or any(a > b for a, b in zip(before.latency, now.latency, strict=True)):
        latency = now.latency
    else:
        latency = tuple(b - a for a, b in zip(before.latency, now.latency, strict=True))
    return Traffic(now.requests - before.requests, now.errors - before.errors, latency)
