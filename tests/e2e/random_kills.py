"""kill -9 of the controller at random moments of a rollout on a real engine, for every strategy; what holds at its end.

The ten seconds of a dead controller's lease are not waited for: the test ends the lease, as those seconds would.
Where nobody helps, tests/e2e/test_kill.py waits.
"""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass

from tests.e2e.host import SPECS, Host, Running, until

ENDED = ("promoted", "rolled_back", "aborted", "failed")
LONGEST_S = 1.5
"""A controller dies at most so long after it began to decide: long enough for every phase, short enough for many."""

STRATEGIES = {
    "canary": "canary: {steps: [{set_weight: 20}, {analyse: 2s}, {set_weight: 50}], bake: 3s, drain: 2s}",
    "rolling": "rolling: {max_surge: 1, min_ready: 500ms, bake: 3s, drain: 2s}",
    "blue_green": "blue_green: {preview: {listen: 18090}, bake: 3s, keep: 0s, drain: 2s}",
    "in_place": "in_place: {backup: {volumes: [{name: precious, restore: true}]}, bake: 3s}",
}


def spec_of(strategy: str) -> str:
    """web.yaml with another strategy. In place there is one instance, with a volume that is backed up."""
    text = (SPECS / "web.yaml").read_text()
    head, _, rest = text.partition("\nstrategy:\n")
    text = f"{head}\nstrategy:\n  {STRATEGIES[strategy]}\n{rest[rest.index(chr(10) + 'analysis:') :]}"
    if strategy != "in_place":
        return text
    assert '"${TROUBLE}:/trouble:ro"]' in text
    text = text.replace('"${TROUBLE}:/trouble:ro"]', '"${TROUBLE}:/trouble:ro", "precious:/data"]')
    return text.replace("${REPLICAS:-2}", "1")


@dataclass
class Killer:
    """Kills as chance has it. `kills` counts."""

    host: Host
    chance: random.Random
    kills: int = 0
    last: Running | None = None

    def sees_through(self, running: Running, successor: str, most: int, over: str, **variables: str) -> None:
        """Kill whoever decides at most so often; then let the last one come to the end of the version's rollout."""
        try:
            self._see(running, successor, most, over, **variables)
        finally:
            if self.last is not None and self.last.process.poll() is None:
                self.last.kill()  # it would decide over the next test's host too

    def _see(self, running: Running, successor: str, most: int, over: str, **variables: str) -> None:
        epoch = done = 0
        self.last = running
        while done < most:
            epoch = self._begun(running, epoch)
            moment = time.monotonic() + self.chance.uniform(0.0, LONGEST_S)
            while time.monotonic() < moment and running.process.poll() is None:
                time.sleep(0.01)
            if running.process.poll() is not None or self.host.phase(over) in ENDED:
                break
            running.kill()
            done += 1
            self.kills += 1
            self.end_lease()
            self.last = running = self.host.begin(successor, **variables)
        if successor == "serve" and done:
            until(lambda: self.host.phase(over) in ENDED and not self.host.stored().get("retiring"))
            until(lambda: self._calm(running))
            running.stop()
        else:
            running.wait()

    def _begun(self, running: Running, epoch: int) -> int:
        """Wait until it decides, or has ended; the epoch in force."""
        until(lambda: self._epoch() > epoch or running.process.poll() is not None)
        return self._epoch()

    def end_lease(self) -> None:
        """As if the dead controller's ten seconds were over."""
        with closing(sqlite3.connect(self.host.state, timeout=10)) as connection, connection:
            connection.execute("UPDATE lease SET expires_at = 0")

    def _epoch(self) -> int:
        if not self.host.state.exists():
            return 0
        with closing(sqlite3.connect(f"file:{self.host.state}?mode=ro", uri=True, timeout=10)) as connection:
            row = connection.execute("SELECT epoch FROM lease WHERE holder != ''").fetchone()
        return int(row[0]) if row else 0

    def _calm(self, running: Running) -> bool:
        """Nothing is left over: as many containers as one revision has."""
        assert running.process.poll() is None, running.err.read_text()[-2000:]
        return len({name.rsplit(".", 1)[0] for name in self.host.instances()}) == 1


def rollout_with_random_kills(host: Host, strategy: str, version: str, chance: random.Random, most: int) -> int:
    """One rollout, good or bad by chance, whose controller dies up to `most` times. Returns how often it did."""
    bad = chance.random() < 0.4
    successor = chance.choice(("deploy", "serve", "resume"))
    host.version(version)
    variables = {"VERSION": version, "FAIL_EVERY": "3" if bad else "0"}
    before = {name: host.engine.inspect(name)["Id"] for name in host.instances()}
    killer = Killer(host, chance)
    with host.load(rate=20.0) as load:
        killer.sees_through(host.begin("deploy", **variables), successor, most, version, **variables)
    told = f"{strategy} {version} bad={bad} {successor}, {killer.kills} kills: {load.report}"
    assert host.phase(version) == ("rolled_back" if bad else "promoted"), f"{told}\n{host.explained()}"
    after = {name: host.engine.inspect(name)["Id"] for name in host.instances()}
    kept = set(after) == set(before) if strategy == "rolling" else after == before  # rolling back makes them anew
    assert kept is bad, f"{told}: {before} -> {after}"
    assert len(after) == (1 if strategy == "in_place" else 2), f"{told}: {after}"
    assert all(host.engine.inspect(name)["State"]["Running"] for name in after), told
    if strategy != "in_place":
        assert load.report["lost"] == 0, told
    return killer.kills
