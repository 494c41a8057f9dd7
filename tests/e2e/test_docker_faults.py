"""What goes wrong on a host, and what is then observed: each fault ends in a clear fact, and goes when it is mended."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docker_support import (
    BUSYBOX,
    KEY,
    SERVE,
    Secrets,
    desired,
    docker_platform,
    drive,
    goals,
    only,
    revision,
    settle,
)
from tests.engine import Engine
from tidegate.adapters.platform.docker.client import Engine as Connection
from tidegate.adapters.platform.docker.events import ContainerEvent
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.model.desired import Run
from tidegate.model.errors import ConflictError, EngineError
from tidegate.model.observation import ImageState, InstanceState, Observation
from tidegate.model.operation import CreateInstance, StartInstance
from tidegate.model.release import Image
from tidegate.model.workload import (
    Mount,
    MountKind,
    Probe,
    ProbeKind,
    PublishedPort,
    Resources,
    SecretRef,
    Workload,
)

pytestmark = pytest.mark.engine

NAME = "shop.prod.r1.0"
HASHED = "$2b$04$WnZdI.s/K8rgK8yBTcPCduc9NIUX/SpUmxnYa5qN2VRpo/GoEoSr."
"""bcrypt of pa:ss."""

READY = Probe(ProbeKind.HTTP, port=8080, path="/ready", period_s=0.1)
SERVING = Workload(command=SERVE, readiness=READY, stop_grace_s=0.0)


async def listening(engine: Engine, port: int) -> None:
    """Wait until something in the engine's namespace listens on a port."""
    end = time.monotonic() + 10
    tables = engine.slot.enter("cat", "/proc/net/tcp", "/proc/net/tcp6")
    while f":{port:04X} " not in subprocess.run(tables, capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


# -- instances that fail


async def test_an_instance_that_exits_at_once_loops_with_its_last_lines(engine: Engine) -> None:
    script = "exec 2>&1; for i in $(seq 60); do echo line $i; done; echo bad; exit 3"
    wanted = desired(*goals(revision(workload=Workload(command=("sh", "-c", script)))))

    def looping(observed: Observation) -> bool:
        return bool(observed.instances) and only(observed).restart_count > 1 and "bad" in only(observed).last_log

    async with docker_platform(engine) as platform:
        seen = only(await drive(platform, wanted, looping))
    assert len(seen.last_log) == 50
    assert seen.last_log[seen.last_log.index("bad") - 1] == "line 60"


async def test_an_instance_that_exits_and_is_not_to_be_restarted_tells_its_exit_code(engine: Engine) -> None:
    workload = Workload(command=("sh", "-c", "echo no config; exit 3"), restart="no")
    (goal,) = goals(revision(workload=workload))
    async with docker_platform(engine) as platform:
        for operation in (CreateInstance(KEY, goal, ""), StartInstance(NAME, "")):
            await platform.execute(operation)
        engine.wait(NAME)
        seen = only(await platform.observe(desired(goal)))
    assert (seen.state, seen.exit_code, seen.ready, seen.last_log) == (
        InstanceState.EXITED,
        3,
        False,
        ("no config",),
    )


async def test_a_command_that_is_not_in_the_image_is_named(engine: Engine) -> None:
    (goal,) = goals(revision(workload=Workload(command=("no-such-program",))))
    async with docker_platform(engine) as platform:
        await settle(platform, desired())
        await platform.execute(CreateInstance(KEY, goal, ""))
        with pytest.raises(EngineError, match="no-such-program"):
            await platform.execute(StartInstance(NAME, ""))
        seen = only(await platform.observe(desired(goal)))
    assert (seen.state, seen.exit_code) == (InstanceState.CREATED, 127)
    assert "no-such-program" in seen.probe_detail


async def test_an_instance_killed_for_memory_says_so_though_docker_started_it_again(engine: Engine) -> None:
    hog = ("sh", "-c", "echo filling; sleep 1; x=a; while :; do x=$x$x; done")
    workload = Workload(command=hog, resources=Resources(memory_bytes=16 << 20), stop_grace_s=0.0)

    def again(observed: Observation) -> bool:
        return bool(observed.instances) and only(observed).restart_count > 0 and bool(only(observed).started_at)

    async with docker_platform(engine) as platform:
        wanted = desired(*goals(revision(workload=workload)))
        await drive(platform, wanted, again)
        seen = only(await drive(platform, wanted, lambda o: only(o).state is InstanceState.RUNNING))
    assert seen.oom_killed
    assert "filling" in seen.last_log


async def test_a_memory_kill_is_remembered_where_inspect_forgot_it(engine: Engine) -> None:
    wanted = desired(*goals(revision()))
    async with docker_platform(engine) as platform:
        running = only(await settle(platform, wanted))
        assert not running.oom_killed
        platform._on_event(ContainerEvent("oom", running.id, {"name": NAME}))
        assert only(await platform.observe(wanted)).oom_killed


async def test_an_instance_that_never_becomes_ready_shows_probe_and_log(engine: Engine) -> None:
    workload = replace(SERVING, command=("sh", "-c", "echo waiting for db; sleep 600"))
    async with docker_platform(engine) as platform:
        wanted = desired(*goals(revision(workload=workload)))
        seen = only(await drive(platform, wanted, lambda o: bool(o.instances) and "3 in a row" in only(o).probe_detail))
    assert (seen.ready, seen.last_log) == (False, ("waiting for db",))


# -- things that are missing or taken


async def test_a_published_port_that_a_container_holds_is_named_with_its_holder(engine: Engine) -> None:
    binding = {"PortBindings": {"80/tcp": [{"HostPort": "18099"}]}}
    engine.run(BUSYBOX, "sleep", "600", name="rival", ExposedPorts={"80/tcp": {}}, HostConfig=binding)
    (goal,) = goals(revision(workload=Workload(command=("sleep", "600"), ports=(PublishedPort(18099, 80),))))
    async with docker_platform(engine) as platform:
        await settle(platform, desired())
        await platform.execute(CreateInstance(KEY, goal, ""))
        with pytest.raises(ConflictError, match="port 18099 of the host is taken by container rival"):
            await platform.execute(StartInstance(NAME, ""))
        engine.docker("rm", "--force", "rival")
        await settle(platform, desired(goal))


async def test_a_published_port_that_a_process_holds_is_named(engine: Engine) -> None:
    listener = subprocess.Popen(engine.slot.enter("busybox", "nc", "-l", "-p", "18098"))
    try:
        (goal,) = goals(revision(workload=Workload(command=("sleep", "600"), ports=(PublishedPort(18098, 80),))))
        async with docker_platform(engine) as platform:
            await listening(engine, 18098)
            await platform.execute(CreateInstance(KEY, goal, ""))
            with pytest.raises(ConflictError, match="port 18098 of the host is taken by a process outside Docker"):
                await platform.execute(StartInstance(NAME, ""))
    finally:
        listener.kill()
        listener.wait()


async def test_a_name_that_somebody_else_uses_is_a_conflict_and_nothing_is_touched(engine: Engine) -> None:
    foreign = engine.run(BUSYBOX, "sleep", "600", name=NAME)
    (goal,) = goals(revision())
    async with docker_platform(engine) as platform:
        with pytest.raises(ConflictError, match=r"named shop\.prod\.r1\.0 exists already and is not Tidegate's"):
            await platform.execute(CreateInstance(KEY, goal, ""))
    assert engine.inspect(foreign)["State"]["Running"]


async def test_the_same_name_with_another_configuration_is_a_conflict(engine: Engine) -> None:
    (goal,) = goals(revision())
    (other,) = goals(revision(workload=Workload(command=("sleep", "5"))))
    async with docker_platform(engine) as platform:
        await platform.execute(CreateInstance(KEY, goal, ""))
        with pytest.raises(ConflictError, match="another release or configuration"):
            await platform.execute(CreateInstance(KEY, other, ""))


async def test_a_bind_whose_source_is_missing_is_named(engine: Engine) -> None:
    workload = Workload(mounts=(Mount(MountKind.BIND, "/conf", "/no/such/folder"),))
    async with docker_platform(engine) as platform:
        with pytest.raises(EngineError, match="/no/such/folder"):
            await platform.execute(CreateInstance(KEY, goals(revision(workload=workload))[0], ""))


async def test_further_networks_are_joined_before_the_start_and_a_missing_one_is_named(engine: Engine) -> None:
    (goal,) = goals(revision(workload=Workload(command=("sleep", "600"), networks=("back",), stop_grace_s=0.0)))
    async with docker_platform(engine) as platform:
        await platform.execute(CreateInstance(KEY, goal, ""))
        with pytest.raises(EngineError, match="network back does not exist"):
            await platform.execute(StartInstance(NAME, ""))
        engine.api("POST", "/networks/create", {"Name": "back"})
        seen = only(await settle(platform, desired(goal)))
    assert set(engine.inspect(NAME)["NetworkSettings"]["Networks"]) == {"tidegate", "back"}
    assert seen.address == engine.container_address(NAME, "tidegate")


async def test_secrets_reach_the_container_and_no_error(engine: Engine) -> None:
    workload = Workload(command=("sleep", "600"), secrets=(SecretRef("DB", "file", "/x"),))
    async with docker_platform(engine, {"DB": "hunter2"}) as platform:
        await platform.execute(CreateInstance(KEY, goals(revision(workload=workload))[0], ""))
    assert "DB=hunter2" in engine.inspect(NAME)["Config"]["Env"]
    nameless = replace(workload, secrets=(SecretRef("", "file", "/x"),))
    async with docker_platform(engine, {"": "hunter2"}) as platform:
        with pytest.raises(EngineError, match="invalid environment variable") as caught:
            await platform.execute(CreateInstance(KEY, goals(revision(2, nameless))[0], ""))
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


# -- images


async def test_an_image_that_cannot_be_had_fails_with_the_reason_and_nothing_is_created(engine: Engine) -> None:
    wanted = desired(*goals(revision(image="localhost:59999/none:1")))
    async with docker_platform(engine) as platform:
        seen = await drive(
            platform, wanted, lambda o: bool(o.images) and o.images[0].state is ImageState.FAILED, deadline_s=20
        )
    assert "connection refused" in seen.images[0].detail
    assert seen.instances == ()


async def test_a_pull_that_would_fill_the_disk_is_refused_with_numbers(engine: Engine) -> None:
    wanted = desired(*goals(revision(image="localhost:59999/none:1")))
    async with docker_platform(engine, disk_reserve=10**18) as platform:
        seen = await drive(platform, wanted, lambda o: bool(o.images) and o.images[0].state is ImageState.FAILED)
    assert "needs about 1,000,000,000,268 MB on" in seen.images[0].detail
    assert "MB are free" in seen.images[0].detail


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """A registry on the engine's loopback that wants ada's password."""
    (tmp_path / "users").write_text(f"ada:{HASHED}\n")
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/store}}}}\n"
        f"http: {{addr: '127.0.0.1:5055'}}\nauth: {{htpasswd: {{realm: test, path: {tmp_path}/users}}}}\n"
    )
    command = engine.slot.enter("docker-registry", "serve", str(tmp_path / "registry.yml"))
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("docker-registry is not installed")
    try:
        yield "localhost:5055"
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(
    subprocess.run(["which", "docker-registry"], capture_output=True, check=False).returncode != 0,
    reason="docker-registry is not installed",
)
async def test_a_private_image_is_pulled_with_the_docker_configs_credentials(
    engine: Engine, registry: str, tmp_path: Path
) -> None:
    reference = f"{registry}/shop:1"
    engine.docker("tag", BUSYBOX, reference)
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "config.json").write_text('{"auths": {"localhost:5055": {"auth": "YWRhOnBhOnNz"}}}')
    end = time.monotonic() + 10
    while True:
        try:
            engine.docker("--config", str(folder), "push", reference)
            break
        except RuntimeError:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
    engine.docker("rmi", reference)
    wanted = desired(*goals(revision(image=reference)))
    async with docker_platform(engine, docker_config=tmp_path / "nobody") as platform:
        seen = await drive(platform, wanted, lambda o: bool(o.images) and o.images[0].state is ImageState.FAILED)
        assert "docker login" in seen.images[0].detail
    async with docker_platform(engine, docker_config=folder) as platform:
        assert (await settle(platform, wanted)).images[0].state is ImageState.PRESENT


async def test_images_come_from_an_archive_too(engine: Engine, tmp_path: Path) -> None:
    engine.docker("tag", BUSYBOX, "carried:1")
    engine.docker("save", "--output", str(tmp_path / "image.tar"), "carried:1")
    engine.docker("rmi", "carried:1")
    wanted = desired(images=(Image("carried:1"),))
    async with docker_platform(engine) as platform:
        assert (await platform.observe(wanted)).images == ()
        await platform.load((tmp_path / "image.tar").read_bytes())
        assert [image.state for image in (await platform.observe(wanted)).images] == [ImageState.PRESENT]


async def test_a_tag_that_names_another_image_now_is_not_taken_for_it(engine: Engine) -> None:
    wanted = desired(*goals(revision(digest=f"sha256:{'0' * 64}")))
    async with docker_platform(engine) as platform:
        observed = await platform.observe(wanted)
        assert observed.images == ()
        with pytest.raises(EngineError, match="is not on this host"):
            await platform.execute(CreateInstance(KEY, wanted.instances[0], ""))


# -- the host


async def test_an_instance_removed_by_hand_comes_back_at_its_address(engine: Engine) -> None:
    wanted = desired(*goals(revision(workload=SERVING), 2))
    async with docker_platform(engine) as platform:
        before = await settle(platform, wanted)
        while await platform.changed(KEY, 0.1):
            pass
        engine.docker("rm", "--force", NAME)
        assert await platform.changed(KEY, 5), "the engine's event wakes the loop"
        after = await settle(platform, wanted)
    assert [i.address for i in after.instances] == [i.address for i in before.instances]
    for instance in after.instances:
        endpoint = engine.inspect(instance.name)["NetworkSettings"]["Networks"]["tidegate"]
        assert endpoint["IPAMConfig"]["IPv4Address"] == instance.address, "asked for, not handed out"
    assert after.instances[0].id != before.instances[0].id
    assert after.instances[1].id == before.instances[1].id


async def test_an_instance_taken_off_our_network_is_made_anew_at_its_address(engine: Engine) -> None:
    async with docker_platform(engine) as platform:
        wanted = desired(*goals(revision()))
        before = only(await settle(platform, wanted))
        engine.docker("network", "disconnect", "--force", "tidegate", before.name)

        def anew(seen: Observation) -> bool:
            return any(one.id != before.id and one.ready for one in seen.instances)

        assert only(await drive(platform, wanted, anew)).address == before.address


async def test_our_network_removed_while_nothing_ran_is_made_again(engine: Engine) -> None:
    (goal,) = goals(revision(workload=SERVING))
    async with docker_platform(engine) as platform:
        before = only(await settle(platform, desired(goal)))
        await settle(platform, desired(replace(goal, run=Run.STOPPED)))
        engine.docker("network", "rm", "tidegate")
        after = only(await settle(platform, desired(goal)))
    assert (after.id, after.address) == (before.id, before.address)


async def test_an_address_that_somebody_took_is_left_to_them(engine: Engine) -> None:
    (goal,) = goals(revision(workload=SERVING))
    async with docker_platform(engine) as platform:
        await platform.execute(CreateInstance(KEY, goal, ""))
        address = only(await platform.observe(desired(goal))).address
        engine.docker("run", "--detach", "--network", "tidegate", "--ip", address, BUSYBOX, "sleep", "600")
        with pytest.raises(ConflictError, match=rf"address {address} of network tidegate is in use"):
            await platform.execute(StartInstance(NAME, ""))
        after = only(await settle(platform, desired(goal)))
    assert after.address != address


async def test_a_stopped_daemon_is_observed_and_instances_serve_on(fresh_engine: Engine) -> None:
    fresh_engine.load(BUSYBOX)
    wanted = desired(*goals(revision(workload=SERVING)))
    async with docker_platform(fresh_engine) as platform:
        before = only(await settle(platform, wanted))
        while await platform.changed(KEY, 0.1):
            pass
        fresh_engine.kill()
        assert await platform.changed(KEY, 5), "the broken link wakes the loop"
        assert not (await platform.observe(wanted)).reachable
        reader, writer = await asyncio.open_connection(before.address, 8080)
        writer.write(b"GET /ready HTTP/1.0\r\n\r\n")
        assert b"200 OK" in await reader.read()
        writer.close()
        fresh_engine.start()
        after = only(await settle(platform, wanted))
    assert (after.id, after.started_at, after.address) == (before.id, before.started_at, before.address)


async def test_after_a_reboot_every_instance_is_back_at_its_address(fresh_engine: Engine) -> None:
    fresh_engine.load(BUSYBOX)
    wanted = desired(*goals(revision(workload=SERVING), 3), *goals(revision(2, SERVING), 2))
    async with docker_platform(fresh_engine) as platform:
        before = await settle(platform, wanted)
        fresh_engine.power_cycle()
        after = await settle(platform, wanted)
    assert [(i.name, i.id, i.address) for i in after.instances] == [(i.name, i.id, i.address) for i in before.instances]
    assert all(x.started_at != y.started_at for x, y in zip(before.instances, after.instances, strict=True))


async def test_a_silent_link_is_noticed() -> None:
    with Engine("--host=tcp://0.0.0.0:2375", "--tls=false") as engine:
        engine.load(BUSYBOX)
        options = DockerOptions(subnet=engine.subnet(0), observe_deadline_s=1.0)
        platform = DockerPlatform(Connection(f"tcp://{engine.address}:2375"), Secrets(), options)
        try:
            wanted = desired(*goals(revision()))  # no probe that would notice as well
            before = only(await settle(platform, wanted))
            while await platform.changed(KEY, 0.1):
                pass
            engine.link_down()
            begin = time.monotonic()
            assert await platform.changed(KEY, 10), "no event and no error comes: the heartbeat has to tell"
            seen: Observation = await platform.observe(wanted)
            assert not seen.reachable
            assert time.monotonic() - begin < 10
            engine.link_up()
            after = only(await settle(platform, wanted))
            assert after.started_at == before.started_at
        finally:
            engine.link_up()
            await platform.close()
