"""tidegate adopt: a container that a person started by hand goes on under Tidegate, and its successor is like it."""

from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


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
