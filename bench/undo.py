"""How long the way back takes: blue-green (a switch), canary, and cold (instances started anew, image present).

    python bench/undo.py    (root, Linux, dockerd) writes bench/results/undo.json

A private engine, a real Envoy, 200 requests a second through it all the time. Three times are taken of each undo:

- switch: from the decision (its event in the log) to the last request that the side that was left answered;
- command to done: a whole command without a server: it writes the intent, takes the lease, decides, acts, and ends when
  the state says promoted. With a server: the same, decided by a controller that runs already;
- lost: requests without an answer, over the whole run.

Then in_place, on an engine of its own: bench/downtime.py says how.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench import downtime  # noqa: E402
from bench.rows import Row  # noqa: E402
from scripts.load import Report  # noqa: E402
from tests.e2e.real import KEY, Real, agent_workload, real  # noqa: E402
from tests.engine import Engine  # noqa: E402
from tidegate.controller.controller import Controller  # noqa: E402
from tidegate.controller.lease import Lease  # noqa: E402
from tidegate.model import intent as intents  # noqa: E402
from tidegate.model.event import EventKind  # noqa: E402
from tidegate.model.intent import Undo  # noqa: E402
from tidegate.model.release import Image, Release  # noqa: E402
from tidegate.model.rollout import AgentState  # noqa: E402
from tidegate.model.spec import Analysis, BlueGreen, Canary, Pause, Rollback, SetWeight, Strategy  # noqa: E402

OUT = Path(__file__).parent / "results" / "undo.json"
RATE = 200.0
TIMES = 7
BOTH = BlueGreen(bake_s=1.0, keep_s=600.0, drain_s=5.0)
COLD = BlueGreen(bake_s=1.0, keep_s=0.0, drain_s=5.0)
HELD = Canary((SetWeight(50), Pause()), bake_s=1.0, drain_s=5.0)
UNWATCHED = Analysis((), sequential=None)


@dataclass(frozen=True)
class Taken:
    """One undo: when the command began, said done, and ended after tidying up (unix seconds)."""

    began: float
    done: float
    ended: float
    left: str


async def deploy(tide: Real, version: str, strategy: Strategy, until: str = "ended") -> None:
    """Deploy, and wait for the end or for the pause."""
    base = replace(agent_workload(version), image=tide.image)
    release = Release(f"id-{version}", KEY.agent, version, Image(tide.image), base)
    session = tide.session()
    intent = await session.ask(intents.Deploy(release, base, strategy, UNWATCHED, Rollback()), "bench")

    def there(state: AgentState | None) -> bool:
        rollout = state.rollout if state else None
        mine = rollout is not None and rollout.candidate.release.version == version and rollout.started_at >= intent.at
        assert rollout is None or not mine or rollout.phase in _GOOD or not rollout.phase.ended, rollout.because
        return mine and rollout is not None and (rollout.phase.ended if until == "ended" else rollout.phase == until)

    await session.see_through(there, lambda snapshot: None, 60.0)


_GOOD = ("promoted", "rolled_back", "aborted")


async def undo(tide: Real, left: str) -> Taken:
    """One undo, from the first line of the command to its end."""
    began = time.time()
    session = tide.session()
    intent = await session.ask(Undo(), "bench")
    said: list[float] = []

    def done(state: AgentState | None) -> bool:
        rollout = state.rollout if state else None
        over = rollout is not None and rollout.phase.ended and (rollout.ended_at or 0.0) >= intent.at
        said.extend([time.time()] if over else [])
        return over

    await session.see_through(done, lambda snapshot: None, 60.0)
    taken = Taken(began, said[0], time.time(), left)
    await asyncio.sleep(0.5)
    return taken


async def by_hand(engine: Engine, image: str, number: int) -> float:
    """Seconds that two containers of the same agent need with the docker command alone, side by side."""
    began = time.monotonic()

    async def one(index: int) -> None:
        name, made = f"plain-{number}-{index}", agent_workload("plain").command or ()
        arguments = ("run", "-d", "--name", name, "-e", "VERSION=plain", image, *made)
        await asyncio.to_thread(engine.docker, *arguments)
        address = engine.container_address(name)
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(address, 8080)
                writer.close()
                return
            await asyncio.sleep(0.02)

    await asyncio.gather(one(1), one(2))
    took = time.monotonic() - began
    await asyncio.to_thread(engine.docker, "rm", "-f", f"plain-{number}-1", f"plain-{number}-2")
    return took


async def switches(tide: Real, taken: Sequence[Taken], report: Report) -> list[float]:
    """Milliseconds from each decision to the last request that the side that was left answered."""
    events = [event for _, event in await tide.ports.journal.events(KEY, limit=100_000)]
    found = []
    for one in taken:
        decided = min(e.at for e in events if e.kind is EventKind.WEIGHT and e.at >= one.began)
        sent = [report.started_at + r.sent for r in report.of(one.left)]
        last = max((at for at in sent if one.began - 1.0 <= at <= one.ended + 0.4), default=decided)
        found.append(max(0.0, last - decided) * 1e3)
    return found


async def measured(engine: Engine) -> list[Row]:
    """Everything, in one run."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        async with real(engine, Path(folder)) as tide:
            await deploy(tide, "1.0.0", BOTH)
            stop = asyncio.Event()
            load = asyncio.create_task(tide.load(RATE, 600, stop))
            await asyncio.sleep(1.0)

            await deploy(tide, "1.1.0", BOTH)
            warm = [await undo(tide, left) for _ in range(TIMES) for left in ("1.1.0", "1.0.0")]
            lease = await Lease.take(tide.state.lease, tide.ports.clock, "server", wait_s=20.0)
            tide.ports.gateway.fence(lease.epoch)
            end = asyncio.Event()
            server = asyncio.create_task(Controller(tide.ports, lease).run(end))
            served = [await undo(tide, left) for _ in range(TIMES) for left in ("1.1.0", "1.0.0")]

            held = []
            for number in range(TIMES):
                await deploy(tide, f"2.{number}.0", HELD, until="paused")
                held.append(await undo(tide, f"2.{number}.0"))
            end.set()
            with suppress(asyncio.CancelledError):
                await server

            await deploy(tide, "3.0.0", COLD)
            await deploy(tide, "3.1.0", COLD)
            cold = []
            for number in range(TIMES):
                cold.append(await undo(tide, "3.1.0" if number % 2 == 0 else "3.0.0"))
            plain = [await by_hand(engine, tide.image, number) for number in range(TIMES)]
            await asyncio.sleep(0.5)
            stop.set()
            report = await load
            goal_switch, goal_done = "goal: under 100 ms", "goal: under 1 s"
            rows += spread("undo blue_green: switch", await switches(tide, warm, report), "ms", goal_switch)
            rows += spread(
                "undo blue_green: switch, with a server", await switches(tide, served, report), "ms", goal_switch
            )
            rows += spread("undo blue_green: command to done", seconds(warm), "s", goal_done)
            rows += spread("undo blue_green: command to done, with a server", seconds(served), "s", goal_done)
            rows += spread("undo canary at 50 %: switch", await switches(tide, held, report), "ms", goal_switch)
            rows += spread("undo canary at 50 %: command to done", seconds(held), "s", goal_done)
            rows += spread("undo cold, image present: command to done", seconds(cold), "s", "goal: under 3 s")
            rows += spread("two instances by docker run until ready", plain, "s", "beside the cold undo")
            if "-v" in sys.argv:
                await tell(tide, report)
            lost = f"{len(report.records)} requests sent in the same run"
            rows.append(Row("requests lost", len(report.lost()), "requests", lost))
    return rows


async def tell(tide: Real, report: Report) -> None:
    """What was lost when and why, beside the log."""
    print(report.summary()["lost_reasons"], file=sys.stderr)
    lines = [(r.sent, f"lost {r.version} {r.status} {r.error}") for r in report.lost()]
    for _, event in await tide.ports.journal.events(KEY, limit=100_000):
        lines.append((event.at - report.started_at, f"{event.kind} {event.because.splitlines()[0]}"))
    for at, text in sorted(lines):
        print(f"{at:9.3f} {text}", file=sys.stderr)


def seconds(taken: Sequence[Taken]) -> list[float]:
    return [one.done - one.began for one in taken]


def spread(name: str, values: Sequence[float], unit: str, beside: str) -> list[Row]:
    """Median and worst."""
    count = len(values)
    return [
        Row(f"{name}, median of {count}", round(statistics.median(values), 3), unit, beside),
        Row(f"{name}, worst of {count}", round(max(values), 3), unit, beside),
    ]


def main() -> int:
    with Engine() as engine:
        rows = asyncio.run(measured(engine))
    with Engine() as engine:
        rows += asyncio.run(downtime.measured(engine))
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_average_1m": round(os.getloadavg()[0], 2),
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"  {json.dumps(row.__dict__)}" for row in rows)
    OUT.write_text(f'{{\n "machine": {json.dumps(machine)},\n "rows": [\n{lines}\n ]\n}}\n')
    print(OUT.read_text(), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
