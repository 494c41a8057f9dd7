"""Faults on a real host under load: each ends in a clear state, with a reason to read, and stable serves on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.host import Host
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def host(session_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for all of the tests here: web 1.0.0 serves, and serves on through all that is done to it."""
    session_engine.reset()
    host = Host(session_engine, tmp_path_factory.mktemp("faults"))
    host.deployed("1.0.0")
    try:
        yield host
    finally:
        session_engine.reset()


BAD = {
    "exits at once": ({"MODE": "exit"}, "restarted", "cannot find its configuration"),
    "exits at once, not to be restarted": ({"MODE": "exit", "RESTART": "no"}, "exited with 1", "cannot find"),
    "never becomes ready": ({"MODE": "deaf", "READY_DEADLINE": "3s"}, "was not ready within 3 s", "begins as deaf"),
    "is killed for memory": ({"MODE": "hog"}, "killed for want of memory", "fills its memory"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_container_is_taken_back_with_its_last_words(host: Host, fault: str) -> None:
    variables, reason, words = BAD[fault]
    host.version("1.1.0")
    with host.load() as load:
        done = host.tidegate("deploy", VERSION="1.1.0", **variables)
    assert done.code == 3, done
    told = host.explained()
    assert reason in told["reasons"][0], told
    assert any(words in line for line in told["log"]), told["log"]
    assert len(told["log"]) <= 50
    assert load.report["lost"] == 0, load.report
    assert all(name.startswith("web.prod.r1.") for name in host.instances()), host.instances()
