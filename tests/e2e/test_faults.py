"""Faults on a real host under load: each ends in a clear state, with a reason to read, and stable serves on."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.host import LISTEN, Host, until
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def host(session_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for all of the tests here: web 1.0.0 serves, and serves on through all that is done to it."""
    session_engine.reset()
    host = Host(session_engine, tmp_path_factory.mktemp("faults"))
    host.deployed("1.0.0")
    try:
        yield host
    finally:
        session_engine.reset()


BAD = {
    "exits at once": ({"MODE": "exit"}, "restarted", "cannot find its configuration"),
    "exits at once, not to be restarted": ({"MODE": "exit", "RESTART": "no"}, "exited with 1", "cannot find"),
    "never becomes ready": ({"MODE": "deaf", "READY_DEADLINE": "3s"}, "was not ready within 3 s", "begins as deaf"),
    "is killed for memory": ({"MODE": "hog"}, "killed for want of memory", "fills its memory"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_container_is_taken_back_with_its_last_words(host: Host, fault: str) -> None:
    variables, reason, words = BAD[fault]
    host.version("1.1.0")
    with host.load() as load:
        done = host.tidegate("deploy", VERSION="1.1.0", **variables)
    assert done.code == 3, done
    told = host.explained()
    assert reason in told["reasons"][0], told
    assert any(words in line for line in told["log"]), told["log"]
    assert len(told["log"]) <= 50
    assert load.report["lost"] == 0, load.report
    assert all(name.startswith("web.prod.r1.") for name in host.instances()), host.instances()


def test_an_image_that_is_not_there_ends_with_its_name(host: Host) -> None:
    with host.load() as load:
        done = host.tidegate("deploy", VERSION="9.9.9", REPOSITORY="localhost:59999/web")
    assert done.code == 3, done
    told = host.explained()
    assert "image localhost:59999/web:9.9.9: " in told["reasons"][0], told
    assert "revision 1 (1.0.0) serves" in told["headline"]
    assert load.report["lost"] == 0, load.report


def test_a_port_that_a_container_publishes_already_is_named_with_its_holder(host: Host) -> None:
    """The new release wants the host's port 18090 for itself; somebody else has it."""
    binding = {"PortBindings": {"80/tcp": [{"HostPort": "18090"}]}}
    host.engine.run(host.base, "sleep", "600", name="rival", ExposedPorts={"80/tcp": {}}, HostConfig=binding)
    host.version("1.1.0")
    spec = host.folder / "published.yaml"
    spec.write_text(host.spec.read_text().replace("  restart:", '  ports: ["18090:80"]\n  restart:'))
    try:
        with host.load() as load:
            done = replace(host, spec=spec).tidegate("deploy", VERSION="1.1.0", REPLICAS="1")
        assert done.code == 3, done
        assert len(host.instances()) == 3, "stable has as many instances as before"
        assert "port 18090 of the host is taken by container rival" in host.explained()["reasons"][0]
        assert load.report["lost"] == 0, load.report
    finally:
        host.engine.docker("rm", "--force", "rival")


def test_a_port_that_the_gateway_cannot_have_is_named_with_its_holder(host: Host, tmp_path: Path) -> None:
    """Another agent wants to listen where a process of the host does: a person decides, and web serves on."""
    listener = subprocess.Popen(host.engine.slot.enter("busybox", "nc", "-l", "-p", "18091"))
    other = Host(host.engine, tmp_path, variables={"AGENT": "other", "LISTEN": "18091"})
    host.version("1.0.0")
    try:
        with host.load() as load:
            done = other.tidegate("deploy", SWITCH_DEADLINE="4s")
            told = other.explained()
        assert done.code == 5, done
        assert f"port 18091 of the gateway's host is taken by process {listener.pid}" in told["reasons"][0], told
        assert load.report["lost"] == 0, load.report
    finally:
        listener.kill()
        listener.wait()
        assert other.tidegate("abort").code == 0
        ended = other.tidegate("decommission", "--yes")
        assert ended.code == 0, ended


def test_a_killed_gateway_comes_back_and_nobody_is_blamed(host: Host) -> None:
    """Requests are lost while there is no gateway, which is no evidence against the candidate."""
    host.version("1.1.0")
    with host.load() as load:
        running = host.begin("deploy", VERSION="1.1.0", ANALYSE="5s")
        until(lambda: host.phase("1.1.0") == "progressing")
        until(lambda: host.stored()["rollout"]["weight"])
        host.engine.docker("kill", "--signal", "KILL", "tidegate-gateway-1")
        host.engine.docker("start", "tidegate-gateway-1")
        done = running.wait()
        assert done.code == 0, done
        undone = host.tidegate("undo")
    assert undone.code == 0, undone
    assert load.report["lost"] < 50 * 10, "back within seconds"
    assert load.report["agent_faults"] == 0


def test_a_daemon_that_stops_in_mid_rollout_holds_it_and_then_it_goes_on(host: Host) -> None:
    host.version("1.1.0")
    with host.load() as load:
        running = host.begin("deploy", VERSION="1.1.0", ANALYSE="4s")
        until(lambda: host.phase("1.1.0") == "progressing")
        until(lambda: host.stored()["rollout"]["weight"])
        host.engine.stop()
        until(lambda: host.events("unreachable"))
        time.sleep(2)  # a moment in which nothing may be decided
        assert host.phase("1.1.0") == "progressing"
        host.engine.start()
        done = running.wait()
        assert done.code == 0, done
        assert host.tidegate("undo").code == 0
    assert load.report["lost"] == 0, load.report
    because = " / ".join(event["because"] for event in host.events("unreachable"))
    assert "the engine cannot be reached" in because
    assert "deadlines moved" in because


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_bad_canary_is_taken_back_though_the_states_disk_is_full(host: Host, small_disk: Path) -> None:
    other = Host(
        host.engine,
        small_disk.parent,
        variables={"AGENT": "other", "LISTEN": "18091", "TIDEGATE_STATE": str(small_disk / "tidegate.db")},
    )
    other.deployed("1.0.0")
    other.version("1.1.0")
    with host.load() as neighbour, other.load(18091, rate=40) as load:
        running = other.begin("deploy", VERSION="1.1.0", ANALYSE="120s")
        until(lambda: other.stored()["rollout"]["weight"] == 20)
        until(lambda: "1.1.0" in answers(other, 40))
        fill(small_disk)
        time.sleep(14)  # longer than a lease lasts
        (other.trouble / "1.1.0").touch()
        until(lambda: "1.1.0" not in answers(other, 60))
        assert running.process.poll() is None, running.err.read_text()
        told = other.tidegate("pause", "--timeout", "5")
        assert told.code == 1, told
        assert "disk" in told.err, told
        (small_disk / "filler").unlink()
        done = running.wait()
    assert done.code == 3, done
    assert "errors in" in other.explained()["reasons"][0]
    assert not any(name.startswith("other.prod.r2.") for name in other.instances())
    assert load.report["lost"] == neighbour.report["lost"] == 0, (load.report, neighbour.report)
    assert other.tidegate("decommission", "--yes").code == 0


def fill(disk: Path) -> None:
    """Leave no room at all."""
    done = subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=4k"], capture_output=True, check=False)
    assert b"No space left" in done.stderr, done


def answers(host: Host, count: int) -> set[str]:
    """The versions that answered so many requests."""
    url = f"http://{host.engine.address}:{host.variables.get('LISTEN', LISTEN)}/"
    versions = set()
    for _ in range(count):
        try:
            with urllib.request.urlopen(url, timeout=15) as answer:
                versions.add(answer.read().decode())
        except urllib.error.HTTPError as error:
            versions.add(error.headers["x-agent-version"])
    return versions
