"""The engines that the other tests stand on: what they promise, shown once."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.engine import Engine
from tests.netns import engine_pids

pytestmark = pytest.mark.engine

BUSYBOX = "tidegate/base-busybox"
SERVE = ("sh", "-c", "mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www")


def fetch(url: str, deadline_s: float = 10) -> str:
    """GET until it answers."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def test_container_is_reached_by_its_address_and_by_a_published_port(engine: Engine) -> None:
    engine.run(
        BUSYBOX,
        *SERVE,
        name="web",
        ExposedPorts={"8080/tcp": {}},
        HostConfig={"PortBindings": {"8080/tcp": [{"HostPort": "18080"}]}},
    )
    assert fetch(f"http://{engine.container_address('web')}:8080/") == "hello\n"
    assert fetch(f"http://{engine.address}:18080/") == "hello\n"


def test_fixed_address_on_a_named_subnet_is_reached(engine: Engine) -> None:
    subnet = engine.subnet(3)
    address = subnet.replace(".0/24", ".77")
    engine.api("POST", "/networks/create", {"Name": "own", "IPAM": {"Config": [{"Subnet": subnet}]}})
    engine.run(
        BUSYBOX,
        *SERVE,
        HostConfig={"NetworkMode": "own"},
        NetworkingConfig={"EndpointsConfig": {"own": {"IPAMConfig": {"IPv4Address": address}}}},
    )
    assert fetch(f"http://{address}:8080/") == "hello\n"


def test_container_reaches_the_tests_side(engine: Engine) -> None:
    container = engine.run(BUSYBOX, "ping", "-c", "1", "-W", "5", engine.gateway_ip)
    assert engine.wait(container) == 0


def test_reset_leaves_nothing(engine: Engine) -> None:
    engine.api("POST", "/volumes/create", {"Name": "kept"})
    engine.api("POST", "/networks/create", {"Name": "own"})
    engine.run(BUSYBOX, "sleep", "60", HostConfig={"Binds": ["kept:/data"], "NetworkMode": "own"})
    engine.reset()
    assert engine.containers() == []
    assert not engine.api("GET", "/volumes")["Volumes"]
    assert {network["Name"] for network in engine.api("GET", "/networks")} == {"bridge", "host", "none"}


def test_containers_serve_through_a_killed_daemon(fresh_engine: Engine) -> None:
    fresh_engine.load(BUSYBOX)
    web = fresh_engine.run(BUSYBOX, *SERVE)
    url = f"http://{fresh_engine.container_address(web)}:8080/"
    assert fetch(url) == "hello\n"
    fresh_engine.kill()
    assert fetch(url, deadline_s=1) == "hello\n"
    fresh_engine.start()
    assert fresh_engine.inspect(web)["State"]["Running"]
    assert fetch(url, deadline_s=1) == "hello\n"


def test_power_cycle_acts_on_restart_policies(fresh_engine: Engine) -> None:
    fresh_engine.load(BUSYBOX)
    kept = fresh_engine.run(BUSYBOX, "sleep", "600", HostConfig={"RestartPolicy": {"Name": "unless-stopped"}})
    lost = fresh_engine.run(BUSYBOX, "sleep", "600")
    before = fresh_engine.inspect(kept)["State"]["Pid"]
    fresh_engine.power_cycle()
    end = time.monotonic() + 10
    while not fresh_engine.inspect(kept)["State"]["Running"] and time.monotonic() < end:
        time.sleep(0.05)
    assert fresh_engine.inspect(kept)["State"]["Pid"] not in {0, before}
    assert not fresh_engine.inspect(lost)["State"]["Running"]


def test_link_down_cuts_and_link_up_joins(engine: Engine) -> None:
    web = engine.run(BUSYBOX, *SERVE)
    url = f"http://{engine.container_address(web)}:8080/"
    assert fetch(url) == "hello\n"
    engine.link_down()
    with pytest.raises((urllib.error.URLError, TimeoutError)):
        fetch(url, deadline_s=0)
    engine.link_up()
    assert fetch(url) == "hello\n"


def test_two_engines_do_not_meet_and_close_leaves_nothing() -> None:
    with Engine() as first, Engine() as second:
        assert first.address != second.address
        first.load(BUSYBOX)
        first.run(BUSYBOX, "sleep", "600", name="only-here")
        assert second.containers() == []
    for closed in (first, second):
        assert not closed.directory.exists()
        assert engine_pids(closed.directory) == set()
        assert not Path(f"/run/netns/{closed.slot.namespace}").exists()
        assert not Path(f"/sys/class/net/{closed.slot.outer}").exists()
