"""Fixtures that every kind of test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.engine import Engine, unavailable


def _need_engine() -> None:
    """Skip where no private engine can be had; fail where one was promised (make test, CI)."""
    reason = unavailable()
    if reason and os.environ.get("TIDEGATE_REQUIRE_ENGINE"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def session_engine() -> Iterator[Engine]:
    """One private engine for the whole session, with the busybox image; never reset by itself."""
    _need_engine()
    with Engine() as engine:
        engine.load("tidegate/base-busybox")
        yield engine


@pytest.fixture
def engine(session_engine: Engine) -> Iterator[Engine]:
    """The session's engine, emptied of containers, networks and volumes after each test."""
    try:
        yield session_engine
    finally:
        session_engine.reset()


@pytest.fixture
def fresh_engine() -> Iterator[Engine]:
    """An engine of the test's own, for tests that break it; about a second."""
    _need_engine()
    with Engine() as engine:
        yield engine
