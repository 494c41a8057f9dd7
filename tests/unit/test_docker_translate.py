"""A workload in the Engine API's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docker_support import KEY, goals, revision
from tidegate.adapters.platform.docker.labels import IDENTITY, same_goal
from tidegate.adapters.platform.docker.translate import Placement, create_body, merge_attributes, restart_policy
from tidegate.model.errors import UsageError
from tidegate.model.workload import (
    HealthCheck,
    Mount,
    MountKind,
    PortProtocol,
    PublishedPort,
    Resources,
    SecretRef,
    Workload,
)

HERE = Placement("sha256:1", network="tidegate", address="10.9.0.7")


def body(workload: Workload, placement: Placement = HERE) -> dict[str, Any]:
    (goal,) = goals(revision(3, workload))
    return create_body(KEY, goal, placement)


def env(found: dict[str, Any]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in found["Env"])


@pytest.mark.parametrize(
    ("workload", "where", "expected"),
    [
        (Workload(command=("a", "b")), ("Cmd",), ["a", "b"]),
        (Workload(command=()), ("Cmd",), []),
        (Workload(entrypoint=("e",)), ("Entrypoint",), ["e"]),
        (Workload(entrypoint=()), ("Entrypoint",), []),
        (Workload(user="1000:1000"), ("User",), "1000:1000"),
        (Workload(working_dir="/srv"), ("WorkingDir",), "/srv"),
        (Workload(hostname="h"), ("Hostname",), "h"),
        (Workload(stop_signal="SIGINT"), ("StopSignal",), "SIGINT"),
        (Workload(stop_grace_s=2.5), ("StopTimeout",), 3),
        (Workload(stop_grace_s=0.0), ("StopTimeout",), 0),
        (Workload(healthcheck=HealthCheck(disable=True)), ("Healthcheck",), {"Test": ["NONE"]}),
        (
            Workload(healthcheck=HealthCheck(("CMD", "true"), 1.5, 2, 4, 5)),
            ("Healthcheck",),
            {
                "Test": ["CMD", "true"],
                "Interval": 1_500_000_000,
                "Timeout": 2_000_000_000,
                "Retries": 4,
                "StartPeriod": 5_000_000_000,
            },
        ),
        (
            Workload(mounts=(Mount(MountKind.VOLUME, "/data", "vol", True),)),
            ("HostConfig", "Mounts"),
            [{"Type": "volume", "Target": "/data", "ReadOnly": True, "Source": "vol"}],
        ),
        (
            Workload(mounts=(Mount(MountKind.TMPFS, "/tmp"),)),
            ("HostConfig", "Mounts"),
            [{"Type": "tmpfs", "Target": "/tmp", "ReadOnly": False}],
        ),
        (
            Workload(
                ports=(
                    PublishedPort(53, 5353, PortProtocol.UDP, "127.0.0.1"),
                    PublishedPort(54, 5353, PortProtocol.UDP),
                )
            ),
            ("HostConfig", "PortBindings"),
            {"5353/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}, {"HostIp": "", "HostPort": "54"}]},
        ),
        (Workload(ports=(PublishedPort(80, 8080),)), ("ExposedPorts",), {"8080/tcp": {}}),
        (Workload(resources=Resources(cpus=0.25)), ("HostConfig", "NanoCpus"), 250_000_000),
        (Workload(resources=Resources(memory_bytes=64 << 20)), ("HostConfig", "Memory"), 64 << 20),
        (Workload(resources=Resources(memory_bytes=64 << 20)), ("HostConfig", "MemorySwap"), 64 << 20),
        (Workload(resources=Resources(pids=50)), ("HostConfig", "PidsLimit"), 50),
        (
            Workload(restart="on-failure:4"),
            ("HostConfig", "RestartPolicy"),
            {"Name": "on-failure", "MaximumRetryCount": 4},
        ),
        (Workload(), ("HostConfig", "RestartPolicy"), {"Name": "unless-stopped", "MaximumRetryCount": 0}),
        (Workload(init=True), ("HostConfig", "Init"), True),
        (Workload(read_only=True), ("HostConfig", "ReadonlyRootfs"), True),
        (Workload(privileged=True), ("HostConfig", "Privileged"), True),
        (Workload(cap_add=("NET_ADMIN",)), ("HostConfig", "CapAdd"), ["NET_ADMIN"]),
        (Workload(cap_drop=("ALL",)), ("HostConfig", "CapDrop"), ["ALL"]),
        (Workload(security_opt=("no-new-privileges",)), ("HostConfig", "SecurityOpt"), ["no-new-privileges"]),
        (Workload(extra_hosts=("db:10.0.0.1",)), ("HostConfig", "ExtraHosts"), ["db:10.0.0.1"]),
        (Workload(dns=("10.0.0.53",)), ("HostConfig", "Dns"), ["10.0.0.53"]),
        (
            Workload(devices=("/dev/fuse", "/dev/a:/dev/b:r")),
            ("HostConfig", "Devices"),
            [
                {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
                {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"},
            ],
        ),
        (Workload(group_add=("audio",)), ("HostConfig", "GroupAdd"), ["audio"]),
        (Workload(sysctls={"net.core.somaxconn": "1"}), ("HostConfig", "Sysctls"), {"net.core.somaxconn": "1"}),
        (
            Workload(ulimits={"nofile": (10, 20)}),
            ("HostConfig", "Ulimits"),
            [{"Name": "nofile", "Soft": 10, "Hard": 20}],
        ),
        (Workload(shm_bytes=1024), ("HostConfig", "ShmSize"), 1024),
        (
            Workload(log_options={"max-size": "10m"}),
            ("HostConfig", "LogConfig"),
            {"Type": "json-file", "Config": {"max-size": "10m"}},
        ),
        (Workload(network_mode="host"), ("HostConfig", "NetworkMode"), "host"),
        (Workload(), ("HostConfig", "NetworkMode"), "tidegate"),
        (
            Workload(),
            ("NetworkingConfig", "EndpointsConfig", "tidegate"),
            {"Aliases": ["shop"], "IPAMConfig": {"IPv4Address": "10.9.0.7"}},
        ),
        (Workload(networks=("db", "mq")), ("Labels", "dev.tidegate.networks"), "db,mq"),
    ],
)
def test_field(workload: Workload, where: tuple[str, ...], expected: object) -> None:
    found: Any = body(workload)
    for step in where:
        found = found[step]
    assert found == expected


def test_what_is_not_said_is_left_to_the_image() -> None:
    found = body(Workload())
    assert {"Cmd", "Entrypoint", "User", "WorkingDir", "Healthcheck", "StopSignal"}.isdisjoint(found)
    assert {"Init", "Privileged", "Memory", "NanoCpus", "PidsLimit"}.isdisjoint(found["HostConfig"])


def test_host_network_has_no_address_of_its_own() -> None:
    assert "NetworkingConfig" not in body(Workload(network_mode="host"))


def test_environment_of_tidegate_the_workload_and_its_secrets() -> None:
    workload = Workload(
        environment={"A": "1", "OTEL_RESOURCE_ATTRIBUTES": "team=red,service.version=old"},
        secrets=(SecretRef("PASSWORD", "file", "/x"),),
    )
    placement = Placement("sha256:1", secrets={"PASSWORD": "hunter2"}, url="http://10.9.0.1:4319", token="t0ken")
    assert env(body(workload, placement)) == {
        "A": "1",
        "PASSWORD": "hunter2",
        "OTEL_RESOURCE_ATTRIBUTES": "team=red,service.version=1.3.0,service.name=shop,"
        "service.instance.id=shop.prod.r3.0,deployment.environment.name=prod",
        "TIDEGATE_AGENT": "shop",
        "TIDEGATE_ENVIRONMENT": "prod",
        "TIDEGATE_INSTANCE": "shop.prod.r3.0",
        "TIDEGATE_REVISION": "3",
        "TIDEGATE_URL": "http://10.9.0.1:4319",
        "TIDEGATE_AGENT_TOKEN": "t0ken",
    }


def test_without_heartbeats_there_is_neither_url_nor_token() -> None:
    assert {"TIDEGATE_URL", "TIDEGATE_AGENT_TOKEN"}.isdisjoint(env(body(Workload())))


def test_a_placement_does_not_print_its_secrets() -> None:
    printed = repr(Placement("sha256:1", secrets={"PASSWORD": "hunter2"}, token="t0ken"))
    assert "hunter2" not in printed
    assert "t0ken" not in printed


def test_attributes_of_the_image_are_kept_where_the_workload_sets_none() -> None:
    found = env(body(Workload(), Placement("sha256:1", image_attributes="vcs=abc")))
    assert found["OTEL_RESOURCE_ATTRIBUTES"].startswith("vcs=abc,service.name=shop,")


def test_attribute_values_are_percent_encoded() -> None:
    assert merge_attributes("a=x%2Cy, broken ,b = 2", {"c": "d,e=f g"}) == "a=x%2Cy,b=2,c=d%2Ce%3Df%20g"


def test_a_restart_policy_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="sometimes"):
        restart_policy("sometimes")
    with pytest.raises(UsageError, match="on-failure:x"):
        restart_policy("on-failure:x")


def test_labels_identify_the_goal_and_a_track_is_never_one() -> None:
    labels = body(Workload(labels={"own": "1", "dev.tidegate.agent": "forged"}))["Labels"]
    assert labels["own"] == "1"
    assert labels["dev.tidegate.agent"] == "shop"
    assert labels["dev.tidegate.revision"] == "3"
    assert labels["dev.tidegate.release"] == "rel-3"
    assert not any("track" in label for label in labels)
    other = body(Workload(environment={"A": "2"}))["Labels"]
    assert not same_goal(other, labels)
    assert same_goal({**labels, "extra": "x"}, labels)
    assert set(IDENTITY) <= set(labels)
