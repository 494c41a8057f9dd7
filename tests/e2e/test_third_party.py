"""Agents that nobody here wrote, delivered by a spec alone: one in Go over HTTP, one in C over a protocol of its own."""

from __future__ import annotations

import contextlib
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.host import SPECS, Host
from tests.e2e.packaged import load_packaged
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


def story(host: Host, agent: str, changed: dict[str, str], broken: dict[str, str], told: Callable[[], str]) -> None:
    """First release, a canary, undo, a bad release taken back. `told` asks the agent what tells its versions apart."""
    assert host.tidegate("deploy").code == 0
    first = told()
    done = host.tidegate("deploy", VERSION="1.1.0", **changed)
    assert done.code == 0, done
    second = told()
    assert second != first
    undone = host.tidegate("undo")
    assert undone.code == 0, undone
    assert told() == first
    bad = host.tidegate("deploy", VERSION="1.2.0", **broken)
    assert bad.code == 3, bad
    assert told() == first
    explained = host.explained()
    assert any("no-such-flag" in line for line in explained["log"]), explained
    assert host.instances() == [f"{agent}.default.r3.{index}" for index in (1, 2)]


def test_node_exporter(engine: Engine, tmp_path: Path) -> None:
    tags = tuple(f"node-exporter:{version}" for version in VERSIONS)
    load_packaged(engine, "/usr/bin/prometheus-node-exporter", ("prometheus-node-exporter", "libc6"), tags)
    host = Host(engine, tmp_path, SPECS / "node-exporter.yaml")

    def told() -> str:
        with urllib.request.urlopen(f"http://{engine.address}:19100/metrics", timeout=10) as answer:
            page = answer.read().decode()
        assert "node_load1 " in page
        return str("node_uname_info" in page)

    # What is deployed first does not serve yet, so the load begins by itself once it does.
    story(host, "node-exporter", {"MORE": "--collector.uname"}, {"MORE": "--no-such-flag"}, told)
    with host.load(19100) as load:
        assert host.tidegate("restart").code == 0
    assert load.report["lost"] == 0, load.report


def test_memcached_over_tcp(engine: Engine, tmp_path: Path) -> None:
    tags = tuple(f"memcached:{version}" for version in VERSIONS)
    packages = ("memcached", "libc6", "libevent-2.1-7", "libsasl2-2", "libssl3")
    load_packaged(engine, "/usr/bin/memcached", packages, tags)
    host = Host(engine, tmp_path, SPECS / "memcached.yaml")

    def told() -> str:
        with contextlib.closing(socket.create_connection((engine.address, 19211), timeout=10)) as connection:
            connection.sendall(b"stats settings\r\n")
            text = b""
            while not text.endswith(b"END\r\n"):
                assert (piece := connection.recv(4096)), text
                text += piece
        return next(line for line in text.decode().splitlines() if " maxbytes " in line)

    story(host, "memcached", {"MEGABYTES": "32"}, {"MORE": "--no-such-flag"}, told)
