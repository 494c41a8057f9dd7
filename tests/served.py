"""`tidegate serve` as a process of its own on the memory platform, with its API on a free port of loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.api import SPEC

START = "from tidegate.wiring import main; main()"
BEGIN_S = 60.0


@dataclass
class Server:
    """A running server: its address, a token that may do everything, and the process."""

    url: str
    token: str
    process: "subprocess.Popen[bytes]"
    environ: dict[str, str]
    folder: Path

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends."""
        return {"Authorization": f"Bearer {self.token}"}

    def run(self, *arguments: str, here: bool = False, **environ: str) -> tuple[int, str, str]:
        """A command against the server (or, `here`, on its state) to its end: exit code, stdout, stderr."""
        more = {} if here else {"TIDEGATE_URL": self.url, "TIDEGATE_TOKEN": self.token}
        return command(self.folder, {**self.environ, **more, **environ}, *arguments)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def command(folder: Path, environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """One command to its end."""
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments],
        cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path, location: str = "", *options: str, spec: str = SPEC) -> Iterator[Server]:
    """A server that answers, killed at the end unless it ended before."""
    (folder / "tidegate.yaml").write_text(spec)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    environ = {
        **kept,
        "PYTHONPATH": str(Path(__file__).parents[1] / "src"),
        "TIDEGATE_STATE": location or str(folder / "state" / "t.db"),
        "TIDEGATE_AGENTS_PORT": "off",
        "NO_COLOR": "1",
    }
    name = f"test-{os.urandom(4).hex()}"
    code, token, err = command(folder, environ, "token", "create", name, "--role", "admin")
    assert code == 0, err
    port = free_port()
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", START, "serve", "--listen", f"127.0.0.1:{port}", "--rate", "1000000", *options],
            cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    scheme = "https" if "--tls-certificate" in options else "http"
    here = Server(f"{scheme}://127.0.0.1:{port}", token.strip(), process, environ, folder)
    try:
        if scheme == "http":
            _wait(here)
        yield here
    finally:
        if process.poll() is None:
            here.kill()


def _wait(here: Server) -> None:
    end = time.monotonic() + BEGIN_S
    while True:
        try:
            with urllib.request.urlopen(f"{here.url}/readyz", timeout=5) as answer:
                if json.load(answer)["deciding"]:
                    return
        except OSError:
            pass
        if here.process.poll() is not None or time.monotonic() > end:
            raise AssertionError((here.folder / "serve.log").read_text())
        time.sleep(0.05)
