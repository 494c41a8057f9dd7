"""kill -9 of the controller before and after every call: in memory for every strategy, on a real engine for the canary.

Points are played in a seeded random order, so that a soak that is too short to play all of them plays a sample; how
many were played is printed (pytest -rP). One of the default length fails unless all of them were.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.e2e.killing import Played, Point, rollout_with_kills
from tests.engine import Engine
from tests.property.test_crash import STRATEGIES, VERSIONS, rollout_with_crashes
from tests.soak.conftest import MINUTES, Budget

SEED = 1
LANES = 3
ALL_IN_MINUTES = 30
"""In so long a soak, which is the default, every point must be played."""


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_point_in_memory(tmp_path: Path, budget: Budget, strategy: str) -> None:
    left, played, known = budget("crash points, memory", len(STRATEGIES)), 0, 0
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
    what = f"{strategy}: {played} of {known} points in memory"
    print(what)
    assert played == known or MINUTES < ALL_IN_MINUTES, what


@dataclass(frozen=True)
class Lane:
    """A host of its own, and the versions that were given to it so far."""

    host: Host
    numbers: Iterator[int]

    def play(self, points: list[Point], bad: bool) -> Played:
        """One rollout through kills. Every other one is carried on by `serve` instead of another command."""
        number = next(self.numbers)
        return rollout_with_kills(self.host, f"1.0.{number}", points, bad, "deploy" if number % 2 else "serve")


@pytest.fixture
def lanes(tmp_path: Path) -> Iterator[list[Lane]]:
    """Hosts beside one another: a rollout waits most of its time, for evidence and for a dead controller's lease."""
    with ExitStack() as stack:
        lanes = []
        for number in range(LANES):
            (tmp_path / str(number)).mkdir()
            host = Host(stack.enter_context(Engine()), tmp_path / str(number))
            host.deployed("1.0.0")
            lanes.append(Lane(host, itertools.count(1)))
        yield lanes


@pytest.mark.engine
@pytest.mark.parametrize("bad", [True, False], ids=["bad", "healthy"])
def test_every_point_on_a_real_engine(lanes: list[Lane], budget: Budget, bad: bool) -> None:
    """Clean-up at the end may be done in fewer calls than the first time: what is not reached was not there to do."""
    left = budget(f"crash points, {'bad' if bad else 'healthy'}")
    calls = len(lanes[0].play([], bad).calls[-1])
    points = [Point(call, when) for call in range(1, calls + 1) for when in ("before", "after")]
    random.Random(SEED).shuffle(points)
    waiting = deque(points)
    reached: list[Point] = []

    def work(lane: Lane) -> None:
        while waiting and left():
            reached.extend(lane.play([waiting.popleft()], bad).reached)

    with ThreadPoolExecutor(LANES) as pool:
        list(pool.map(work, lanes))
    played = len(points) - len(waiting)
    what = f"{played} of {len(points)} points ({calls} calls) on real engines in {MINUTES:g} minutes"
    print(f"{'bad' if bad else 'healthy'}: {what}, {len(reached)} reached")
    assert reached
    assert not waiting or MINUTES < ALL_IN_MINUTES, what
