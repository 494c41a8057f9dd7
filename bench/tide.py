"""A running Tidegate for the benches: a private engine, the controller in this process, load from another process."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.e2e.real import KEY, PORT, READY, Real, real
from tests.engine import Engine
from tidegate.controller.controller import Controller
from tidegate.controller.lease import Lease
from tidegate.model.event import Event
from tidegate.model.intent import Abort, Deploy
from tidegate.model.release import Image, Release
from tidegate.model.rollout import AgentState, Phase
from tidegate.model.spec import Analysis, Canary, Rollback
from tidegate.model.workload import Mount, MountKind, Route, Workload

ROOT = Path(__file__).parents[1]
AGENT = (ROOT / "bench" / "agent.py").read_text()
PATIENCE_S = 60.0


@dataclass
class Load:
    """scripts/load.py; `report` once it has ended."""

    report: dict[str, object] = field(default_factory=dict)


@dataclass
class Tide:
    """One Tidegate that decides until the block ends."""

    real: Real
    logs: Path

    async def deploy(self, version: str, strategy: Canary, replicas: int = 1) -> None:
        """Ask for a rollout; nothing guards it, so that only what is asked happens."""
        mount = Mount(MountKind.BIND, target="/log", source=str(self.logs))
        workload = Workload(
            image=self.real.image,
            command=("python3", "-c", AGENT),
            environment={"VERSION": version, "LOG_TO": "/log" if version.startswith("bad") else ""},
            mounts=(mount,),
            replicas=replicas,
            readiness=replace(READY, period_s=0.05),
            routes=(Route(PORT, 8080),),
            stop_grace_s=5.0,
        )
        release = Release(f"id-{version}", KEY.agent, version, Image(self.real.image), workload)
        action = Deploy(release, workload, strategy, Analysis((), sequential=None), Rollback())
        intent = await self.real.session().ask(action, "bench")
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await self.real.state.store.answer(intent.id)) is None:
                await asyncio.sleep(0.01)
        assert answer.accepted, answer.because

    async def abort(self) -> float:
        """Ask for the way back; when it was asked, in unix seconds."""
        asked = time.time()
        await self.real.session().ask(Abort(), "bench")
        return asked

    async def until(self, check: Callable[[AgentState], bool]) -> AgentState:
        """Wait until the stored state is so."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                state = await self.real.state.store.load(KEY)
                if state is not None and check(state):
                    return state
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def load(self, rate: float, seconds: float = 3600.0) -> AsyncIterator[Load]:
        """Open-loop load, POST included, without retries, until the block (or its time) ends."""
        load, url = Load(), f"http://{self.real.engine.address}:{PORT}"
        records = self.logs / "requests.jsonl"
        command = (str(ROOT / "scripts/load.py"), url, f"--rate={rate}", f"--seconds={seconds}", f"--records={records}")
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        try:
            await asyncio.sleep(0.5)
            yield load
        finally:
            if seconds >= 3600:
                process.terminate()
            out, _ = await process.communicate()
            load.report.update(json.loads(out))
        if load.report["lost"]:
            await self._explain(float(str(load.report["started_at"])), records)

    async def _explain(self, started: float, records: Path) -> None:
        """Say on stderr which requests were lost, and what Tidegate did around them."""
        lines = _lost(records)
        first, last = min(lines)[0] - 3, max(lines)[0] + 1
        for event in await self.events():
            if first <= event.at - started <= last:
                lines.append((event.at - started, f"{event.kind} {event.because.splitlines()[0][:110]}"))
        for at, text in sorted(lines)[:400]:
            print(f"{at:9.3f} {text}", file=sys.stderr)

    async def events(self) -> list[Event]:
        """The journal, oldest first."""
        found: list[Event] = []
        after = 0
        while batch := await self.real.state.journal.events(None, after=after):
            after = batch[-1][0]
            found += [event for _, event in batch]
        return found


def _lost(records: Path) -> list[tuple[float, str]]:
    """The requests that no agent answered: when they were due, and what became of them."""
    sent = (json.loads(line) for line in records.read_text().splitlines())
    lost = [one for one in sent if not one["status"] or (one["status"] >= 500 and not one["version"])]
    return [(one["scheduled"], f"LOST {one['method']} {one['status']} {one['error']}") for one in lost]


def settled(state: AgentState) -> bool:
    """Nothing is under way and nothing is left over."""
    return state.active is None and not state.retiring


def paused(state: AgentState) -> bool:
    """A person is waited for."""
    return state.active is not None and state.active.phase is Phase.PAUSED


@asynccontextmanager
async def tide(engine: Engine, folder: Path) -> AsyncIterator[Tide]:
    """Wire it up, and decide in the background."""
    (folder / "log").mkdir()
    (folder / "log").chmod(0o777)
    async with real(engine, folder) as wired:
        lease = await Lease.take(wired.state.lease, wired.ports.clock, "bench")
        wired.ports.gateway.fence(lease.epoch)
        stop = asyncio.Event()
        deciding = asyncio.create_task(Controller(wired.ports, lease).run(stop))
        try:
            yield Tide(wired, folder / "log")
        finally:
            stop.set()
            await deciding
