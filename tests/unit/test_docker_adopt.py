"""What looks secret; a container's inspect as a workload; what taking it over means."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.docker_support import KEY
from tidegate.adapters.platform.docker.adopt import Adoption, read_adoption
from tidegate.adapters.platform.docker.secrecy import save_secrets
from tidegate.adapters.platform.docker.takeover import explain
from tidegate.model.errors import StoreError, UsageError
from tidegate.model.release import Image
from tidegate.model.secrecy import looks_secret, secret_arguments
from tidegate.model.workload import Mount, MountKind, PortProtocol, PublishedPort, Resources, Workload

RANDOM = "q7Xv2LpZ9sKd4RtY8wBn3MfH"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("DB_PASSWORD", "x", True),
        ("apiKey", "abc", True),
        ("GITHUB_TOKEN", "t", True),
        ("PGPASSWORD", "x", True),
        ("DB_PASSWORD_FILE", "/run/secrets/db", False),
        ("TOKEN_TTL", "3600", False),
        ("USE_AUTH", "true", False),
        ("EMPTY_PASSWORD", "", False),
        ("DATABASE_URL", "postgres://ada:pw@db/shop", True),
        ("DATABASE_URL", "postgres://db/shop", False),
        ("CONNECTION", "Server=db;User=a;Password=b;", True),
        ("BLOB", RANDOM, True),
        ("CERT", "-----BEGIN RSA PRIVATE KEY-----\nabc", True),
        ("JSON_WEB", "eyJhbGciOiJI.eyJzdWIiOiIx.abc", True),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", False),
        ("LANG", "en_US.UTF-8", False),
        ("MONKEY_NAME", "george", False),
        ("KEYBOARD", "us", False),
        ("SINK_URL", "http://sink.example.internal:8080/ingest", False),
        ("VERSION", "2024.11.03-production-eu", False),
    ],
)
def test_looks_secret(name: str, value: str, secret: bool) -> None:
    assert looks_secret(name, value) is secret


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (("serve", "--port", "80"), ()),
        (("serve", "--password=x"), (1,)),
        (("serve", "--api-key", "x"), (2,)),
        (("redis", f"--requirepass={RANDOM}"), (1,)),
        (("sh", "-c", "PASSWORD=abc exec run"), (2,)),
    ],
)
def test_secret_words_of_a_command(command: tuple[str, ...], found: tuple[int, ...]) -> None:
    assert secret_arguments(command) == found


def test_secrets_are_saved_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "shop.prod"
    (reference,) = save_secrets({"DB_PASSWORD": "two\nlines\r\n"}, folder)
    assert (reference.variable, reference.source) == ("DB_PASSWORD", "file")
    assert Path(reference.reference).read_bytes() == b"two\nlines\r\n"
    assert stat.S_IMODE(Path(reference.reference).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert save_secrets({"DB_PASSWORD": "changed"}, folder) == (reference,)
    assert [path.name for path in folder.iterdir()] == ["DB_PASSWORD"]


def test_a_folder_that_cannot_be_made_is_named_and_no_value(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file") as caught:
        save_secrets({"DB_PASSWORD": "hunter2"}, tmp_path / "file" / "x")
    assert "hunter2" not in caught.value.message


IMAGE = {
    "Id": "sha256:1",
    "RepoDigests": ["reg/shop@sha256:m"],
    "Config": {"Env": ["PATH=/bin"], "Cmd": ["serve"], "Labels": {"vendor": "x"}, "WorkingDir": "/srv"},
}


def inspected(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "Id": "abcdef0123456789",
        "Name": "/web",
        "Image": "sha256:1",
        "Config": {
            "Image": "reg/shop:1",
            "Hostname": "abcdef012345",
            "Env": ["PATH=/bin"],
            "Cmd": ["serve"],
            "Labels": {"vendor": "x"},
            "WorkingDir": "/srv",
            **(config or {}),
        },
        "HostConfig": {"NetworkMode": "default", "RestartPolicy": {"Name": "no"}, **(host or {})},
        "NetworkSettings": {"Networks": {"bridge": {}}, "Ports": {}},
        **more,
    }


def test_what_the_image_says_is_left_to_the_image() -> None:
    found = read_adoption(inspected(), IMAGE)
    assert found.workload == Workload(image="reg/shop:1", restart="no")
    assert found.image == Image("reg/shop:1", "sha256:1", "sha256:m")
    assert found.lost == ()


def test_what_the_person_said_is_kept() -> None:
    facts = inspected(
        {"Env": ["PATH=/bin", "MODE=fast"], "Cmd": ["serve", "-v"], "Hostname": "web1", "User": "7", "StopTimeout": 3},
        {
            "NetworkMode": "shopnet",
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
            "NanoCpus": 500_000_000,
            "Memory": 1 << 26,
            "PidsLimit": 40,
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
            "Tmpfs": {"/tmp": ""},
            "CapDrop": ["ALL"],
        },
        Mounts=[
            {"Type": "volume", "Name": "data", "Source": "/var/lib/x", "Destination": "/data", "RW": True},
            {"Type": "bind", "Source": "/etc/shop", "Destination": "/conf", "RW": False},
        ],
        NetworkSettings={
            "Networks": {"shopnet": {}},
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]},
        },
    )
    assert read_adoption(facts, IMAGE).workload == Workload(
        image="reg/shop:1",
        command=("serve", "-v"),
        environment={"MODE": "fast"},
        mounts=(
            Mount(MountKind.VOLUME, "/data", "data"),
            Mount(MountKind.BIND, "/conf", "/etc/shop", True),
            Mount(MountKind.TMPFS, "/tmp"),
        ),
        ports=(PublishedPort(8080, 80),),
        networks=("shopnet",),
        resources=Resources(0.5, 1 << 26, 40),
        restart="on-failure:2",
        stop_grace_s=3.0,
        user="7",
        hostname="web1",
        cap_drop=("ALL",),
    )


def test_a_port_that_the_engine_chose_is_kept() -> None:
    facts = inspected(
        host={"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "0"}]}},
        NetworkSettings={"Networks": {}, "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}]}},
    )
    assert read_adoption(facts, IMAGE).workload.ports == (PublishedPort(49153, 80),)


def test_secret_values_leave_the_workload() -> None:
    found = read_adoption(inspected({"Env": ["DB_PASSWORD=hunter2", "MODE=fast"]}), IMAGE)
    assert found.workload.environment == {"MODE": "fast"}
    assert found.secrets == {"DB_PASSWORD": "hunter2"}
    assert "hunter2" not in repr(found)


def test_a_secret_in_the_command_is_refused_without_telling_it() -> None:
    with pytest.raises(UsageError, match="word 2 of its Cmd") as caught:
        read_adoption(inspected({"Cmd": ["serve", "--password=hunter2"]}), IMAGE)
    assert "hunter2" not in caught.value.message


def test_what_is_lost_is_named() -> None:
    facts = inspected({"Labels": {"com.docker.compose.project": "x"}}, {"CpusetCpus": "0-1", "AutoRemove": True})
    assert read_adoption(facts, IMAGE).lost == (
        "CpusetCpus 0-1",
        "AutoRemove True",
        "label com.docker.compose.project",
    )


def test_the_plan_of_a_takeover_states_its_downtime() -> None:
    workload = Workload(ports=(PublishedPort(80, 8080), PublishedPort(53, 53, PortProtocol.UDP)), stop_grace_s=5.0)
    adoption = Adoption("web", "id", Image("reg/shop:1"), workload, {"TOKEN": "hunter2"}, ("CpusetCpus 0-1",))
    assert explain(adoption, KEY) == (
        "container web (reg/shop:1) becomes shop.prod.r1.1; it is not restarted",
        "kept as secrets in files, not in the state: TOKEN",
        "not carried over: CpusetCpus 0-1",
        "port 80/tcp goes on past the gateway, straight to the container",
        "port 53/udp goes on past the gateway, straight to the container",
        "to give port 80 to the gateway later, deliver a release with a route on it (routes: listen: 80), without the "
        "port, in place. Downtime of port 80: up to about 7 s (5 s for the container to end, 2 s for the gateway to "
        "listen), and until the release is ready",
    )
    assert "owntime" not in " ".join(explain(replace(adoption, workload=Workload()), KEY))
