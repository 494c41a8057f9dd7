"""Around rollouts on a real engine: a drill, the notice of a command's end, images that go and images that stay."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.e2e.real import AGENT, NoSecrets
from tests.e2e.test_cli import SPEC, Shell
from tests.engine import Engine
from tidegate.adapters.platform.docker.client import Engine as Client
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.model.desired import Desired
from tidegate.model.errors import TidegateError
from tidegate.model.observation import ImageState
from tidegate.model.operation import RemoveImage
from tidegate.model.release import AgentKey, Image

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


@contextmanager
def hook() -> Iterator[tuple[str, list[bytes]]]:
    """A web hook on loopback: its address and what it got."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_drill_measures_the_way_back_and_every_end_is_told_before_the_command_ends(
    engine: Engine, tmp_path: Path
) -> None:
    engine.load("tidegate/base-python")
    engine.load("tidegate/gateway")
    (tmp_path / "agent.py").write_text(AGENT)
    spec = SPEC.replace("steps: [{set_weight: 20}, {pause: {}}]", "steps: [{set_weight: 50}]")
    shell = Shell(engine, tmp_path)
    with hook() as (url, got):
        verify = "{check: verify, item: log error rate, timeout: 2s}"
        table = f"[{{check: execute, item: instances switched}}, {verify}]"
        place = "environments: {default: {drill: true}}"
        more = f"rollback: {{monitor: {table}}}\n{place}\nnotify: [{{webhook: '{url}'}}]\n"
        (tmp_path / "tidegate.yaml").write_text(spec + more)
        code, out, err = shell.run("deploy")
        assert code == 0, out + err
        assert len(got) == 1
        assert b"dev.cdevents.service.deployed.0.3.0" in got[0]
        code, out, err = shell.run("drill", "--json")
        print(out, err)
        assert code == 0, out + err
        assert len(got) == 2, "what was broken on purpose wakes nobody; the drill's own end is told"
        assert b"dev.cdeventsx.tidegate-drill.finished.0.1.0" in got[1]
        assert b"Drill passed" in got[1]
    assert shell.serves() == "1.0.0"
    assert shell.data("quarantine", "list") == []


async def test_only_our_name_of_an_image_goes_and_never_one_that_is_used(engine: Engine) -> None:
    base = engine.load("tidegate/base-busybox")
    key = AgentKey("web", "prod")
    client = Client(engine.url)
    platform = DockerPlatform(client, NoSecrets(), DockerOptions(subnet=engine.subnet(1)))
    try:
        digest = engine.docker("image", "inspect", "-f", "{{.Id}}", base).strip()
        engine.docker("tag", base, "team/web:1")
        ours = Image("team/web:1", digest)

        async def seen() -> ImageState:
            observed = await platform.observe(Desired(key, surplus_images=(ours,)))
            plan = platform.plan(Desired(key, surplus_images=(ours,)), observed)
            (state,) = [one.state for one in observed.images]
            assert [type(one) for one in plan] == ([RemoveImage] if state is ImageState.PRESENT else [])
            return state

        assert await seen() is ImageState.PRESENT
        # Another image under our name is somebody else's, and stays.
        await platform.execute(RemoveImage(Image("team/web:1", "sha256:" + "0" * 64), "test"))
        assert await seen() is ImageState.PRESENT
        await platform.execute(RemoveImage(ours, "test"))
        await platform.execute(RemoveImage(ours, "test"))
        assert "team/web" not in engine.docker("images", "--format", "{{.Repository}}")
        assert engine.docker("image", "inspect", "-f", "{{.Id}}", base).strip() == digest, "its other name stays"
        # An image with its last name, made into a container: the engine refuses, and so it stays.
        engine.docker("create", "--name", "user", base)
        changed = engine.docker("commit", "user", "team/own:1").strip()
        engine.docker("create", "--name", "kept", "team/own:1")
        with pytest.raises(TidegateError):
            await platform.execute(RemoveImage(Image("team/own:1", changed), "test"))
        engine.docker("rm", "kept", "user")
        await platform.execute(RemoveImage(Image("team/own:1", changed), "test"))
        assert "team/own" not in engine.docker("images", "--format", "{{.Repository}}")
    finally:
        await asyncio.gather(platform.close(), client.close())
