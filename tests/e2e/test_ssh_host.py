"""A host of a fleet by ssh: asyncssh serves, `docker system dial-stdio` runs behind it, on a real engine."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docker_support import BUSYBOX, SERVE, desired, goals, revision, settle
from tests.e2e.real import NoSecrets
from tests.engine import Engine
from tidegate.adapters.gateway.container import Options
from tidegate.adapters.hosts import Way, open_host
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.model.waves import Host
from tidegate.model.workload import Probe, ProbeKind, Workload

asyncssh = pytest.importorskip("asyncssh")
pytestmark = pytest.mark.engine


@asynccontextmanager
async def server(engine: Engine, home: Path) -> AsyncIterator[int]:
    """An ssh server that runs dial-stdio on the engine, and a home whose keys and known hosts fit it."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    host_key, own_key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    own_key.write_private_key(str(folder / "id_ed25519"))
    own_key.write_public_key(str(folder / "authorized"))

    async def serve(process: Any) -> None:
        assert shlex.split(process.command) == ["docker", "system", "dial-stdio"]
        child = await asyncio.create_subprocess_exec(
            *("docker", "-H", engine.url, "system", "dial-stdio"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await process.redirect(stdin=child.stdin, stdout=child.stdout)
        await child.wait()
        process.exit(child.returncode or 0)

    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=str(folder / "authorized"),
        process_factory=serve,
        encoding=None,
    )
    port = listener.get_port()
    known = host_key.export_public_key().decode().strip()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}\n")
    try:
        yield port
    finally:
        listener.close()
        await listener.wait_closed()


async def test_a_host_by_ssh_is_observed_probed_and_changed(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    async def helper(docker: object) -> str:
        return BUSYBOX

    async with server(engine, tmp_path) as port:
        host = Host("e1", f"ssh://deploy@127.0.0.1:{port}")
        options = DockerOptions(subnet=engine.subnet(0), helper_image=helper)
        opened = open_host(host, Way(NoSecrets(), options, Options(image="none")))
        try:
            ready = Probe(ProbeKind.HTTP, port=8080, path="/ready", period_s=0.2, timeout_s=1.0)
            workload = Workload(command=SERVE, stop_grace_s=0.0, readiness=ready)
            wanted = desired(*goals(revision(workload=workload)))
            observed = await settle(opened.platform, wanted)
            assert [instance.ready for instance in observed.instances] == [True]
            assert not (await opened.gateway.observe(wanted.key)).running
        finally:
            await opened.close()
