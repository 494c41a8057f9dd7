"""Increments between two readings of counters that may have begun anew in between. Pure.

Envoy's counters begin at nothing when the gateway restarts, is replaced, or drops a cluster and gets it back. A counter
that is lower than before was reset: its new value is then all that is known to have happened since.
Source: the rule of Prometheus' increase(), https://prometheus.io/docs/prometheus/latest/querying/functions/#increase
"""

from collections.abc import Mapping

from tidegate.model.observation import Traffic


def increments(before: Mapping[int, Traffic], after: Mapping[int, Traffic]) -> dict[int, Traffic]:
    """What happened between two cumulative readings, by revision. A revision that is new counts from nothing."""
    return {revision: since(before.get(revision, Traffic()), now) for revision, now in after.items()}


def since(before: Traffic, after: Traffic) -> Traffic:
    """The increment of one revision. One counter's reset is taken as the reset of all: they begin together."""
    if after.requests < before.requests or after.errors < before.errors or _fell(before.latency, after.latency):
        return after
    latency = tuple(new - old for old, new in _aligned(before.latency, after.latency))
    return Traffic(after.requests - before.requests, after.errors - before.errors, latency)


def add(one: Traffic, two: Traffic) -> Traffic:
    """Both together."""
    latency = tuple(a + b for a, b in _aligned(one.latency, two.latency))
    return Traffic(one.requests + two.requests, one.errors + two.errors, latency)


def _aligned(one: tuple[int, ...], two: tuple[int, ...]) -> list[tuple[int, int]]:
    size = max(len(one), len(two))
    return list(zip(one + (0,) * (size - len(one)), two + (0,) * (size - len(two)), strict=True))


def _fell(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    return any(new < old for old, new in _aligned(before, after))
