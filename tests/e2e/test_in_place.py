"""in_place on a real engine: a published host port, a volume, the downtime as somebody outside measures it."""

import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.real import KEY, Real, real
from tests.engine import Engine
from tidegate.controller.backups import ask_backups
from tidegate.model import intent as intents
from tidegate.model.errors import NotFoundError
from tidegate.model.event import EventKind
from tidegate.model.rollout import AgentState, Phase
from tidegate.model.spec import BackedUp, InPlace, Verify, VersionIn
from tidegate.model.workload import Mount, MountKind, Probe, ProbeKind, PublishedPort, Workload

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

PORT = 19000
OVERHEAD_S = 0.3
"""What Tidegate may add to stop, start and ready of the agent itself."""
SLACK = 1.5
"""Between two things that take the same time, on a machine that others use too. `make bench` measures."""

AGENT = r"""
import os, pathlib, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
version, data = os.environ["VERSION"], pathlib.Path("/data")
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write((version + " " + " ".join(sorted(p.name for p in data.iterdir()))).encode())
    def log_message(self, *a): pass
if os.environ.get("FATAL"):
    (data / "spoilt").write_text("x" * 1000)
    print("FATAL: schema of the future", flush=True)
server = HTTPServer(("", 8080), Handler)
(data / ("by-" + version)).write_text(version)
print("agent", version, "is up", flush=True)
signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))
server.serve_forever()
"""

SWAP = InPlace(
    (BackedUp("precious", restore=True),),
    verify=Verify(version_in=VersionIn.LOG, expected="agent {version} is up", deadline_s=15.0),
    bake_s=1.0,
)


def agent(version: str, **environment: str) -> Workload:
    return Workload(
        command=("python3", "-c", AGENT),
        environment={"VERSION": version, **environment},
        mounts=(Mount(MountKind.VOLUME, "/data", "precious"),),
        ports=(PublishedPort(PORT, 8080),),
        readiness=Probe(ProbeKind.HTTP, port=8080, path="/", period_s=1.0),
        stop_grace_s=5.0,
    )


class Outside:
    """Asks the published port every 5 ms, as a client would; knows the gaps in which nobody answered."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.last = ""
        self.gaps: list[float] = []
        self._seen = time.monotonic()

    async def __aenter__(self) -> "Outside":
        self._task = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self) -> None:
        while True:
            if answer := await self._once():
                now = time.monotonic()
                if self.last and now - self._seen > 0.1:
                    self.gaps.append(now - self._seen)
                self._seen, self.last = now, answer
            await asyncio.sleep(0.005)

    async def _once(self) -> str:
        try:
            async with asyncio.timeout(0.5):
                reader, writer = await asyncio.open_connection(self.address, PORT)
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                text = (await reader.read()).decode()
                writer.close()
        except (OSError, TimeoutError):
            return ""
        return text.partition("\r\n\r\n")[2]

    async def answers(self, version: str) -> None:
        async with asyncio.timeout(30):
            while not self.last.startswith(version):
                await asyncio.sleep(0.005)


def phase(state: AgentState) -> Phase:
    assert state.rollout is not None
    return state.rollout.phase


def identity(engine: Engine, name: str) -> str:
    return engine.docker("inspect", "--format", "{{.Id}} {{.State.Running}}", name).strip()


def containers(engine: Engine) -> list[str]:
    return [line for line in engine.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines() if line]


async def told(tide: Real, kind: EventKind) -> list[str]:
    return [event.because for _, event in await tide.state.journal.events(KEY) if event.kind is kind]


async def test_an_update_with_backup_and_a_bad_one_that_is_restored(engine: Engine, tmp_path: Path) -> None:
    async with real(engine, tmp_path) as tide, Outside(engine.address) as outside:
        assert phase(await tide.deploy(agent("1.0.0"), "1.0.0", strategy=SWAP)) is Phase.PROMOTED
        assert phase(await tide.deploy(agent("1.1.0"), "1.1.0", strategy=SWAP)) is Phase.PROMOTED
        assert outside.last == "1.1.0 by-1.0.0 by-1.1.0"
        former = identity(engine, "web.prod.r2.1")
        state = await tide.deploy(agent("1.2.0", FATAL="yes"), "1.2.0", strategy=SWAP)
        assert phase(state) is Phase.ROLLED_BACK
        assert state.rollout is not None
        assert "schema of the future" in state.rollout.fault
        assert identity(engine, "web.prod.r2.1") == former
        await asyncio.sleep(0.2)
        assert outside.last == "1.1.0 by-1.0.0 by-1.1.0"
        for line in (*await told(tide, EventKind.DOWNTIME), *await told(tide, EventKind.TASK)):
            print(line)
        assert any("written since, are gone" in line for line in await told(tide, EventKind.DOWNTIME))
        left = engine.docker("ps", "-a", "--format", "{{.Names}}").split()
        assert left == ["web.prod.r2.1"]


async def test_a_person_lists_and_restores_backups(engine: Engine, tmp_path: Path) -> None:
    async with real(engine, tmp_path) as tide, Outside(engine.address) as outside:
        await tide.deploy(agent("3.0.0"), "3.0.0", strategy=SWAP)
        await tide.deploy(agent("3.1.0"), "3.1.0", strategy=SWAP)
        newest, *_ = await ask_backups(tide.ports.tasks, KEY)
        name, about = newest.partition(" ")[::2]
        assert name.endswith("-r2")
        assert "precious: " in about
        (since,) = await ask_backups(tide.ports.tasks, KEY, name, ("precious",))
        assert since.startswith("precious: 1 files of 5 bytes")
        with pytest.raises(NotFoundError, match="there is no backup nonsense"):
            await ask_backups(tide.ports.tasks, KEY, "nonsense", ("precious",))
        assert phase(await tide.ask(intents.RestoreBackup(name))) is Phase.PROMOTED
        await outside.answers("3.1.0")
        # What 3.1.0 wrote before is gone, and 3.1.0 has written it anew; the restored files are those of 3.0.0.
        assert {"by-3.0.0", "by-3.1.0"} <= set(outside.last.split())
        assert any(line.startswith("task restore-r3 succeeded") for line in await told(tide, EventKind.TASK))


async def test_the_downtime_is_that_of_the_agent_itself(engine: Engine, tmp_path: Path) -> None:
    swap = replace(SWAP, volumes=())
    async with real(engine, tmp_path) as tide, Outside(engine.address) as outside:
        await tide.deploy(agent("1.0.0"), "1.0.0", strategy=swap)
        ours, plain = [], []
        for number in (1, 2, 3):
            outside.gaps.clear()
            state = await tide.deploy(agent(f"1.{number}.0"), f"1.{number}.0", strategy=swap)
            await outside.answers(f"1.{number}.0")
            assert state.rollout is not None
            ours.append((max(outside.gaps), state.rollout.swap.downtime_s))
        await tide.ask(intents.Decommission())
        engine.docker("volume", "create", "precious")
        start = ("run", "-d", "-p", f"{PORT}:8080", "-v", "precious:/data")
        for number in (1, 2, 3, 4):
            outside.gaps.clear()
            if number > 1:
                await asyncio.to_thread(engine.docker, "stop", f"plain{number - 1}")
            arguments = (*start, "-e", f"VERSION=2.{number}", "--name", f"plain{number}", tide.image)
            await asyncio.to_thread(engine.docker, *arguments, "python3", "-c", AGENT)
            await outside.answers(f"2.{number}")
            if number > 1:
                plain.append(max(outside.gaps))
        engine.docker("rm", "-f", *(f"plain{number}" for number in (1, 2, 3, 4)))
    seen, said = sorted(gap for gap, _ in ours)[1], sorted(told for _, told in ours)[1]
    by_hand = sorted(plain)[1]
    print(f"median of 3: seen {seen:.3f} s, told {said:.3f} s, docker stop + docker run {by_hand:.3f} s")
    assert seen < SLACK * by_hand + OVERHEAD_S
    assert said / SLACK - OVERHEAD_S < seen < said * SLACK + OVERHEAD_S


@pytest.mark.parametrize("at", [Phase.STOPPING, Phase.BACKING_UP, Phase.STARTING, Phase.VERIFYING])
async def test_a_controller_killed_in_the_middle(engine: Engine, tmp_path: Path, at: Phase) -> None:
    async with real(engine, tmp_path) as tide:
        await tide.deploy(agent("1.0.0"), "1.0.0", strategy=SWAP)
        wanted = intents.Intent("next", KEY, tide.deployment(agent("1.1.0"), "1.1.0", SWAP), "tester", time.time())
        await tide.state.store.submit(wanted)
        database = str(tmp_path / "tidegate.db")
        argv = (sys.executable, "-m", "tests.e2e.controller_process", engine.url, engine.subnet(1), database)
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
        victim = await asyncio.create_subprocess_exec(*argv, cwd=root, env=environment)
        try:
            async with asyncio.timeout(40):
                while not await reached(tide, at):
                    await asyncio.sleep(0.005)
        finally:
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
        state = await tide.session().see_through(lambda s: s is not None and s.active is None, lambda _: None, 60)
        assert state is not None
        assert phase(state) is Phase.PROMOTED
        async with asyncio.timeout(10):
            while containers(engine) != ["web.prod.r2.1 running"]:
                await asyncio.sleep(0.05)
        backups = [line for line in await told(tide, EventKind.TASK) if line.startswith("task backup-r2 starts")]
        assert backups == ["task backup-r2 starts"]


async def reached(tide: Real, at: Phase) -> bool:
    state = await tide.state.store.load(KEY)
    order = (Phase.STOPPING, Phase.BACKING_UP, Phase.STARTING, Phase.VERIFYING, Phase.BAKING, Phase.PROMOTED)
    now = state.rollout.phase if state and state.rollout and state.rollout.candidate.number == 2 else None
    return now in order and order.index(now) >= order.index(at)
