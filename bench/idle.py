"""What Tidegate takes while it has nothing to do, and how soon it says its first word.

Both controllers watch one agent of two instances behind the gateway, asked /ready once a second, without requests: the
temporary one stays with `deploy --wait` at a step that waits for a person, with the default analysis loaded; `serve`
after the rollout. Heartbeats are listened for, as by default. What answers them and what weighs evidence (numpy) are
loaded with the first heartbeat and the first request: the temporary one is looked at once more after some requests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.rows import Row, median
from tests.e2e.host import LISTEN, PROGRAM, ROOT, Host, Running, until
from tests.engine import Engine

WATCH_S = float(os.environ.get("TIDEGATE_BENCH_IDLE_S", "20"))
SETTLE_S = 3.0
HELPS = 21
REQUESTS = 100
SPEC = """agent: web
workload:
  image: web:${VERSION}
  command: [sh, -c, "trap 'exit 0' TERM; mkdir -p /www; echo ok > /www/ready; httpd -f -p 8080 -h /www & wait"]
  deploy: {replicas: 2}
probes:
  readiness:
    httpGet: {path: /ready, port: 8080}
    period: 1s
routes: [{listen: "18080", target: 8080}]
environments:
  prod: {}
strategy:
  canary:
    steps: [{set_weight: 50}, {pause: {}}]
    bake: 0s
    drain: 5s
"""


def _taken(pid: int) -> tuple[float, float]:
    """Processor seconds and resident MB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _watched(running: Running, who: str) -> list[Row]:
    time.sleep(SETTLE_S)
    before, _ = _taken(running.process.pid)
    time.sleep(WATCH_S)
    after, resident = _taken(running.process.pid)
    return [
        Row(f"{who}, resident", round(resident, 1), "MB", "goal: < 80 MB"),
        Row(f"{who}, processor", round(100 * (after - before) / WATCH_S, 2), "% of a core", "goal: < 1 %"),
    ]


def first_word() -> list[Row]:
    """`tidegate --help` as a whole process."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", PROGRAM, "--help"]
    took = []
    for _ in range(HELPS):
        began = time.perf_counter()
        subprocess.run(command, env=environ, check=True, capture_output=True)
        took.append((time.perf_counter() - began) * 1000)
    bare = []
    for _ in range(HELPS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare.append((time.perf_counter() - began) * 1000)
    return [
        Row("tidegate --help, whole process", round(median(took), 1), "ms", "goal: < 150 ms"),
        Row("python -c pass, whole process", round(median(bare), 1), "ms", "part of the above"),
    ]


def measure() -> list[Row]:
    """The rows."""
    rows = first_word()
    with Engine() as engine, tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        spec = Path(folder) / "tidegate.yaml"
        spec.write_text(SPEC)
        host = Host(engine, Path(folder), spec, {"TIDEGATE_AGENTS_PORT": "4319"})
        for version in ("1.0.0", "1.1.0"):
            engine.docker("tag", engine.load("tidegate/base-busybox"), f"web:{version}")
        done = host.tidegate("deploy", VERSION="1.0.0")
        assert done.code == 0, done
        running = host.begin("deploy", "--wait", VERSION="1.1.0")
        try:
            until(lambda: host.phase() == "paused")
            rows += _watched(running, "temporary controller, idle")
            for _ in range(REQUESTS):
                urllib.request.urlopen(f"http://{engine.address}:{LISTEN}/ready", timeout=5).close()
            time.sleep(SETTLE_S)
            _, resident = _taken(running.process.pid)
            about = "no goal: with numpy, which its first request loads"
            rows.append(Row("temporary controller, after requests, resident", round(resident, 1), "MB", about))
        finally:
            running.stop()
        with host.serving() as serving:
            host.tidegate("abort", "--reason", "bench")
            until(lambda: host.phase() == "aborted")
            rows += _watched(serving, "tidegate serve, idle")
    return rows


if __name__ == "__main__":
    for row in measure():
        print(row)
