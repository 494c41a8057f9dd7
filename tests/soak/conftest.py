"""The clock of `make soak`: TIDEGATE_SOAK_MINUTES in all (30), of which each part gets its share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

MINUTES = float(os.environ.get("TIDEGATE_SOAK_MINUTES", "30"))
BEGAN = time.monotonic()

Budget = Callable[[float], Callable[[], bool]]


@pytest.fixture
def budget() -> Budget:
    """budget(0.25) begins a quarter of the time; what it returns says whether some of it is left.

    The whole soak's end is every part's end: a slow part takes from those after it.
    """

    def begin(share: float) -> Callable[[], bool]:
        end = min(time.monotonic() + share * MINUTES * 60, BEGAN + MINUTES * 60)
        return lambda: time.monotonic() < end

    return begin
