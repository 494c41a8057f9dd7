"""Two controllers at once: one is frozen for longer than its lease, another takes over, then the first one wakes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.host import Host, until
from tests.e2e.random_kills import spec_of
from tests.engine import Engine
from tidegate.controller.lease import TTL_S

pytestmark = pytest.mark.engine
ENDED = ("promoted", "rolled_back", "aborted", "failed")


@pytest.mark.parametrize(("strategy", "bad"), [("canary", True), ("blue_green", False), ("rolling", True)])
def test_a_frozen_controller_wakes_beside_its_successor(
    session_engine: Engine, tmp_path: Path, strategy: str, bad: bool
) -> None:
    session_engine.reset()
    host = Host(session_engine, tmp_path)
    host.spec = tmp_path / "tidegate.yaml"
    host.spec.write_text(spec_of(strategy))
    host.deployed("1.0.0")
    host.version("1.1.0")
    variables = {"VERSION": "1.1.0", "FAIL_EVERY": "3" if bad else "0"}
    first = second = None
    try:
        with host.load(rate=20.0) as load:
            first = host.begin("deploy", **variables)
            until(lambda: host.phase("1.1.0") not in ("", "preparing", "starting"))
            first.process.send_signal(signal.SIGSTOP)
            second = host.begin("serve", **variables)
            time.sleep(TTL_S)
            until(lambda: "deciding now" in second.err.read_text())
            first.process.send_signal(signal.SIGCONT)
            until(lambda: host.phase("1.1.0") in ENDED and len(host.instances()) == 2)
            told = first.wait()
            second.stop()
        assert host.phase("1.1.0") == ("rolled_back" if bad else "promoted"), host.explained()
        assert told.code == (3 if bad else 0), told
        assert load.report["lost"] == 0, load.report
    finally:
        for one in (first, second):
            if one is not None and one.process.poll() is None:
                one.kill()
        session_engine.reset()
