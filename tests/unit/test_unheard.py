"""The sequential engine before its first request: the same evidence, with nothing loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tidegate.core.analysis import sequential, unheard
from tidegate.core.analysis.unheard import NEW
from tidegate.model.metering import GATEWAY
from tidegate.model.observation import Block, Traffic
from tidegate.model.spec import Sequential

STABLE, CANARY = 1, 2


def block(at: float, canary: int = 0, stable: int = 0, missing: dict[str, str] | None = None) -> Block:
    traffic = {CANARY: Traffic(canary), STABLE: Traffic(stable)}
    return Block(at, 1.0, traffic, missing=missing or {})


def test_silence_counts_its_seconds_and_what_was_not_heard_counts_for_nothing() -> None:
    kept = unheard.take(NEW, [block(1), block(2), block(3, missing={GATEWAY: "away"})])
    assert kept == {unheard.SECONDS: 2.0}
    assert unheard.is_unheard(kept)
    assert unheard.silent([block(1), block(2, stable=3, missing={GATEWAY: "away"})], CANARY, STABLE)
    assert not unheard.silent([block(1, stable=1)], CANARY, STABLE)


def test_the_engine_goes_on_from_silence_as_if_it_had_been_there() -> None:
    rules = Sequential()
    quiet, loud = [block(at) for at in range(5)], [block(5 + at, 5, 50) for at in range(60)]
    late = sequential.take(rules, unheard.take(NEW, quiet), loud, CANARY, STABLE)
    there = sequential.take(rules, sequential.begin(rules, [], STABLE), [*quiet, *loud], CANARY, STABLE)
    assert sequential.totals(late) == sequential.totals(there)
    assert sequential.worse(rules, late) == pytest.approx(sequential.worse(rules, there))


def test_no_arithmetic_is_loaded_for_it() -> None:
    said = "import sys; import tidegate.core.analysis.unheard, tidegate.core.rollout; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
