"""tidegate adopt: a container that a person started by hand goes on under Tidegate, and its successor is like it."""

import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def test_adopt_then_deploy_the_next_release(engine: Engine, tmp_path: Path) -> None:
    image = engine.load("tidegate/base-busybox")
    command = ("httpd", "-f", "-p", "8080", "-h", "/")
    more = ("--env", "MODE=fast", "--env", "DB_PASSWORD=hunter2", "--volume", "data:/data", "--stop-timeout", "1")
    engine.docker("run", "--detach", "--name", "web", "--restart", "always", *more, image, *command)
    before = engine.inspect("web")
    host = Host(engine, tmp_path, spec=tmp_path / "tidegate.yaml")
    told = host.tidegate("adopt", "web", "--dry-run")
    assert (told.code, "it is not restarted" in told.err) == (0, True), told.err
    done = host.tidegate("adopt", "web", "--yes", "--reason", "no more by hand")
    assert done.code == 0, done.err
    adopted = engine.inspect("web.default.r1.1")
    assert adopted["Id"] == before["Id"]
    assert adopted["State"]["StartedAt"] == before["State"]["StartedAt"]
    spec = (host.folder / "tidegate.yaml").read_text()
    assert "hunter2" not in spec + done.out + done.err
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))
    again = host.tidegate("adopt", "web.default.r1.1", "--yes")
    assert again.code == 1
    assert "already" in again.err
    (host.folder / "tidegate.yaml").write_text(
        spec + "strategy: {canary: {steps: [{set_weight: 50}, {pause: 1s}], bake: 1s}}\n"
    )
    engine.docker("tag", image, "web:2.0.0")
    moved = host.tidegate("deploy", "web:2.0.0")
    assert moved.code == 0, moved.err
    successor = engine.inspect("web.default.r2.1")
    assert {"MODE=fast", "DB_PASSWORD=hunter2"} <= set(successor["Config"]["Env"])
    assert [(mount["Name"], mount["Destination"]) for mount in successor["Mounts"]] == [("data", "/data")]
    assert not engine.inspect("web.default.r1.1")["State"]["Running"], "the person's own container is stopped and kept"
    ended = host.tidegate("decommission", "--yes")
    assert ended.code == 0, ended
    assert "web.default.r1.1 was started by hand: stopped, and left to you" in ended.err
    assert host.instances() == ["web.default.r1.1"]


def test_a_published_port_passes_to_the_gateway_and_back(engine: Engine, tmp_path: Path) -> None:
    image = engine.load("tidegate/base-busybox")
    command = ("httpd", "-f", "-p", "8080", "-h", "/etc")
    engine.docker("run", "--detach", "--name", "web", "--publish", "18085:8080", "--stop-timeout", "1", image, *command)
    host = Host(engine, tmp_path, spec=tmp_path / "tidegate.yaml")
    told = host.tidegate("adopt", "web", "--yes")
    assert "Downtime of port 18085: up to about 3 s" in told.err, told
    lines = (line for line in host.spec.read_text().splitlines() if not line.strip().startswith("ports:"))
    plain = "\n".join(lines) + "\nroutes: [{listen: 18085, target: 8080}]\nanalysis: {mode: observe}\n"
    host.spec.write_text(plain)
    refused = host.tidegate("deploy")
    assert refused.code == 1, refused
    assert "strategy in_place" in refused.err
    assert answers(engine) == 200
    host.spec.write_text(plain + "strategy: {in_place: {bake: 1s}}\n")
    assert "port 18085 passes from its own instances to the gateway: downtime" in host.tidegate("plan").out
    moved = host.tidegate("deploy")
    assert moved.code == 0, moved
    assert answers(engine) == 200
    undone = host.tidegate("undo")
    assert undone.code == 0, undone
    assert answers(engine) == 200
    assert engine.inspect("web.default.r3.1")["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"] == "18085"


def test_a_lost_state_is_begun_again_from_what_runs(engine: Engine, tmp_path: Path) -> None:
    host = Host(engine, tmp_path)
    host.deployed("1.0.0")
    lost = replace(host, variables={"TIDEGATE_STATE": str(tmp_path / "new.db")})
    with host.load() as load:
        taken = lost.tidegate("adopt", "web.prod.r1.1", "--yes")
        assert taken.code == 0, taken
        assert "revision 1 (1.0.0) is what runs here, with 2 instances; nothing was touched" in taken.out
        again = lost.tidegate("deploy", VERSION="1.0.0")
        assert "already runs exactly this" in again.out, again
        lost.deployed("1.1.0")
    assert load.report["lost"] == 0, load.report
    assert host.instances() == ["web.prod.r2.1", "web.prod.r2.2"]


def answers(engine: Engine) -> int:
    """What the port that was published answers."""
    with urllib.request.urlopen(f"http://{engine.address}:18085/passwd", timeout=10) as answer:
        return int(answer.status)
