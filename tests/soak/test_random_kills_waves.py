"""kill -9 of a fleet's controller at random moments, on two real engines: every host comes to the same end."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.host import until
from tests.e2e.test_cli import Shell
from tests.e2e.test_cli_fleet import SPEC, versions
from tests.engine import Engine
from tests.soak.conftest import Budget

pytestmark = pytest.mark.engine
SEED, KILLS, EACH, LONGEST_S = 13, 50, 5, 3.0


def test_fifty_kills(tmp_path: Path, budget: Budget) -> None:
    left, chance = budget("random kills, waves"), random.Random(SEED)
    with Engine() as first, Engine() as second:
        first.load("tidegate/base-busybox")
        (tmp_path / "tidegate.yaml").write_text(SPEC.format(first=first.url, second=second.url))
        shell = Shell(first, tmp_path)
        assert shell.run("deploy")[0] == 0
        kills = rollouts = 0
        while kills < KILLS and left():
            rollouts += 1
            version = str(rollouts + 1)
            running = shell.start("deploy", VERSION=version)
            for _ in range(min(EACH, KILLS - kills)):
                if not _killed(running, shell, chance):
                    break
                kills += 1
                running = shell.start(chance.choice(("resume", "deploy")), VERSION=version)
            out, err = running.communicate(timeout=180)
            wanted = {f"VERSION={version}"}
            end = time.monotonic() + 60
            while not versions(first) == versions(second) == wanted:
                told = f"{kills} kills, rollout {rollouts}, exit code {running.returncode}:\n{out}\n{err[-3000:]}"
                assert time.monotonic() < end, told
                time.sleep(0.1)
    print(f"waves: {kills} kills in {rollouts} rollouts")
    assert kills


def _killed(running: subprocess.Popen[str], shell: Shell, chance: random.Random) -> bool:
    """Kill it at a random moment after it began to decide; whether it had not ended before."""
    state = shell.folder / "state" / "t.db"

    def decides() -> bool:
        with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True, timeout=10)) as connection:
            row = connection.execute("SELECT expires_at FROM lease WHERE holder != ''").fetchone()
        return row is not None and row[0] > 0

    until(lambda: running.poll() is not None or decides())
    moment = time.monotonic() + chance.uniform(0.0, LONGEST_S)
    while time.monotonic() < moment and running.poll() is None:
        time.sleep(0.01)
    if running.poll() is not None:
        return False
    running.kill()
    running.communicate()
    with closing(sqlite3.connect(state, timeout=10)) as connection, connection:
        connection.execute("UPDATE lease SET expires_at = 0")
    return True
