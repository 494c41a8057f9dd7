"""The story of Tidegate in three deliveries, on a real engine, under a real load. `make demo`, `make demo-clean`.

Delivers the example agent from a git repository of its own: 1.0.0 is the first release, 1.1.0 is healthy and is
promoted, 1.2.0 fails one request in twenty and is taken back by itself. Exit code 0 only when all of it came out so.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import example_repo, load, timeline

BASE = "tidegate/base-python:bookworm"
SINK = "tidegate-demo-sink"
VOLUME = "tidegate-demo-spool"
DELIVERY_S = 180.0  # the longest that one delivery may take
AGENT, ENVIRONMENT = "logship", "production"


class Failed(Exception):
    """The demo did not go as told; the message is for a person."""


def say(text: str = "") -> None:
    """One line of the story."""
    print(text, flush=True)


def default_home() -> Path:
    """Where the demo keeps everything: $XDG_STATE_HOME/tidegate/demo, by default under ~/.local/state."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "tidegate" / "demo"


def docker(*arguments: str, check: bool = True) -> str:
    """Run the docker client and give its output; raises Failed with what it said."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    if check and done.returncode:
        raise Failed(f"docker {' '.join(arguments[:3])}: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass(frozen=True)
class Tidegate:
    """The real command line, run in the agent's repository with a state of its own."""

    home: Path
    environ: dict[str, str]

    def run(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `tidegate ...`; its messages go to the terminal, its data come back."""
        program = str(Path(sys.executable).with_name("tidegate"))
        try:
            return subprocess.run(
                [program, *arguments],
                cwd=self.home / "repo",
                env={**os.environ, **self.environ, "TIDEGATE_STATE": str(self.home / "tidegate.db")},
                stdout=subprocess.PIPE,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except FileNotFoundError:
            raise Failed(f"{program} is not there: run `make venv` first") from None
        except subprocess.TimeoutExpired:
            raise Failed(f"tidegate {' '.join(arguments)} did not end within {timeout_s:g} s") from None

    def data(self, *arguments: str) -> Any:
        """The data of a command that gives JSON; raises Failed where it does not."""
        done = self.run(*arguments, "--json")
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failed(f"tidegate {' '.join(arguments)} --json gave no JSON (exit code {done.returncode})") from None

    def deliver(self, version: str, expected: int) -> float:
        """Deliver the newest commit; raises Failed unless the exit code is the expected one. Gives the seconds."""
        began = time.monotonic()
        code = self.run("deliver", timeout_s=DELIVERY_S).returncode
        if code != expected:
            raise Failed(f"delivering {version} ended with exit code {code}; expected {expected}")
        return time.monotonic() - began


class Load:
    """The steady load on a thread of its own, from `with` to its end; `report` is there afterwards."""

    def __init__(self, plan: load.Plan) -> None:
        self._plan = plan
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.report: load.Report | None = None

    def _run(self) -> None:
        self.report = self._loop.run_until_complete(load.run(self._plan, self._stop))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def result(self) -> load.Report:
        """The report; raises Failed when the load itself broke."""
        if self.report is None:
            raise Failed("the load did not end")
        return self.report


def base_image() -> str:
    """Make sure of the base image, pulled or made here; gives a sentence on where it came from."""
    import aiodocker

    from tidegate.adapters.registry.base_image import Base, ensure_base_image

    async def ensure() -> str:
        engine = aiodocker.Docker()
        try:
            image = await ensure_base_image(engine, Base.PYTHON)
        finally:
            await engine.close()
        return str(getattr(image, "because", image))

    return asyncio.run(ensure())


def start_sink(home: Path) -> tuple[str, str]:
    """Run the sink in a container; gives its URL for the agent's containers and for this process."""
    docker("rm", "-f", SINK, check=False)
    see = "print(next(l.split()[0] for l in open('/etc/hosts') if l.split()[1:2] == ['sink']))"
    gateway = docker("run", "--rm", "--add-host", "sink:host-gateway", BASE, "python3", "-c", see)
    port = free_port()
    for address in (gateway, "127.0.0.1"):  # a desktop's gateway address is not this machine's: there loopback is right
        docker("rm", "-f", SINK, check=False)
        docker("create", "--name", SINK, "--init", "-p", f"{address}:{port}:9000", BASE, "python3", "/sink.py")
        docker("cp", str(home / "repo" / "sink.py"), f"{SINK}:/sink.py")
        try:
            docker("start", SINK)
        except Failed:
            continue
        return f"http://sink:{port}/in", f"http://{address}:{port}/stats"
    raise Failed(f"the sink cannot be published on {gateway} nor on 127.0.0.1")


def until(what: str, condition: Any, seconds: float = 30.0) -> None:
    """Poll with a deadline; raises Failed naming what never came."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def get(url: str) -> Any:
    """A small JSON document by HTTP."""
    with urllib.request.urlopen(url, timeout=2) as response:
        return json.loads(response.read())


def story(home: Path, rate: float) -> None:
    """Tell it; raises Failed where it does not come out as told."""
    if home.exists() and any(home.iterdir()):
        raise Failed(f"{home} holds an earlier demo: run `make demo-clean` first")
    home.mkdir(parents=True, exist_ok=True)
    say(f"Base image: {base_image()}")
    commit = example_repo.make(home / "repo")
    sink, stats = start_sink(home)
    until("the sink", lambda: get(stats))
    listen = free_port()
    url = f"http://127.0.0.1:{listen}"
    environ = {"BASE": BASE, "LOGSHIP_SINK": sink, "LOGSHIP_VOLUME": VOLUME, "LOGSHIP_LISTEN": str(listen)}
    tidegate = Tidegate(home, environ)
    (home / "environ.json").write_text(json.dumps(environ), encoding="utf-8")  # for --clean, and for a person

    say(f"\n1.0.0, the first release (commit {commit[:7]})")
    say(f"   done in {tidegate.deliver('1.0.0', expected=0):.1f} s")
    until("the agent behind the gateway", lambda: get(url)["version"] == "1.0.0")

    with Load(load.Plan(url, rate=rate, seconds=2 * DELIVERY_S)) as running:
        commit = example_repo.release(home / "repo", "1.1.0")
        say(f"\n1.1.0, healthy, under {rate:g} requests a second (commit {commit[:7]})")
        say(f"   promoted in {tidegate.deliver('1.1.0', expected=0):.1f} s")
        until("1.1.0 behind the gateway", lambda: get(url)["version"] == "1.1.0")
        commit = example_repo.release(home / "repo", "1.2.0")
        say(f"\n1.2.0, fails one request in twenty (commit {commit[:7]})")
        say(f"   taken back in {tidegate.deliver('1.2.0', expected=3):.1f} s")
        until("1.1.0 behind the gateway again", lambda: get(url)["version"] == "1.1.0")
        time.sleep(2.0)  # the load sees the time after, too
    report = running.result()

    events = tidegate.data("history", AGENT)
    events = events.get("events", []) if isinstance(events, dict) else events
    told = timeline.of(report, events, "1.2.0", 3)
    tell(told, report, events)
    acknowledged = len(report.acknowledged())
    until(
        f"all {acknowledged} acknowledged lines at the sink", lambda: get(stats)["unique"] >= acknowledged, seconds=30.0
    )
    say(f"Lines acknowledged to the load: {acknowledged}; each of them reached the sink.")
    say(f"\nWhere to look next, in {home / 'repo'} with TIDEGATE_STATE={home / 'tidegate.db'}:")
    say("   tidegate status     tidegate explain     tidegate history     tidegate logs")
    say("   make demo-clean     removes all of it")
    if wrong := told.problems():
        raise Failed("; ".join(wrong))


def tell(told: timeline.Timeline, report: load.Report, events: timeline.Events) -> None:
    """Print the timeline, the count of what was lost, and the notices."""
    say("\nThe bad version's time, in seconds from its first fault")
    zero = told.first_fault or report.started_at
    for at, text in told.lines():
        clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03d}"
        say(f"   {clock}  {at - zero:+8.3f}  {text}")
    say(
        f"\nRequests: {len(report.records)}; the bad version answered {told.requests} and failed {told.faults} of them."
    )
    say(f"Requests lost outside the canary's own faults: {told.lost}")
    for record in report.lost()[:5]:
        say(f"   {record.method} at +{record.scheduled:.3f} s: {record.error or record.status}")
    say("\nWhat the team was told")
    for event in events:
        if event.get("kind") == "notice":
            say(f"   {event['because']}")


def clean(home: Path) -> None:
    """Remove all that the demo made: agent, gateway and network through Tidegate, then what it made by itself."""
    if (home / "environ.json").exists():
        environ = json.loads((home / "environ.json").read_text(encoding="utf-8"))
        tidegate = Tidegate(home, environ)
        ending = ("decommission", AGENT, "--yes", "--reason", "end of the demo")
        done = tidegate.run(*ending, timeout_s=60.0)
        if done.returncode:  # refused while a rollout is under way
            tidegate.run("abort", AGENT, "--reason", "end of the demo", timeout_s=60.0)
            done = tidegate.run(*ending, timeout_s=60.0)
        if done.returncode:
            say(f"tidegate decommission ended with exit code {done.returncode}: removing its containers by label")
        done = tidegate.run("gateway", "stop", "--purge", timeout_s=60.0)
        if done.returncode:
            say("the gateway stays: other agents on this host use it")
    mine = (
        "--filter",
        f"label=dev.tidegate.agent={AGENT}",
        "--filter",
        f"label=dev.tidegate.environment={ENVIRONMENT}",
    )
    for container in docker("ps", "-aq", *mine).split():
        docker("rm", "-f", container)
    docker("rm", "-f", SINK, check=False)
    docker("volume", "rm", "-f", VOLUME, check=False)
    shutil.rmtree(home, ignore_errors=True)
    say("The demo is gone.")


def main() -> int:
    """Exit code 0: all came out as told. 1: not so, and why."""
    parser = argparse.ArgumentParser(description="Three deliveries of a real agent; the last one is taken back.")
    parser.add_argument("--clean", action="store_true", help="remove all that the demo made")
    parser.add_argument("--home", type=Path, default=default_home(), help="where the demo keeps everything")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        clean(given.home.resolve()) if given.clean else story(given.home.resolve(), given.rate)
    except (Failed, OSError, RuntimeError, subprocess.TimeoutExpired) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    if not given.clean:
        say(f"\nAll as told, in {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
