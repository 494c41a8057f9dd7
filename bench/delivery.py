"""Tidegate's own time in a delivery, over the bare docker commands doing the same.

Both sides build a commit from the builder's cache, start the new container, wait until it answers /ready (asked every
50 ms), and stop and remove the former one. Tidegate is the command line as a person types it, start-up and all, and
also moves the gateway's traffic, keeps its journal, and takes and gives back its lease. The two sides take turns.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.rows import Row, median
from tests.e2e.host import Host
from tests.engine import Engine

ROUNDS = int(os.environ.get("TIDEGATE_BENCH_DELIVERIES", "8"))
PROBE_S = 0.05
DOCKERFILE = """FROM {base}
COPY version /version
COPY serve.sh /serve.sh
CMD ["sh", "/serve.sh"]
"""
SERVE = """trap 'kill $!; exit 0' TERM
mkdir -p /www && cp /version /www/ready
sleep 0.3
httpd -f -p 8080 -h /www &
wait
"""
SPEC = """agent: web
build: {{dockerfile: Dockerfile}}
workload: {{}}
probes:
  readiness:
    httpGet: {{path: /ready, port: 8080}}
    period: 50ms
{routes}
environments:
  prod: {{}}
strategy:
  canary:
    steps: [{{set_weight: 100}}]
    bake: 0s
    drain: 5s
analysis: {{metrics: []}}
"""
ROUTES = 'routes: [{listen: "18080", target: 8080}]'
GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org")


class Repository:
    """An agent with two commits that are delivered in turn; both are in the builder's cache."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "Dockerfile").write_text(DOCKERFILE.format(base=base))
        (folder / "serve.sh").write_text(SERVE)
        self.spec = folder / "tidegate.yaml"
        self.route(ROUTES)
        self._git("init", "-q", "-b", "main")
        self.commits = [self._commit(version) for version in ("1.0.0", "1.1.0")]

    def route(self, routes: str) -> None:
        """Change the spec's routes; the commits stay."""
        self.spec.write_text(SPEC.format(routes=routes))

    def _commit(self, version: str) -> str:
        (self.folder / "version").write_text(version)
        self._git("add", "-A")
        self._git("commit", "-q", "-m", version)
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run([*GIT, *arguments], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()


class Bare:
    """The bare commands: what a careful person would type, with the quickest poll there is for health."""

    def __init__(self, engine: Engine, repository: Repository) -> None:
        self._engine = engine
        self._repository = repository
        self._count = 0
        self.took: dict[str, list[float]] = {}
        engine.docker("network", "create", "--subnet", engine.subnet(0), "bare")

    def deliver(self, commit: str) -> None:
        """One delivery."""
        self._count += 1
        name, former = f"bare-{self._count}", f"bare-{self._count - 1}"
        with self._step("build"):
            self._build(commit)
        with self._step("create"):
            self._engine.docker("create", "--name", name, "--network", "bare", f"bare:{commit[:12]}")
        with self._step("start"):
            self._engine.docker("start", name)
        with self._step("ready"):
            self._ready(name)
        if self._count > 1:
            with self._step("stop"):
                self._engine.docker("stop", former)
            with self._step("remove"):
                self._engine.docker("rm", former)

    def _build(self, commit: str) -> None:
        archive = subprocess.Popen(["git", "archive", commit], cwd=self._repository.folder, stdout=subprocess.PIPE)
        command = ["docker", "--host", self._engine.url, "build", "-q", "-t", f"bare:{commit[:12]}", "-"]
        environ = {**os.environ, "DOCKER_BUILDKIT": "0"}
        subprocess.run(command, stdin=archive.stdout, env=environ, check=True, capture_output=True)
        archive.wait()

    def _ready(self, name: str) -> None:
        format_ = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = self._engine.docker("inspect", "-f", format_, name).strip()
        while True:
            began = time.monotonic()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}:8080/ready", timeout=1):
                return
            time.sleep(max(0.0, began + PROBE_S - time.monotonic()))

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.took.setdefault(name, []).append(time.perf_counter() - began)


def timed(work: Callable[[str], object], commit: str) -> float:
    """Seconds."""
    began = time.perf_counter()
    work(commit)
    return time.perf_counter() - began


def measure() -> list[Row]:
    """The rows."""
    with Engine() as engine, tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        base = engine.load("tidegate/base-busybox")
        repository = Repository(Path(folder) / "agent", base)
        host = Host(engine, Path(folder), repository.spec)
        bare = Bare(engine, repository)
        ours, theirs, cpu, began = [], [], [], []

        def deliver(commit: str) -> None:
            at, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
            done = host.tidegate("deliver", commit)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert done.code == 0, done
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            began.append(next(event["at"] for event in host.events("stage") if event["at"] > at) - at)

        for turn in range(ROUNDS + 2):  # the first two fill the caches and have no former version
            commit = repository.commits[turn % 2]
            theirs.append(timed(bare.deliver, commit))
            ours.append(timed(deliver, commit))
        operations: dict[str, list[float]] = {}
        for event in host.events("operation"):
            operations.setdefault(event["because"].split()[0], []).append(event["data"]["took_s"])
    own, base_s = median(ours[2:]), median(theirs[2:])
    rows = [
        Row("delivery by tidegate deliver", round(own * 1000, 1), "ms", "the bare commands in the same run"),
        Row("the same by bare docker commands", round(base_s * 1000, 1), "ms", "-"),
        Row("own time over the bare commands", round(100 * (own / base_s - 1), 1), "%", "goal: < 3 %"),
        Row("processor time of tidegate deliver", round(median(cpu[2:]) * 1000), "ms", "all of it, start-up included"),
        Row(
            "tidegate deliver until its first stage is done", round(median(began[2:]) * 1000), "ms", "part of the above"
        ),
    ]
    rows += [Row(f"docker {step}", round(median(t[2:] or t) * 1000, 1), "ms", "-") for step, t in bare.took.items()]
    rows += [Row(f"operation {step}", round(median(t) * 1000, 1), "ms", "-") for step, t in operations.items()]
    return rows


if __name__ == "__main__":
    for row in measure():
        print(row)
