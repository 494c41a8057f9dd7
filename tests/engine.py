"""Docker Engines of the tests' own: each in its own network namespace, with its own data, removed at the end.

    from tests.engine import Engine

    with Engine() as engine:                        # or the fixtures `engine`, `fresh_engine` of conftest.py
        engine.load("tidegate/base-busybox")        # cached image, side-loaded
        docker = engine.aiodocker()                 # an aiodocker client (close it)
        engine.run("tidegate/base-busybox", "httpd", "-f", "-p", "80", name="web")
        engine.address                              # where published ports are reached from the test
        engine.container_address("web")             # reachable from the test too
        engine.gateway_ip                           # where a container reaches a server that the test runs
        engine.kill(); engine.start()               # SIGKILL the daemon: containers go on (live-restore)
        engine.power_cycle()                        # what a host's reboot does: everything dies, restart policies act

Needs Linux, root, dockerd, iproute2 and iptables; `unavailable()` says what is missing.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from types import TracebackType
from typing import Any

from tests.netns import Slot, alive, end_processes, sh, take_slot

READY_S = 20.0
"""A daemon is ready in 0.7 s on an idle machine; the deadline is for a busy one."""


def unavailable() -> str:
    """Why no engine can be started here, or an empty string."""
    if not sys.platform.startswith("linux"):
        return f"private engines need Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return "private engines need root: run the tests as root, or leave them out with -m 'not engine'"
    missing = [tool for tool in ("dockerd", "ip", "iptables", "nsenter") if shutil.which(tool) is None]
    return f"missing {', '.join(missing)}: run scripts/engine.sh" if missing else ""


class EngineError(RuntimeError):
    """The engine's API answered with an error, or the daemon did not start."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("engine", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """One daemon. Not started until `start()` or `with`; `close()` removes every trace of it."""

    def __init__(self, *flags: str) -> None:
        """`flags` go to dockerd as they are, for example a TCP host with TLS for a fleet."""
        if reason := unavailable():
            raise EngineError(reason)
        self.slot: Slot = take_slot()
        self.flags = flags
        self.daemon: subprocess.Popen[bytes] | None = None
        self.directory = self.slot.directory
        self.socket = self.directory / "docker.sock"
        self.log = self.directory / "dockerd.log"
        atexit.register(self.close)
        try:
            self.slot.connect()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def address(self) -> str:
        """The engine host's address, reachable from the test: published ports and host-network containers are there."""
        return self.slot.address

    @property
    def gateway_ip(self) -> str:
        """The test's address as seen by the engine and its containers."""
        return self.slot.gateway_ip

    def subnet(self, index: int) -> str:
        """A /24 routed to this engine, for a network that names its subnet (0 <= index < 112)."""
        return self.slot.subnet(index)

    # -- the daemon

    def start(self) -> None:
        """Start the daemon, unless it runs, and wait until it answers."""
        if self.daemon is not None and self.daemon.poll() is None:
            return
        self._forget_the_dead()
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                self.slot.enter("dockerd", *self._daemon_flags()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is for pytest, which then cleans up
            )
        self._wait_ready()

    def _forget_the_dead(self) -> None:
        """Remove the pid files that a killed daemon left.

        Another process may have the daemon's pid by now, and then dockerd refuses to start. containerd dies with its
        dockerd (parent-death signal), but stays a zombie where PID 1 does not reap; dockerd takes it for alive.
        """
        (self.directory / "docker.pid").unlink(missing_ok=True)
        pidfile = self.directory / "exec/containerd/containerd.pid"
        end = time.monotonic() + 5
        while pidfile.exists() and alive(int(pidfile.read_text())) and time.monotonic() < end:
            time.sleep(0.01)
        pidfile.unlink(missing_ok=True)

    def _daemon_flags(self) -> tuple[str, ...]:
        at, prefix, name = self.directory, self.slot.prefix, self.slot.namespace
        return (
            f"--host={self.url}",
            f"--data-root={at}/data",
            f"--exec-root={at}/exec",
            f"--pidfile={at}/docker.pid",
            f"--containerd-namespace={name}",
            f"--containerd-plugins-namespace={name}-plugins",
            f"--bip={prefix}.0.1/24",
            f"--default-address-pool=base={prefix}.128.0/18,size=24",
            "--exec-opt=native.cgroupdriver=cgroupfs",  # so that the left-overs of a killed engine have a known place
            f"--cgroup-parent=/{name}",
            "--live-restore",
            *self.flags,
        )

    def _wait_ready(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            assert self.daemon is not None
            if self.daemon.poll() is not None:
                raise EngineError(f"dockerd exited with {self.daemon.returncode}:\n{self._log_tail()}")
            with contextlib.suppress(OSError, http.client.HTTPException, EngineError):
                self.api("GET", "/_ping", timeout_s=2)
                return
            time.sleep(0.02)
        raise EngineError(f"dockerd did not answer within {READY_S:.0f} s:\n{self._log_tail()}")

    def _log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _end(self, how: signal.Signals, deadline_s: float) -> None:
        if self.daemon is None:
            return
        self.daemon.send_signal(how)
        try:
            self.daemon.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait(5)
            raise EngineError(f"dockerd did not end within {deadline_s:.0f} s of {how.name}") from None
        finally:
            self.daemon = None

    def stop(self) -> None:
        """Stop the daemon in good order; containers go on."""
        self._end(signal.SIGTERM, 20)

    def kill(self) -> None:
        """Kill the daemon at once; containers go on."""
        self._end(signal.SIGKILL, 5)

    def restart(self) -> None:
        self.stop()
        self.start()

    def power_cycle(self) -> None:
        """What a reboot of the host does: every process dies at once, then the daemon starts on the same disk."""
        self.kill()
        end_processes(self.directory)
        self.start()

    def link_down(self) -> None:
        """Cut the network between the test and the engine's host; the unix socket still works."""
        self.slot.link_down()

    def link_up(self) -> None:
        self.slot.link_up()

    def close(self) -> None:
        """End the daemon and everything in it, and remove its namespace, link and directory."""
        atexit.unregister(self.close)
        with contextlib.suppress(EngineError):
            self.kill()
        self.slot.release()

    def __enter__(self) -> Engine:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- its API

    def aiodocker(self) -> Any:
        """An aiodocker client of this engine. Call it inside a running event loop, and close it."""
        import aiodocker

        return aiodocker.Docker(url=self.url)

    def api(self, method: str, path: str, body: Any = None, *, timeout_s: float = 30) -> Any:
        """One API call, synchronous. `body`: bytes or an open file go as a tar archive, anything else as JSON.

        Returns the parsed JSON, or text where the answer is not JSON. Raises EngineError for a status >= 400.
        """
        raw = isinstance(body, bytes) or hasattr(body, "read")
        connection = _UnixConnection(str(self.socket), timeout_s)
        try:
            kind = "application/x-tar" if raw else "application/json"
            payload = body if raw or body is None else json.dumps(body).encode()
            connection.request(method, path, payload, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status >= 400:
            raise EngineError(f"{method} {path}: {answer.status} {text.strip()}")
        with contextlib.suppress(ValueError):
            return json.loads(text)
        return text

    def run(self, image: str, *command: str, name: str = "", **config: Any) -> str:
        """Create and start a container; returns its id. `config` is the API's create body (HostConfig=..., Env=...)."""
        body = {"Image": image, **({"Cmd": list(command)} if command else {}), **config}
        query = f"?name={urllib.parse.quote(name)}" if name else ""
        container = str(self.api("POST", f"/containers/create{query}", body)["Id"])
        self.api("POST", f"/containers/{container}/start")
        return container

    def containers(self) -> list[dict[str, Any]]:
        """All containers, stopped ones too."""
        found: list[dict[str, Any]] = self.api("GET", "/containers/json?all=1")
        return found

    def inspect(self, container: str) -> dict[str, Any]:
        facts: dict[str, Any] = self.api("GET", f"/containers/{container}/json")
        return facts

    def container_address(self, container: str, network: str = "") -> str:
        """The container's address in `network` (or in its first network), reachable from the test."""
        networks = self.inspect(container)["NetworkSettings"]["Networks"]
        return str(networks[network or next(iter(networks))]["IPAddress"])

    def wait(self, container: str, deadline_s: float = 20) -> int:
        """Wait until the container exits; its exit code."""
        return int(self.api("POST", f"/containers/{container}/wait", timeout_s=deadline_s)["StatusCode"])

    def docker(self, *arguments: str) -> str:
        """The docker CLI on this engine; its stdout."""
        return sh("docker", "--host", self.url, *arguments).stdout

    def load(self, image: str) -> str:
        """Make sure that a cached image (tests/images.py lists them) is in this engine; its full reference."""
        from tests.images import side_load

        return side_load(self, image)

    def reset(self) -> None:
        """Remove all containers, networks and volumes; images stay. Starts the daemon if a test left it stopped."""
        self.link_up()
        self.start()
        for container in self.containers():
            self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for network in self.api("GET", "/networks"):
            if network["Name"] not in {"bridge", "host", "none"}:
                self.api("DELETE", f"/networks/{network['Id']}")
        for volume in self.api("GET", "/volumes")["Volumes"] or []:
            self.api("DELETE", f"/volumes/{volume['Name']}?force=1")
