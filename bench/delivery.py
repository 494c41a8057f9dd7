"""Tidegate's own time in a delivery, over the bare docker commands doing the same.

Both sides build a commit from the builder's cache, start the new container, wait until it answers /ready (the bare side
asks every 50 ms; Tidegate does too, and every 10 to 30 ms while nothing listens yet), and stop and remove the former
one; they take turns. Tidegate also reads what changed since the last delivery, moves the gateway's traffic and keeps
its journal on the disk, for which the bare side has nothing. Three ways to have it done:

- running: a controller that runs already and is asked in its own process, as `serve` is by a web hook
- served: `tidegate deliver COMMIT` as a person types it, start-up and all, while `tidegate serve` decides
- command: the same command where nobody decides: it is its own temporary controller
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.rows import Row, median
from tests.e2e.host import Host
from tests.e2e.real import KEY
from tests.engine import Engine
from tidegate.controller.controller import Controller
from tidegate.controller.lease import Lease
from tidegate.core.delivery import rollout_intent
from tidegate.model.event import Event, EventKind
from tidegate.model.rollout import AgentState, Phase
from tidegate.pipeline.deliver import Asked, new_delivery
from tidegate.spec import load_spec
from tidegate.wiring import Toolbox

Logged = Callable[[], Awaitable[list[Event]]]
Deliver = Callable[[str], Awaitable[Logged]]
"""Of a commit; what reads what was logged of the delivery, which is no part of it."""

SPARE = 2
"""Rounds before those that count: they fill the caches and have no former version."""

ROUNDS = int(os.environ.get("TIDEGATE_BENCH_DELIVERIES", "8"))
PROBE_S = 0.05
BARE = "the same commits in turns: docker build (cached), create, start, /ready each 50 ms, stop, rm; no gateway"
STARTED = "goal: < 3 %; in it one start of Python with Tidegate's modules, beside it six of the docker client"
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


@dataclass
class Compared:
    """One way to deliver and the bare commands, in turns; seconds."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def rows(self, how: str, about: str, goal: str) -> list[Row]:
        """The two medians and their ratio."""
        own, base = median(self.ours[SPARE:]) * 1000, median(self.bare[SPARE:]) * 1000
        return [
            Row(f"delivery {how}", round(own, 1), "ms", about),
            Row(f"bare docker commands beside it ({how})", round(base, 1), "ms", BARE),
            Row(f"own time over the bare commands, {how}", round(100 * (own / base - 1), 1), "%", goal),
        ]


async def _compare(
    bare: Bare, commits: Sequence[str], deliver: Callable[[str], Awaitable[Callable[[], Awaitable[None]]]]
) -> Compared:
    """`deliver` gives what is to be done afterwards, when its time is over."""
    found = Compared()
    for turn in range(ROUNDS + SPARE):
        commit = commits[turn % 2]
        began = time.perf_counter()
        await asyncio.to_thread(bare.deliver, commit)
        between = time.perf_counter()
        afterwards = await deliver(commit)
        found.bare.append(between - began)
        found.ours.append(time.perf_counter() - between)
        await afterwards()
    return found


@contextlib.asynccontextmanager
async def running(engine: Engine, folder: Path, spec_file: Path) -> AsyncIterator[Deliver]:
    """A controller in this process, wired as `serve` is, and what delivers a commit through it."""
    engine.load("tidegate/gateway")
    places = {"DOCKER_HOST": engine.url, "TIDEGATE_STATE": str(folder / "running.db")}
    toolbox = Toolbox({**places, "TIDEGATE_SUBNET": engine.subnet(1), "TIDEGATE_AGENTS_PORT": "off"})
    spec, books = load_spec(spec_file, {}), await toolbox.books()
    site = await toolbox.site(books, spec.environments[KEY.environment], folder)
    lease, stop = await Lease.take(books.lease, site.ports.clock, "bench"), asyncio.Event()
    site.ports.gateway.fence(lease.epoch)
    controller = Controller(site.ports, lease)
    deciding = asyncio.create_task(controller.run(stop))
    seen = 0

    async def logged() -> list[Event]:
        nonlocal seen
        batch = await books.journal.events(KEY, after=seen)
        seen, events = batch[-1][0], [event for _, event in batch]
        assert _promoted(await books.store.load(KEY)), [event.because for event in events]
        return events

    async def deliver(commit: str) -> Logged:
        delivery = await books.deliveries.begin(new_delivery(spec, Asked(KEY, commit, "bench", time.time())))
        controller.look()
        intent = rollout_intent(delivery)
        async with asyncio.timeout(60):
            while (answer := await books.store.answer(intent)) is None or await _busy(books.store.load(KEY)):
                await controller.news(KEY, 0.25)
            assert answer.accepted, answer
            await controller.tidy(KEY)
        return logged

    try:
        yield deliver
    finally:
        stop.set()
        await deciding
        await site.close()
        await books.close()


async def _nothing() -> None:
    """Nothing is left to do."""


async def _busy(loading: Awaitable[AgentState | None]) -> bool:
    state = await loading
    return state is None or state.active is not None or bool(state.retiring)


def _promoted(state: AgentState | None) -> bool:
    return state is not None and state.rollout is not None and state.rollout.phase is Phase.PROMOTED


@dataclass
class Parts:
    """Where the time of deliveries by a running controller went; seconds, and each operation's own."""

    of_each: dict[str, list[float]] = field(default_factory=dict)
    operations: dict[str, list[float]] = field(default_factory=dict)

    def add(self, events: Sequence[Event], began: float, took: float) -> None:
        """One delivery. `began` in unix seconds."""
        done = [event for event in events if event.kind is EventKind.OPERATION]
        asked = next(event.at for event in events if event.kind is EventKind.INTENT)
        started = next(event.at for event in done if event.because.startswith("start"))
        ready = next(event.at for event in events if event.kind is EventKind.WEIGHT)
        spent = {
            "source, image, release": asked - began,
            "operations": sum(float(str(event.data["took_s"])) for event in done),
            "waiting for the agent": ready - started,
        }
        for name, seconds in {**spent, "deciding and observing": took - sum(spent.values())}.items():
            self.of_each.setdefault(name, []).append(seconds)
        for event in done:
            self.operations.setdefault(event.because.split()[0], []).append(float(str(event.data["took_s"])))

    def rows(self) -> list[Row]:
        """Medians."""
        rows = [_ms(f"of it: {name}", took, "by a running controller") for name, took in self.of_each.items()]
        return rows + [_ms(f"operation {name}", took, "one call") for name, took in self.operations.items()]


def _ms(name: str, seconds: Sequence[float], about: str) -> Row:
    return Row(name, round(median(seconds[SPARE:] or seconds) * 1000, 1), "ms", about)


async def _running(engine: Engine, folder: Path, repository: Repository, bare: Bare) -> list[Row]:
    parts = Parts()
    async with running(engine, folder, repository.spec) as through:

        async def deliver(commit: str) -> Callable[[], Awaitable[None]]:
            began = time.time()
            logged = await through(commit)
            took = time.time() - began

            async def afterwards() -> None:
                parts.add(await logged(), began, took)

            return afterwards

        compared = await _compare(bare, repository.commits, deliver)
    about = "from being asked in its own process until the former instance is gone: git, image, containers, traffic"
    rows = compared.rows("by a running controller", about, "goal: < 3 %; the controller runs already")
    return rows + parts.rows()


async def _commands(engine: Engine, folder: Path, repository: Repository, bare: Bare) -> list[Row]:
    host, spent = Host(engine, folder, repository.spec), list[float]()

    async def deliver(commit: str) -> Callable[[], Awaitable[None]]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = await asyncio.to_thread(host.tidegate, "deliver", commit)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.code == 0, done
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return _nothing

    alone = await _compare(bare, repository.commits, deliver)
    about = "the whole command: Python's start, modules, temporary controller, delivery, end"
    rows = alone.rows("by tidegate deliver", about, STARTED)
    rows.append(_ms("processor time of tidegate deliver", spent, "all of it, start-up included"))
    with host.serving():
        served = await _compare(bare, repository.commits, deliver)
    return rows + served.rows("by tidegate deliver beside serve", "the whole command; serve decides", STARTED)


def measure() -> list[Row]:
    """The rows. Two engines: two states must not decide about one host."""
    with _ground() as ground:
        rows = asyncio.run(_running(*ground))
        rows += [_ms(f"docker {step}", took, "the command line") for step, took in ground[-1].took.items()]
    with _ground() as ground:
        rows += asyncio.run(_commands(*ground))
    return rows


@contextlib.contextmanager
def _ground() -> Iterator[tuple[Engine, Path, Repository, Bare]]:
    with Engine() as engine, tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        repository = Repository(Path(folder) / "agent", engine.load("tidegate/base-busybox"))
        yield engine, Path(folder), repository, Bare(engine, repository)


if __name__ == "__main__":
    for row in measure():
        print(row)
