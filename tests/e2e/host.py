"""A host for tests: a private engine, and the real `tidegate` typed on it as a subprocess, in the host's own network.

host = Host(engine, tmp_path)
host.version("1.0.0")                               # an image web:1.0.0
done = host.tidegate("deploy", VERSION="1.0.0")     # waits for its end
running = host.begin("deploy", VERSION="1.1.0")     # does not
with host.load(18080, rate=50) as load: ...         # open loop, no retries
assert load.report["lost"] == 0
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.engine import Engine

T = TypeVar("T")
HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SPECS = HERE / "specs"
LISTEN = 18080
PROGRAM = "import sys; from tidegate.wiring import main; main()"
PATIENCE_S = 120.0
"""The longest wait of a test. A busy machine is slow; only what never comes may fail."""


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What --json printed."""
        return json.loads(self.out)


@dataclass
class Running:
    """A command that runs. Its output goes to files, so that nobody has to read it meanwhile."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait(self, timeout_s: float = PATIENCE_S) -> Ran:
        """Its end."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not ended within {timeout_s:g} s:\n{self.err.read_text()[-3000:]}") from None
        return Ran(code, self.out.read_text(), self.err.read_text())

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> Ran:
        """SIGTERM, and its end."""
        self.process.terminate()
        return self.wait(30)


@dataclass
class Load:
    """scripts/load.py as a process of its own; `report` once it has ended."""

    report: dict[str, Any] = field(default_factory=dict)


@dataclass
class Host:
    """One engine, one state."""

    engine: Engine
    folder: Path
    spec: Path = SPECS / "web.yaml"
    variables: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""
    _count: int = 0

    def __post_init__(self) -> None:
        self.engine.load("tidegate/gateway")
        self.trouble.mkdir(exist_ok=True)
        self.base = self.engine.load("tidegate/base-python")

    @property
    def trouble(self) -> Path:
        """A file here with a version's name makes every third request of that version fail."""
        return self.folder / "trouble"

    @property
    def state(self) -> Path:
        """The database."""
        return Path(self.variables.get("TIDEGATE_STATE", str(self.folder / "tidegate.db")))

    def version(self, *versions: str) -> None:
        """Make images web:VERSION: tags of the Python base. What runs in them is mounted."""
        for version in versions:
            self.engine.docker("tag", self.base, f"web:{version}")

    def begin(self, *arguments: str, **variables: str) -> Running:
        """Start a command. `variables` are its environment's, and so the spec's."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONUNBUFFERED": "1",
            "DOCKER_HOST": self.endpoint or self.engine.url,
            "TIDEGATE_STATE": str(self.state),
            "TIDEGATE_SUBNET": self.engine.subnet(1),
            "TIDEGATE_AGENTS_PORT": "off",
            "AGENTS": str(HERE / "agents"),
            "TROUBLE": str(self.trouble),
            "VERSION": "1.0.0",
            **self.variables,
            **variables,
        }
        self._count += 1
        out, err = (self.folder / f"{self._count:03d}-{arguments[0]}.{kind}" for kind in ("out", "err"))
        command = self.engine.slot.enter(sys.executable, "-c", PROGRAM, *arguments, "-f", str(self.spec))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                command, env=environ, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
            )
        return Running(process, out, err)

    def tidegate(self, *arguments: str, timeout_s: float = PATIENCE_S, **variables: str) -> Ran:
        """Run a command to its end."""
        return self.begin(*arguments, **variables).wait(timeout_s)

    def deployed(self, version: str, **variables: str) -> Ran:
        """Deploy a version, which must be promoted."""
        self.version(version)
        done = self.tidegate("deploy", VERSION=version, **variables)
        assert done.code == 0, done
        return done

    def explained(self) -> dict[str, Any]:
        """`tidegate explain` as data."""
        done = self.tidegate("explain", "--json")
        assert done.code == 0, done
        return dict(done.data)

    @contextmanager
    def serving(self, **variables: str) -> Iterator[Running]:
        """`tidegate serve` while the block runs."""
        running = self.begin("serve", **variables)
        try:
            until(lambda: "deciding now" in running.err.read_text())
            yield running
        finally:
            if running.process.poll() is None:
                running.stop()

    @contextmanager
    def load(self, port: int = LISTEN, rate: float = 50.0) -> Iterator[Load]:
        """Steady traffic while the block runs. The report is there when it has ended."""
        load, url = Load(), f"http://{self.engine.address}:{port}"
        command = [sys.executable, str(ROOT / "scripts/load.py"), url, f"--rate={rate}", "--seconds=3600"]
        process = subprocess.Popen([*command, "--timeout-s=15"], stdout=subprocess.PIPE)
        try:
            until(lambda: _handles(process.pid, signal.SIGTERM))
            yield load
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=30)
            load.report.update(json.loads(out or b"{}"))

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """The journal as it stands, read beside whoever writes."""
        rows = self._read("SELECT document FROM events ORDER BY seq")
        return [event for event in rows if not kinds or event["kind"] in kinds]

    def stored(self) -> dict[str, Any]:
        """The state of the one agent there is; empty before the first decision."""
        states = self._read("SELECT document FROM states")
        return states[0] if states else {}

    def phase(self, version: str = "") -> str:
        """The phase of the rollout, as stored; empty when there is none, or none of this version."""
        rollout = self.stored().get("rollout")
        if rollout is None or version not in ("", rollout["candidate"]["release"]["version"]):
            return ""
        return str(rollout["phase"])

    def _read(self, query: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True, timeout=10)) as connection:
            return [json.loads(row[0]) for row in connection.execute(query)]

    def instances(self) -> list[str]:
        """The names of all containers but the gateway's, stopped ones too."""
        names = (str(one["Names"][0]).lstrip("/") for one in self.engine.containers())
        return sorted(name for name in names if not name.startswith("tidegate-gateway"))


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal: it has come so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def until(check: Callable[[], T], deadline_s: float = PATIENCE_S / 2) -> T:
    """Poll until it holds; its answer. Raises AssertionError after the deadline."""
    end = time.monotonic() + deadline_s
    while not (answer := check()):
        assert time.monotonic() < end, f"not within {deadline_s:g} s"
        time.sleep(0.02)
    return answer
