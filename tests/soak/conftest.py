"""The clock of `make soak`: TIDEGATE_SOAK_MINUTES in all (30), of which each part gets its share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

import pytest

MINUTES = float(os.environ.get("TIDEGATE_SOAK_MINUTES", "30"))
BEGAN = time.monotonic()

SHARES = {
    "crash points, bad": 0.13,
    "crash points, healthy": 0.24,
    "crash points, memory": 0.12,
    "random kills, a strategy": 0.04,
    "random kills, waves": 0.04,
    "evidence": 0.25,
    "healthy releases": 0.04,
    "gateways": 0.02,
}
"""Of the whole time; random kills are played with four strategies, so that they add up to one."""


class Budget(Protocol):
    """Begins a part's time, or one of several equal pieces of it; what it returns says whether some of it is left."""

    def __call__(self, part: str, pieces: int = 1) -> Callable[[], bool]: ...


@pytest.fixture
def budget() -> Budget:
    """The whole soak's end is every part's end: a slow part takes from those after it."""

    def begin(part: str, pieces: int = 1) -> Callable[[], bool]:
        end = min(time.monotonic() + SHARES[part] / pieces * MINUTES * 60, BEGAN + MINUTES * 60)
        return lambda: time.monotonic() < end

    return begin
