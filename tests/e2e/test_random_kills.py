"""A seeded sample of kill -9 at random moments, in place; tests/e2e/test_kill.py plays the canary.

tests/soak plays fifty a strategy.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.e2e.random_kills import rollout_with_random_kills, spec_of
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]
SEED, MOST = 3, 3


@pytest.mark.parametrize("strategy", ["in_place"])
def test_killed_at_random_a_rollout_comes_to_its_end(session_engine: Engine, tmp_path: Path, strategy: str) -> None:
    session_engine.reset()
    host = Host(session_engine, tmp_path)
    host.spec = tmp_path / "tidegate.yaml"
    host.spec.write_text(spec_of(strategy))
    try:
        host.deployed("1.0.0")
        assert rollout_with_random_kills(host, strategy, "1.1.0", random.Random(f"{SEED}{strategy}"), MOST)
    finally:
        session_engine.reset()
