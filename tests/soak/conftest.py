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
    "crash points, bad": 0.12,
    "crash points, healthy": 0.20,
    "crash points, memory": 0.05,
    "random kills, a strategy": 0.05,
    "random kills, waves": 0.06,
    "evidence": 0.20,
    "healthy releases": 0.05,
    "gateways": 0.03,
}
"""Of the whole time; random kills are played with four strategies. What is left is for what takes its own time."""


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
