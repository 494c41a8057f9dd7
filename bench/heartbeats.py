"""Heartbeats of very many agents: what they cost, how soon a missed one is noticed, and what a restart does.

python -m bench.heartbeats [--agents 100000] [--connections 15000] [--minutes 4] [--transport http websocket]

The control centre is the real one, on one core, its state in a file; the agents are simulated, on another core, over
real sockets of loopback. There are fewer connections than agents (the machine's limit of open files): identities share
them, as behind an OpAMP gateway.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.heartbeats_agents import Plan
from bench.rows import RESULTS, machine
from tidegate.control.tokens import Tokens
from tidegate.model.release import AgentKey

INTERVAL_S = 30.0
DEADLINE_S = 3 * INTERVAL_S
RAMP_S = 30.0
SILENT = 100
GOALS = {
    "cpu_cores": 1.0,
    "missed_noticed_s": 1.0,
    "false_alarms": 0,
    "restart_back_s": 60.0,
    "restart_declared_dead": 0,
}


class Process:
    """A process whose JSON lines are read as they come."""

    def __init__(self, *arguments: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            (sys.executable, "-m", *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.lines.append(json.loads(text))

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    @property
    def latest(self) -> dict[str, Any]:
        return next((line for line in reversed(self.lines) if "at" in line), {})

    def rss_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def until(condition: Callable[[], object], deadline_s: float, what: str) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(transport: str, agents: int, connections: int, minutes: float) -> dict[str, Any]:
    """One row."""
    cores = sorted(os.sched_getaffinity(0))
    port, folder = free_port(), tempfile.TemporaryDirectory()
    state = str(Path(folder.name) / "state.db")
    token = Tokens(b"k" * 32)
    before = machine()
    start = lambda: Process("bench.heartbeats_centre", state, str(port), str(cores[0]))  # noqa: E731
    centre = start()
    until(lambda: centre.latest.get("listening"), 30, "the control centre listens")
    # One agent holds 20,000 instances at most: the bench has as many agents as it needs.
    crowds = []
    share = 10_000
    count = -(-agents // share)
    for number in range(count):
        of = min(share, agents - number * share)
        plan = Plan(
            port,
            token.make(AgentKey(f"bench{number}", "prod")),
            of,
            max(1, connections * of // agents),
            INTERVAL_S,
            RAMP_S,
            transport == "websocket",
            cores[-1],
        )
        crowds.append(Process("bench.heartbeats_agents", json.dumps(asdict(plan))))
    try:
        return _measured(transport, agents, minutes, (centre, start), crowds) | {"machine": before}
    finally:
        for one in (*crowds, centre):
            if one.process.poll() is None:
                one.kill()
        folder.cleanup()


def _total(crowds: list[Process], what: str) -> int:
    return sum(one.latest.get(what) or 0 for one in crowds)


def _measured(
    transport: str,
    agents: int,
    minutes: float,
    server: tuple[Process, Callable[[], Process]],
    crowds: list[Process],
) -> dict[str, object]:
    centre, start = server
    until(lambda: _total(crowds, "sent") >= agents, 180, "all have reported once")
    time.sleep(10)
    # Steady: nobody joins, nobody leaves, until some fall silent.
    began, cpu = time.monotonic(), centre.latest["cpu_s"]
    marks = [len(one.lines) for one in crowds]
    steady_s = max(45.0, minutes * 60 - DEADLINE_S - 20)
    time.sleep(steady_s)
    cores_used = (centre.latest["cpu_s"] - cpu) / (time.monotonic() - began)
    p99s = sorted(
        line["p99_ms"]
        for one, mark in zip(crowds, marks, strict=True)
        for line in one.lines[mark:]
        if line.get("p99_ms")
    )
    rss, open_ = centre.rss_mb(), _total(crowds, "open")
    # Some fall silent.
    chosen = {(random.randrange(len(crowds)), random.randrange(1000)) for _ in range(SILENT)}
    for crowd, number in chosen:
        crowds[crowd].tell(str(number))
    time.sleep(DEADLINE_S + 20)
    missed = [one for line in centre.lines for one in line["missed"]]
    late = [at - due for _, due, at in missed]
    watched_s = time.monotonic() - began
    false_alarms = len(missed) - len(chosen)
    # The control centre is killed, and starts again with its state.
    centre.kill()
    again = start()
    until(lambda: again.latest.get("listening"), 60, "the control centre listens again")
    back_at = time.monotonic()
    silent = len(chosen)
    until(lambda: again.latest["heard"] >= agents - silent, 180, "all are back")
    back_s = time.monotonic() - back_at
    dead = sum(len(line["missed"]) for line in again.lines)
    again.kill()
    return {
        "transport": transport,
        "agents": agents,
        "connections": open_,
        "interval_s": INTERVAL_S,
        "cpu_cores": round(cores_used, 3),
        "rss_mb": round(rss, 1),
        "p99_ms": round(p99s[len(p99s) // 2], 2),
        "p99_ms_worst_second": round(p99s[-1], 2),
        "missed": len(missed),
        "fell_silent": silent,
        "missed_noticed_s": round(max(late, default=float("inf")), 3),
        "false_alarms": false_alarms,
        "watched_s": round(watched_s),
        "restart_back_s": round(back_s, 1),
        "restart_declared_dead": dead,
        "refused": _total(crowds, "refused"),
    }


def main() -> int:
    """Measure, write bench/results/heartbeats.json, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=min(15_000, hard - 1000))
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--transport", nargs="+", default=["http", "websocket"], choices=["http", "websocket"])
    asked = parser.parse_args()
    path = RESULTS / "heartbeats.json"
    rows = {row["transport"]: row for row in json.loads(path.read_text())["rows"]} if path.exists() else {}
    for transport in asked.transport:
        rows[transport] = measure(transport, asked.agents, asked.connections, asked.minutes)
        print(json.dumps(rows[transport]), flush=True)
        path.write_text(json.dumps({"goals": GOALS, "rows": list(rows.values())}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
