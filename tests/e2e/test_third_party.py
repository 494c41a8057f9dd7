"""Agents that nobody here wrote, delivered by a spec alone: one in Go over HTTP, one in C over its own protocol."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.host import SPECS, Host, Load
from tests.e2e.packaged import load_packaged
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


Told = Callable[[], str]


@dataclass
class Agent:
    """An agent of somebody else's. `changed` makes another version of it, `told` asks it what tells them apart."""

    name: str
    changed: dict[str, str]
    told: Told
    load: Callable[[], contextlib.AbstractContextManager[Load]]


def story(host: Host, agent: Agent) -> None:
    """First release, a canary, undo, a bad release taken back, all but the first under load."""
    first_done = host.tidegate("deploy")
    assert first_done.code == 0, first_done
    first = agent.told()
    with agent.load() as load:
        done = host.tidegate("deploy", VERSION="1.1.0", **agent.changed)
        assert done.code == 0, done
        assert agent.told() != first
        undone = host.tidegate("undo")
        assert undone.code == 0, undone
        assert agent.told() == first
        bad = host.tidegate("deploy", VERSION="1.2.0", MORE="--no-such-flag")
        assert bad.code == 3, bad
        assert agent.told() == first
    assert load.report["lost"] == 0, load.report
    explained = host.explained()
    assert any("no-such-flag" in line for line in explained["log"]), explained
    assert host.instances() == [f"{agent.name}.default.r3.{index}" for index in (1, 2)]


def test_node_exporter(engine: Engine, tmp_path: Path) -> None:
    tags = tuple(f"node-exporter:{version}" for version in VERSIONS)
    load_packaged(engine, "/usr/bin/prometheus-node-exporter", ("prometheus-node-exporter", "libc6"), tags)
    host = Host(engine, tmp_path, SPECS / "node-exporter.yaml")

    def told() -> str:
        with urllib.request.urlopen(f"http://{engine.address}:19100/metrics", timeout=10) as answer:
            page = answer.read().decode()
        assert "node_load1 " in page
        return str("node_uname_info" in page)

    story(host, Agent("node-exporter", {"MORE": "--collector.uname"}, told, lambda: host.load(19100)))


def test_memcached_over_tcp(engine: Engine, tmp_path: Path) -> None:
    tags = tuple(f"memcached:{version}" for version in VERSIONS)
    packages = ("memcached", "libc6", "libevent-2.1-7", "libsasl2-2", "libssl3")
    load_packaged(engine, "/usr/bin/memcached", packages, tags)
    host = Host(engine, tmp_path, SPECS / "memcached.yaml")

    def told() -> str:
        with contextlib.closing(socket.create_connection((engine.address, 19211), timeout=15)) as connection:
            connection.sendall(b"stats settings\r\n")
            text = b""
            while not text.endswith(b"END\r\n"):
                piece = connection.recv(4096)
                if not piece:
                    raise ConnectionError(f"closed after {text!r}")
                text += piece
        return next(line for line in text.decode().splitlines() if " maxbytes " in line)

    story(host, Agent("memcached", {"MEGABYTES": "32"}, told, lambda: asking(told)))


@contextlib.contextmanager
def asking(told: Told, rate: float = 20.0) -> Iterator[Load]:
    """Ask again and again, over a connection of its own each time; whoever gets no answer is lost."""
    load, stop = Load({"asked": 0, "lost": 0, "reasons": []}), threading.Event()

    def ask() -> None:
        while not stop.wait(1 / rate):
            load.report["asked"] += 1
            try:
                told()
            except OSError as error:
                load.report["lost"] += 1
                load.report["reasons"].append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield load
    finally:
        stop.set()
        thread.join()
