"""in_place: how long nobody answers, beside what a person types: docker stop, docker pull, docker run. All in one run.

    python bench/downtime.py    (root, Linux, dockerd) prints its rows; bench/undo.py writes them into undo.json

An agent that publishes a port of the host is replaced; somebody outside asks that port every 5 ms. By hand it is done
twice: as in most scripts (stop, pull, run; the image is there, so the pull only asks a registry next door) and with the
pull left out: stop, start and readiness of the agent itself and nothing else. The time of the backup is told apart.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.rows import Row  # noqa: E402
from tests.e2e.real import Real, real  # noqa: E402
from tests.e2e.test_in_place import AGENT, PORT, SWAP, Outside, agent  # noqa: E402
from tests.engine import Engine  # noqa: E402
from tidegate.model.intent import Decommission  # noqa: E402
from tidegate.model.spec import BackedUp, InPlace  # noqa: E402

TIMES = 5
DATA_MIB = 64
REGISTRY = "localhost:5056"
VOLUME = "precious"
SPARE = replace(SWAP, volumes=())
SAVED = replace(SWAP, volumes=(BackedUp(VOLUME),))
GOAL = "goal: under 300 ms on top of docker stop and docker run"


@dataclass(frozen=True)
class Gap:
    """One update: seconds in which nobody answered, and how much of it the backup took."""

    seconds: float
    backup_s: float = 0.0


async def ours(tide: Real, outside: Outside, versions: Sequence[str], strategy: InPlace) -> list[Gap]:
    """Tidegate's own, one update after the other; the first version is only what they begin from."""
    gaps = []
    for index, version in enumerate(versions):
        outside.gaps.clear()
        state = await tide.deploy(agent(version), version, strategy=strategy)
        await outside.answers(version)
        assert state.rollout is not None
        if index:
            gaps.append(Gap(max(outside.gaps), state.rollout.swap.backup_s))
    return gaps


async def by_hand(tide: Real, outside: Outside, image: str, versions: Sequence[str], pull: bool) -> list[Gap]:
    """What a person types; the first version is only what they begin from."""
    gaps = []
    for index, version in enumerate(versions):
        outside.gaps.clear()
        if index:
            await asyncio.to_thread(tide.engine.docker, "stop", f"plain-{versions[index - 1]}")
        if pull:
            await asyncio.to_thread(tide.engine.docker, "pull", "--quiet", image)
        start = ("run", "-d", "--name", f"plain-{version}", "-p", f"{PORT}:8080", "-v", f"{VOLUME}:/data")
        command = (*start, "-e", f"VERSION={version}", image, "python3", "-c", AGENT)
        await asyncio.to_thread(tide.engine.docker, *command)
        await outside.answers(version)
        if index:
            gaps.append(Gap(max(outside.gaps)))
    await asyncio.to_thread(tide.engine.docker, "rm", "-f", *(f"plain-{version}" for version in versions))
    return gaps


@contextmanager
def registry(engine: Engine, folder: Path, image: str) -> Iterator[str]:
    """The image as a registry on the engine's own host has it."""
    reference = f"{REGISTRY}/bench:1"
    (folder / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/store}}}}\nhttp: {{addr: '{REGISTRY}'}}\n"
    )
    command = engine.slot.enter("docker-registry", "serve", str(folder / "registry.yml"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        engine.docker("tag", image, reference)
        end = time.monotonic() + 20
        while True:
            try:
                engine.docker("push", reference)
                break
            except RuntimeError:
                assert time.monotonic() < end, "the registry does not answer"
                time.sleep(0.1)
        yield reference
    finally:
        process.terminate()
        process.wait()


def numbered(name: str) -> list[str]:
    return [f"{name}.{index}" for index in range(TIMES + 1)]


async def measured(engine: Engine) -> list[Row]:
    """Everything, in one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with real(engine, folder) as tide, Outside(engine.address) as outside:
            spare = await ours(tide, outside, numbered("1.0"), SPARE)
            fill = ("run", "--rm", "-v", f"{VOLUME}:/data", tide.image, "python3", "-c")
            write = f"open('/data/bulk','wb').write(__import__('os').urandom({DATA_MIB} << 20))"
            await asyncio.to_thread(engine.docker, *fill, write)
            saved = await ours(tide, outside, numbered("1.1"), SAVED)
            await tide.ask(Decommission())
            with registry(engine, folder, tide.image) as image:
                pulled = await by_hand(tide, outside, image, numbered("2.0"), pull=True)
                typed = await by_hand(tide, outside, image, numbered("2.1"), pull=False)
    own = statistics.median(gap.seconds for gap in typed)
    script = statistics.median(gap.seconds for gap in pulled)
    beside = f"by hand in the same run: docker stop, run {own:.3f} s; docker stop, pull, run {script:.3f} s"
    added = statistics.median(gap.seconds for gap in spare) - own
    with_data = statistics.median(gap.seconds for gap in saved)
    backup = statistics.median(gap.backup_s for gap in saved)
    return [
        *_spread("in_place: nobody answers", [gap.seconds for gap in spare], beside),
        Row("in_place: on top of the agent's own stop, start and ready", round(added * 1e3, 1), "ms", GOAL),
        *_spread(f"in_place with {DATA_MIB} MiB backed up: nobody answers", [g.seconds for g in saved], beside),
        Row(f"of it the backup, median of {TIMES}", round(backup, 3), "s", "shown apart; by hand nothing is saved"),
        Row(
            "in_place with a backup: on top of the agent's own and the backup",
            round((with_data - backup - own) * 1e3, 1),
            "ms",
            GOAL,
        ),
    ]


def _spread(name: str, values: Sequence[float], beside: str) -> list[Row]:
    count = len(values)
    return [
        Row(f"{name}, median of {count}", round(statistics.median(values), 3), "s", beside),
        Row(f"{name}, worst of {count}", round(max(values), 3), "s", beside),
    ]


def main() -> int:
    with Engine() as engine:
        for row in asyncio.run(measured(engine)):
            print(f"{row.name}: {row.value} {row.unit}  ({row.compared_with})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
