"""Fixtures that every kind of test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine import Engine, unavailable


@pytest.fixture(scope="session")
def session_engine() -> Iterator[Engine]:
    """One private engine for the whole session, with the busybox image; never reset by itself."""
    if reason := unavailable():
        pytest.skip(reason)
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
    if reason := unavailable():
        pytest.skip(reason)
    with Engine() as engine:
        yield engine
