"""Faults that evidence has to find, on a real host under load, all judged by specs/evidence.yaml as it stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.e2e.host import SPECS, Host, Load, Ran, until
from tests.engine import Engine
from tidegate.adapters.store.packing import unpack

RATE = 60.0
"""Requests a second; a busy machine with two cores must serve them beside everything else."""
PAST_S = 30
"""Seconds of stable alone before the first candidate: what came before is no evidence in its first 20 s."""


class Fault(NamedTuple):
    """What is wrong with a version, and what the reason must say (one of them: whichever evidence comes first).

    One that `dies` cuts off the requests that it had: those are its own faults, though only the gateway tells of them.
    """

    variables: dict[str, str]
    words: tuple[str, ...]
    dies: bool = False

    def told_by(self, reason: str) -> bool:
        return any(words in reason for words in self.words)


FAULTS = {
    "errors x5": Fault({"ERRORS": "0.05"}, ("errors in",)),
    "latency +100 %": Fault({"LATENCY_MS": "30"}, ("slower than",)),
    "a slow leak": Fault({"LEAK_KB_S": "600"}, ("memory: canary",)),
    "a crash loop": Fault({"CRASH_AFTER": "1.5"}, ("restarted", "slower than", "errors in"), dies=True),
    "one bad instance in three": Fault({"BAD_INSTANCE": "0.3"}, ("errors in",)),
}


@contextmanager
def watched(engine: Engine, folder: Path) -> Iterator[tuple[Host, Load]]:
    """Version 1.0.0 serves and was watched for a while, under load, by a controller that stays."""
    engine.reset()
    host = Host(engine, folder, SPECS / "evidence.yaml")
    host.trouble.chmod(0o777)
    engine.docker("tag", host.base, "shaky:1.0.0")
    try:
        with host.serving():
            done = host.tidegate("deploy", VERSION="1.0.0")
            assert done.code == 0, done
            with host.load(rate=RATE) as load:
                until(lambda: requests_seen(host) >= PAST_S * RATE / 2, 4 * PAST_S)
                yield host, load
    finally:
        engine.reset()


def requests_seen(host: Host) -> int:
    """Requests that the journal has of the only agent there is."""
    with closing(sqlite3.connect(f"file:{host.state}?mode=ro", uri=True, timeout=10)) as connection:
        payloads = [row[0] for row in connection.execute("SELECT payload FROM blocks")]
    return sum(arm.requests for one in payloads for block in unpack(one) for arm in block.traffic.values())


def deployed(host: Host, version: str, timeout_s: float = 300.0, **variables: str) -> Ran:
    """Deploy a version of the shaky agent and see it to its end."""
    if host.phase() not in ("promoted", "rolled_back", "aborted"):
        host.tidegate("abort")  # what a test before this one left under way
    host.engine.docker("tag", host.base, f"shaky:{version}")
    return host.tidegate("deploy", timeout_s=timeout_s, VERSION=version, **variables)
