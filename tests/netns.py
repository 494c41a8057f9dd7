"""Slots for private engines: a directory, a network namespace and a subnet that no other process is using.

A slot is held by an abstract unix socket bound to its name. The kernel frees the name when the holder dies, however it
dies, and keeps it in the network namespace, so processes in different file systems (a chroot) do not take the same
slot. A slot that has left-overs and whose name is free belongs to nobody, and is cleaned before its next use.

Slot n owns 10.(100+n).0.0/16, in the root namespace (a route) as well as in its own:

    10.x.255.0/30     the link: .1 on the tests' side, .2 on the engine's side (`Slot.address`)
    10.x.0.0/24       the engine's default bridge
    10.x.128.0/18     the engine's pool for networks that name no subnet
    10.x.16-127.0/24  free for networks that do name one (`Slot.subnet(i)`)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(os.environ.get("TIDEGATE_ENGINE_DIR", "/var/tmp/tidegate-hosts"))
SLOTS = 60
DAEMONS = {"dockerd", "containerd", "containerd-shim-runc-v2", "docker-containerd", "containerd-shim", "runc"}
CUT = (("PREROUTING", "-i", "up0", "-j", "DROP"), ("POSTROUTING", "-o", "up0", "-j", "DROP"))


def sh(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command; its stderr is in the error when it fails."""
    done = subprocess.run(argv, text=True, capture_output=True, check=False, timeout=30)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
    return done


@dataclass(frozen=True)
class Slot:
    """One numbered place for an engine. `lock` is held as long as the slot is ours."""

    number: int
    lock: socket.socket

    @property
    def directory(self) -> Path:
        return ROOT / f"{self.number:02d}"

    @property
    def prefix(self) -> str:
        return f"10.{100 + self.number}"

    @property
    def namespace(self) -> str:
        return f"tidegate-host-{self.number:02d}"

    @property
    def outer(self) -> str:
        """The name of the link's end in the root namespace."""
        return f"tghost{self.number:02d}"

    @property
    def gateway_ip(self) -> str:
        """The tests' own address on the link: what a container uses to reach a server that runs in a test."""
        return f"{self.prefix}.255.1"

    @property
    def address(self) -> str:
        return f"{self.prefix}.255.2"

    def subnet(self, index: int) -> str:
        """A /24 that may be given to a network by name; 0 <= index < 112."""
        if not 0 <= index < 112:
            raise ValueError(f"subnet index {index} is not within 0..111")
        return f"{self.prefix}.{16 + index}.0/24"

    def connect(self) -> None:
        """Make the namespace, the link and the routes."""
        sh("ip", "netns", "add", self.namespace)
        sh("ip", "link", "add", self.outer, "type", "veth", "peer", "name", "up0", "netns", self.namespace)
        sh("ip", "addr", "add", f"{self.gateway_ip}/30", "dev", self.outer)
        sh("ip", "-n", self.namespace, "addr", "add", f"{self.address}/30", "dev", "up0")
        sh("ip", "-n", self.namespace, "link", "set", "up0", "up")
        sh("ip", "-n", self.namespace, "link", "set", "lo", "up")
        sh("ip", "link", "set", self.outer, "up")
        sh("ip", "route", "replace", f"{self.prefix}.0.0/16", "via", self.address, "dev", self.outer)
        sh("ip", "-n", self.namespace, "route", "add", "default", "via", self.gateway_ip)
        # Docker drops what comes from outside to a container's own address unless DOCKER-USER lets it in.
        for rule in (("-N", "DOCKER-USER"), ("-A", "DOCKER-USER", "-i", "up0", "-j", "ACCEPT")):
            sh(*self.enter("iptables", "--wait", *rule))

    def enter(self, *argv: str) -> tuple[str, ...]:
        """The command that runs `argv` in the namespace; not `ip netns exec`, which hides the cgroups."""
        return ("nsenter", f"--net=/run/netns/{self.namespace}", *argv)

    def link_down(self) -> None:
        """Cut the engine off: packets vanish both ways, so connections stay silent with no error."""
        self.link_up()
        for rule in CUT:
            sh(*self.enter("iptables", "--wait", "-t", "mangle", "-A", *rule))

    def link_up(self) -> None:
        """Join the two sides again; nothing happens when they are joined."""
        for rule in CUT:
            sh(*self.enter("iptables", "--wait", "-t", "mangle", "-D", *rule), check=False)

    def clean(self) -> None:
        """End what still runs in the slot, and remove all that it left; safe to call at any time and twice."""
        end_processes(self.directory)
        for mount in _mounts_below(self.directory):
            sh("umount", "--lazy", mount, check=False)
        if Path(f"/run/netns/{self.namespace}").exists():
            sh("ip", "netns", "del", self.namespace)
        if Path(f"/sys/class/net/{self.outer}").exists():
            sh("ip", "link", "del", self.outer, check=False)  # it may be on its way out with the namespace
        for cgroup in _cgroups(self.namespace):
            with contextlib.suppress(OSError):
                cgroup.rmdir()
        shutil.rmtree(self.directory, ignore_errors=True)

    def release(self) -> None:
        self.clean()
        self.lock.close()


def take_slot() -> Slot:
    """The first slot that nobody holds, cleaned; left-overs of dead holders on the way are cleaned too."""
    ROOT.mkdir(parents=True, exist_ok=True)
    taken: Slot | None = None
    for number in range(SLOTS):
        if taken is not None and not (ROOT / f"{number:02d}").exists():
            continue
        slot = _try_lock(number)
        if slot is None:
            continue
        slot.clean()
        if taken is None:
            taken = slot
        else:
            slot.lock.close()
    if taken is None:
        raise RuntimeError(f"all {SLOTS} slots in {ROOT} are in use by running processes")
    taken.directory.mkdir()
    return taken


def _try_lock(number: int) -> Slot | None:
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(f"\0tidegate-slot-{number:02d}")
    except OSError:
        lock.close()
        return None
    return Slot(number, lock)


def end_processes(directory: Path, deadline_s: float = 5.0) -> None:
    """Kill every process of the engine in `directory`: the daemon, containerd, the shims and their containers."""
    end = time.monotonic() + deadline_s
    while pids := engine_pids(directory):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise RuntimeError(f"processes of the engine in {directory} survive SIGKILL: {sorted(pids)}")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def engine_pids(directory: Path) -> set[int]:
    """Living daemons that name `directory` in their command line, and all their descendants."""
    needle = f"{directory}/".encode()
    children: dict[int, list[int]] = {}
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # "pid (name) state ppid ...": the name may hold spaces and brackets
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state == "Z":
                continue
            children.setdefault(int(parent), []).append(int(entry.name))
            program, _, arguments = (entry / "cmdline").read_bytes().partition(b"\0")
            if needle in arguments and Path(program.decode()).name in DAEMONS:
                found.append(int(entry.name))
    every: set[int] = set()
    while found:
        pid = found.pop()
        if pid not in every:
            every.add(pid)
            found.extend(children.get(pid, []))
    return every


def _mounts_below(directory: Path) -> list[str]:
    """Mount points below `directory`, deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{directory}/")), key=len, reverse=True)


def _cgroups(parent: str) -> list[Path]:
    """The cgroups of the engine's containers in every hierarchy (v1 and v2), deepest first."""
    tops = [*Path("/sys/fs/cgroup").glob(f"*/{parent}"), Path("/sys/fs/cgroup") / parent]
    return [Path(where) for top in tops for where, _, _ in os.walk(top, topdown=False)]
