"""kill -9 of the controller before and after every call: in memory for every strategy, on a real engine for the canary.

Points are played in a seeded random order, so that a soak that is too short to play all of them plays others next to
the same ones; how many were played is printed, and told in the test's own output (pytest -rP).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.e2e.killing import Point, rollout_with_kills
from tests.engine import Engine
from tests.property.test_crash import STRATEGIES, VERSIONS, rollout_with_crashes
from tests.soak.conftest import MINUTES, Budget

SEED = 1


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_point_in_memory(tmp_path: Path, budget: Budget, strategy: str) -> None:
    left, played, known = budget(0.15 / len(STRATEGIES)), 0, 0
    for version in sorted(VERSIONS):
        calls = asyncio.run(rollout_with_crashes(tmp_path / f"{version}.db", version, [], strategy=strategy))
        points = [(call, when) for call in range(1, calls + 1) for when in ("before", "after")]
        random.Random(SEED).shuffle(points)
        known += len(points)
        for call, when in points:
            if not left():
                break
            path = tmp_path / f"{version}-{call}-{when}.db"
            asyncio.run(rollout_with_crashes(path, version, [(call, when)], strategy=strategy))
            played += 1
    print(f"{strategy}: {played} of {known} points in memory")
    assert played


@pytest.fixture
def host(session_engine: Engine, tmp_path: Path) -> Iterator[Host]:
    session_engine.reset()
    host = Host(session_engine, tmp_path)
    host.deployed("1.0.0")
    try:
        yield host
    finally:
        session_engine.reset()


@pytest.mark.engine
@pytest.mark.parametrize("bad", [True, False], ids=["bad", "healthy"])
def test_every_point_on_a_real_engine(host: Host, budget: Budget, bad: bool) -> None:
    left = budget(0.2 if bad else 0.34)
    calls = len(rollout_with_kills(host, "1.0.1", [], bad).calls[-1])
    points = [Point(call, when) for call in range(1, calls + 1) for when in ("before", "after")]
    random.Random(SEED).shuffle(points)
    played = 0
    for number, point in enumerate(points, 2):
        if not left():
            break
        # Clean-up at the end may be done in fewer calls than the first time: what is not reached was not there to do.
        rollout_with_kills(host, f"1.0.{number}", [point], bad, "deploy" if number % 2 else "serve")
        played += 1
    print(f"{'bad' if bad else 'healthy'}: {played} of {len(points)} points on a real engine in {MINUTES:g} minutes")
    assert played
