"""Which engines say that their containers cannot be reached by address, and which are worth asking."""

from pathlib import Path

import pytest

from tidegate.adapters.gateway.container import BRIDGE, HOST
from tidegate.adapters.gateway.ports import taken_port
from tidegate.adapters.reach import is_walled, may_be_walled
from tidegate.model.errors import UsageError
from tidegate.wiring import gateway_mode

# Engine 20.10 on Debian, started by dockerd-rootless.sh: as it answered.
ROOTLESS = {
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"],
}
DESKTOP = {"OperatingSystem": "Docker Desktop", "SecurityOptions": ["name=seccomp,profile=unconfined"]}
ORDINARY = {"OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "SecurityOptions": ["name=seccomp,profile=default"]}


def test_rootless_engines_and_virtual_machines_are_walled() -> None:
    assert is_walled(ROOTLESS)
    assert is_walled(DESKTOP)
    assert not is_walled(ORDINARY)
    assert not is_walled({})


def test_only_a_users_own_socket_is_worth_asking(tmp_path: Path) -> None:
    socket = tmp_path / "docker.sock"
    socket.touch()
    ours = socket.stat().st_uid != 0
    assert may_be_walled(f"unix://{socket}") is ours
    assert not may_be_walled(f"unix://{tmp_path}/absent.sock")
    assert not may_be_walled("tcp://10.0.0.7:2376")


def test_the_mode_may_be_said() -> None:
    assert [gateway_mode({"TIDEGATE_GATEWAY": mode}) for mode in ("", "host", "bridge")] == ["", HOST, BRIDGE]
    with pytest.raises(UsageError, match="TIDEGATE_GATEWAY=hots"):
        gateway_mode({"TIDEGATE_GATEWAY": "hots"})


@pytest.mark.parametrize(
    ("reason", "port"),
    [
        ("cannot bind '0.0.0.0:18091': Address already in use", 18091),
        ("driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated", 80),
        ("Error starting userland proxy: listen tcp4 0.0.0.0:8443: bind: address already in use", 8443),
        ("no space left on device", None),
    ],
)
def test_the_port_in_a_complaint(reason: str, port: int | None) -> None:
    assert taken_port(reason) == port
