"""A whole Tidegate on a real engine: Docker, Envoy, SQLite, the controller; what wiring does, on the test's engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.load import Plan, Report, run
from tests.engine import Engine as TestEngine
from tidegate.adapters.gateway.container import Options
from tidegate.adapters.gateway.envoy import EnvoyGateway
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.adapters.platform.docker.tasks import DockerTasks
from tidegate.adapters.store.opening import State, open_state
from tidegate.adapters.tasks import AllTasks
from tidegate.controller.clock import WallClock
from tidegate.controller.loop import Ports
from tidegate.controller.session import Session, Snapshot
from tidegate.model import intent as intents
from tidegate.model.release import AgentKey, Image, Release
from tidegate.model.rollout import AgentState
from tidegate.model.spec import Analyse, Analysis, Canary, Rollback, SetWeight, Strategy, ThresholdMetric
from tidegate.model.workload import Probe, ProbeKind, Route, Workload

KEY = AgentKey("web", "prod")
PORT = 18080

AGENT = r"""
import itertools, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
version, every = os.environ["VERSION"], int(os.environ.get("FAIL_EVERY", "0"))
count = itertools.count(1)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status = 200
        if self.path != "/ready":
            n = next(count)
            status = 500 if every and n % every == 0 else 200
            print(f"{time.time():.4f} {version} {self.path} {status}", flush=True)
        body = version.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-agent-version", version)
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *a): pass
class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
server = Server(("", 8080), Handler)
signal.signal(signal.SIGTERM, lambda *a: threading.Thread(target=server.shutdown).start())
server.serve_forever()
time.sleep(0.2)
"""

STRATEGY = Canary(steps=(SetWeight(20), Analyse(4.0), SetWeight(50), Analyse(3.0)), bake_s=3.0, drain_s=5.0)
WATCH = Analysis(
    (ThresholdMetric("errors", failure_condition="result > 0.02", failure_limit=0, interval_s=1.0),), sequential=None
)
READY = Probe(ProbeKind.HTTP, port=8080, path="/ready", period_s=0.2, timeout_s=1.0)


def agent_workload(version: str, replicas: int = 2, **environment: str) -> Workload:
    """A small HTTP agent; FAIL_EVERY makes every n-th request fail."""
    return Workload(
        command=("python3", "-c", AGENT),
        environment={"VERSION": version, **environment},
        replicas=replicas,
        readiness=READY,
        routes=(Route(PORT, 8080),),
        stop_grace_s=5.0,
    )


@dataclass
class Real:
    """One Tidegate over a test engine."""

    engine: TestEngine
    state: State
    ports: Ports
    image: str

    def session(self) -> Session:
        """A command's session."""
        return Session(KEY, self.ports, self.state.lease)

    async def deploy(
        self, workload: Workload, version: str, timeout_s: float = 60.0, strategy: Strategy = STRATEGY
    ) -> AgentState:
        """Deploy and see it through to its end."""
        return await self.ask(self.deployment(workload, version, strategy), timeout_s)

    def deployment(self, workload: Workload, version: str, strategy: Strategy = STRATEGY) -> intents.Deploy:
        """The intent to deploy this workload as a release of a version."""
        base = replace(workload, image=self.image)
        release = Release(f"id-{version}", KEY.agent, version, Image(self.image), base)
        return intents.Deploy(release, base, strategy, WATCH, Rollback())

    async def ask(self, action: intents.Action, timeout_s: float = 60.0) -> AgentState:
        """Ask something and wait until it was answered and nothing is under way."""
        session = self.session()
        await session.skip_history()
        wanted = await session.ask(action, "tester")
        answered = False

        def until(state: AgentState | None) -> bool:
            return (
                answered and state is not None and state.active is None and not state.draining(self.ports.clock.now())
            )

        async def notice_answer() -> None:
            nonlocal answered
            while await self.state.store.answer(wanted.id) is None:
                await asyncio.sleep(0.05)
            answered = True

        asking = asyncio.create_task(notice_answer())
        try:
            state = await session.see_through(until, show, timeout_s)
        finally:
            asking.cancel()
        assert state is not None
        return state

    async def load(self, rate: float, seconds: float, stop: asyncio.Event) -> Report:
        """Open-loop load through the gateway."""
        return await run(Plan(f"http://{self.engine.address}:{PORT}", rate=rate, seconds=seconds), stop)


def show(snapshot: Snapshot) -> None:
    """Every event on a line, for whoever reads a failing test."""
    for event in snapshot.events:
        print(f"{event.at:.3f} {event.kind:18} {event.because.splitlines()[0]}")


@asynccontextmanager
async def real(engine: TestEngine, folder: Path) -> AsyncIterator[Real]:
    """Everything wired to the test's engine."""
    image = engine.load("tidegate/base-python")
    gateway_image = engine.load("tidegate/gateway")
    state = await open_state(str(folder / "tidegate.db"))
    client = Engine(engine.url)
    docker = engine.aiodocker()
    options = DockerOptions(subnet=engine.subnet(1))
    platform = DockerPlatform(client, NoSecrets(), options)
    tasks = AllTasks(DockerTasks(client, NoSecrets(), options, platform.network))
    gateway = EnvoyGateway(docker, Options(image=gateway_image))
    try:
        ports = Ports(platform, gateway, state.store, state.journal, WallClock(), tasks=tasks)
        yield Real(engine, state, ports, image)
    finally:
        await tasks.close()
        await gateway.close()
        await platform.close()
        await client.close()
        await docker.close()
        await state.close()


class NoSecrets:
    """ports.SecretSource for workloads without secrets."""

    async def resolve(self, workload: Workload) -> dict[str, str]:
        """Nothing."""
        return {}
