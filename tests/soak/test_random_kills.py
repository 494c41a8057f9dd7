"""kill -9 of the controller at random moments on a real engine, 50 times a strategy. Nothing may be lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.e2e.random_kills import STRATEGIES, rollout_with_random_kills, spec_of
from tests.engine import Engine
from tests.soak.conftest import Budget

pytestmark = pytest.mark.engine
SEED, KILLS, EACH = 11, 50, 5


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_fifty_kills(session_engine: Engine, tmp_path: Path, budget: Budget, strategy: str) -> None:
    session_engine.reset()
    left, chance = budget("random kills, a strategy"), random.Random(f"{SEED}{strategy}")
    host = Host(session_engine, tmp_path)
    host.spec = tmp_path / "tidegate.yaml"
    host.spec.write_text(spec_of(strategy))
    host.deployed("1.0.0")
    kills, rollouts = 0, 0
    while kills < KILLS and left():
        rollouts += 1
        kills += rollout_with_random_kills(host, strategy, f"1.{rollouts}.0", chance, min(EACH, KILLS - kills))
    print(f"{strategy}: {kills} kills in {rollouts} rollouts")
    session_engine.reset()
    assert kills
