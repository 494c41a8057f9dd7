"""What happens to a host in its life: a reboot, an instance removed by hand, more and fewer instances, a restart."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.host import LISTEN, Host, until
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def host(session_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """web 1.0.0 on two instances."""
    session_engine.reset()
    host = Host(session_engine, tmp_path_factory.mktemp("host"))
    host.deployed("1.0.0")
    try:
        yield host
    finally:
        session_engine.reset()


def test_after_a_reboot_everything_serves_again_without_a_controller(host: Host) -> None:
    before = addresses(host)
    host.engine.power_cycle()
    until(lambda: serves(host))
    assert addresses(host) == before
    with host.load() as load:
        time.sleep(1)
    assert load.report["lost"] == 0, load.report


def test_scale_and_restart_under_load(host: Host) -> None:
    with host.load() as load:
        began = time.monotonic()
        done = host.tidegate("scale", "4")
        took = time.monotonic() - began
        assert done.code == 0, done
        assert len(host.instances()) == 4
        assert took < 30, "seconds, also on a busy machine"
        started = {name: host.engine.inspect(name)["State"]["StartedAt"] for name in host.instances()}
        assert host.tidegate("restart").code == 0
        assert all(host.engine.inspect(name)["State"]["StartedAt"] > at for name, at in started.items())
        assert host.tidegate("scale", "2").code == 0
    assert load.report["lost"] == 0, load.report
    assert host.instances() == ["web.prod.r1.1", "web.prod.r1.2"]


def test_an_instance_removed_by_hand_comes_back(host: Host) -> None:
    before = addresses(host)
    with host.serving(), host.load(rate=20) as load:
        host.engine.docker("rm", "--force", "web.prod.r1.1")
        until(lambda: addresses(host) == before)
    assert load.report["versions"]["1.0.0"]["answers"] > 0
    with host.serving(), host.load() as load:
        time.sleep(2)
    assert load.report["lost"] == 0, load.report


def addresses(host: Host) -> dict[str, str]:
    """The fixed address of every instance."""
    networks = {
        str(one["Names"][0]).lstrip("/"): one["NetworkSettings"]["Networks"] for one in host.engine.containers()
    }
    return {
        name: of["tidegate"]["IPAMConfig"]["IPv4Address"]
        for name, of in networks.items()
        if name.startswith("web.prod.") and "tidegate" in of
    }


def serves(host: Host) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host.engine.address}:{LISTEN}/", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
