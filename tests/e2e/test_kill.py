"""kill -9 of the controller at exact calls of a rollout, on a real engine under load: whoever comes next carries on.

The points are a seeded sample; tests/soak plays every one of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.e2e.host import Host
from tests.e2e.killing import Point, rollout_with_kills
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

SEED = 7
CALLS = 8
"""A rollout of two replicas makes at least so many calls: each of the points of a sample is reached."""


@pytest.fixture
def host(session_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    session_engine.reset()
    host = Host(session_engine, tmp_path_factory.mktemp("kill"))
    host.deployed("1.0.0")
    try:
        yield host
    finally:
        session_engine.reset()


def sample(seed: int) -> list[Point]:
    """Three points: each counts from the one before, so they are spread over the rollout."""
    chance = random.Random(seed)
    return [Point(chance.randint(1, CALLS // 2), chance.choice(("before", "after"))) for _ in range(3)]


@pytest.mark.parametrize(("bad", "successor"), [(False, "deploy"), (True, "serve")])
def test_killed_again_and_again_a_rollout_comes_to_the_same_end(host: Host, bad: bool, successor: str) -> None:
    points = sample(SEED + bad)
    assert rollout_with_kills(host, "1.1.0", points, bad, successor).reached == tuple(points)
