"""Waves: a rollout over several engines beside a plain parallel loop of docker commands, and 1,000 rollouts at once.

Both sides do the same on every host, at the same time on all of them: create and start the new container, wait until
its readiness answers (asked every 0.2 s, from the host), then stop and remove the former one. Rounds are interleaved.

    python bench/waves.py [--hosts 8] [--rounds 3] [--rollouts 1000]
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests import fleets as memory  # noqa: E402
from tests.e2e import fleet as real  # noqa: E402
from tidegate.model.waves import Host, Limits  # noqa: E402

RESULTS = ROOT / "bench" / "results" / "waves.json"
PLAIN = "a plain parallel loop of docker commands"
AT_ONCE = Limits(concurrency="100%", bake_s=0.0)


@dataclass(frozen=True)
class Row:
    """One measurement."""

    name: str
    value: float
    unit: str
    compared_with: str = ""


async def docker(host: Host, *arguments: str) -> int:
    """One docker command on a host; its exit code."""
    assert host.tls is not None
    tls = ("--tlsverify", f"--tlscacert={host.tls.ca}", f"--tlscert={host.tls.certificate}", f"--tlskey={host.tls.key}")
    process = await asyncio.create_subprocess_exec(
        "docker",
        *tls,
        "-H",
        host.endpoint,
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def plain_swap(host: Host, image: str, version: int) -> None:
    """What a careful script does on one host."""
    name = f"plain.{version}"
    await docker(host, "create", "--name", name, "-e", f"VERSION={version}", image, *real.SERVE)
    await docker(host, "start", name)
    while await docker(host, "exec", name, "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/ready"):
        await asyncio.sleep(0.2)
    if version > 1:
        await docker(host, "stop", "-t", "2", f"plain.{version - 1}")
        await docker(host, "rm", f"plain.{version - 1}")


async def plain(hosts: real.Hosts, image: str, version: int) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(plain_swap(host, image, version) for host in hosts.hosts))
    return time.perf_counter() - began


async def ours(one: real.Fleet, version: int) -> float:
    """From the intent until every host runs the new version and nothing else."""
    began = time.perf_counter()
    await one.deploy(f"{version}.0.0")
    await one.until(real.of_revision(version), 120.0)
    while any(found != [f"{version}.0.0"] for found in one.versions().values()):
        await asyncio.sleep(0.02)
    return time.perf_counter() - began


async def engines(number: int, rounds: int) -> list[Row]:
    """The rollout over real engines beside the plain loop."""
    with tempfile.TemporaryDirectory() as folder, real.engines(Path(folder), number) as hosts:
        async with real.fleet(hosts, Path(folder), real.waves("100%", limits=AT_ONCE)) as one:
            one.strategy = replace(real.STRAIGHT, bake_s=0.0, drain_s=0.0)
            await one.begin()
            await ours(one, 1)
            await plain(hosts, one.image.reference, 1)
            mine, theirs = [], []
            for version in range(2, rounds + 2):
                theirs.append(await plain(hosts, one.image.reference, version))
                mine.append(await ours(one, version))
                print(f"round {version - 1}: waves {mine[-1]:.2f} s, plain {theirs[-1]:.2f} s", flush=True)
    took, beside = statistics.median(mine), statistics.median(theirs)
    # Round by round: what else the machine does weighs on both sides of a round alike.
    overhead = statistics.median(100.0 * (one / other - 1.0) for one, other in zip(mine, theirs, strict=True))
    return [
        Row(
            f"wave rollout over {number} engines, {rounds} rounds, median",
            round(took, 3),
            "s",
            f"{beside:.3f} s: {PLAIN}",
        ),
        Row(
            "overhead of the wave rollout, median of the rounds",
            round(overhead, 1),
            "%",
            f"goal: under 10 % beyond {PLAIN}",
        ),
    ]


async def turn_together(fleet: memory.Fleet) -> int:
    """One turn of every loop, side by side as the controller runs them; the number of decisions."""
    decision = await fleet.fleet.turn()
    hosts = decision.state.rollout.hosts.values() if decision.state.rollout else ()
    loops = [fleet.loop_of(host.name) for host in hosts if host.asks]
    await asyncio.gather(*(loop.turn() for loop in loops))
    fleet.advance(memory.TURN_S)
    return len(loops) + 1


async def thousand(number: int) -> list[Row]:
    """So many rollouts at once in memory: every turn of every host's loop is a decision."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(dir=memory.QUICK_DISK) as folder:
        fleet = await memory.Fleet.begin(Path(folder) / "t.db", number, memory.waves("100%", limits=AT_ONCE))
        decisions = 0
        await fleet.deploy("1.0.0")
        began = time.perf_counter()
        while True:
            decisions += await turn_together(fleet)
            if memory.ended(await fleet.look()):
                break
        took = time.perf_counter() - began
        await fleet.state.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [
        Row(f"{number} rollouts at once: to the end", round(took, 1), "s"),
        Row(f"{number} rollouts at once: decisions", round(decisions / took), "1/s"),
        Row(f"{number} rollouts at once: memory on top", round((peak - before) / 1024, 1), "MiB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rollouts", type=int, default=1000)
    chosen = parser.parse_args()
    rows = asyncio.run(thousand(chosen.rollouts)) + asyncio.run(engines(chosen.hosts, chosen.rounds))
    RESULTS.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n")
    for row in rows:
        print(f"{row.name}: {row.value} {row.unit}  {row.compared_with}")


if __name__ == "__main__":
    main()
