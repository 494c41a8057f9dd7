"""Images that are made here, in a real engine, where no registry can be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiodocker
import pytest

from tests.engine import Engine
from tests.images import CACHE
from tidegate.adapters.gateway.image import ensure_gateway_image
from tidegate.adapters.registry.base_image import Base, base_archive, ensure_base_image
from tidegate.adapters.registry.debian import static_busybox
from tidegate.adapters.registry.local import find, load, try_pull
from tidegate.model.errors import ImageError

pytestmark = pytest.mark.engine


@pytest.fixture
async def docker(fresh_engine: Engine) -> AsyncIterator[aiodocker.Docker]:
    client = fresh_engine.aiodocker()
    yield client
    await client.close()


async def test_base_with_python_speaks_tls_and_sqlite_without_root(
    fresh_engine: Engine, docker: aiodocker.Docker
) -> None:
    made = await ensure_base_image(docker, Base.PYTHON, pull=False, cache=CACHE)
    script = "import ssl, sqlite3, ctypes, lzma, bz2, uuid; print(ssl.create_default_context().cert_store_stats())"
    out = fresh_engine.docker("run", "--rm", "--user", "nobody", made.image.reference, "python3", "-c", script)
    assert "'x509_ca': 0" not in out
    again = await ensure_base_image(docker, Base.PYTHON, pull=False, cache=CACHE)
    assert again.image == made.image
    assert "already" in again.because


async def test_a_pull_that_cannot_work_falls_back_and_says_why(
    docker: aiodocker.Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.adapters.registry.base_image.FIRST_SIGN_S", 0.5)
    made = await ensure_base_image(docker, Base.BUSYBOX, cache=CACHE)
    assert "busybox:1.36" in made.because
    assert made.image == await find(docker, Base.BUSYBOX.value)


async def test_a_registry_that_refuses_is_named(docker: aiodocker.Docker) -> None:
    refused = await try_pull(docker, "127.0.0.1:9/nothing:1", first_s=20, whole_s=30)
    assert "127.0.0.1:9/nothing:1" in refused
    assert "connection refused" in refused


async def test_gateway_image_runs_envoy_and_a_shell(fresh_engine: Engine, docker: aiodocker.Docker) -> None:
    made = await ensure_gateway_image(docker, cache=CACHE)
    reference = made.image.reference
    version = reference.partition(":")[2].rpartition("-")[0]
    assert f"/{version}/" in fresh_engine.docker("run", "--rm", reference, "--version")
    tools = "which sh wget nc cat mv"
    found = fresh_engine.docker("run", "--rm", "--entrypoint", "sh", reference, "-c", tools)
    assert found.split() == [f"/usr/bin/{tool}" for tool in ("sh", "wget", "nc", "cat", "mv")]
    again = await ensure_gateway_image(docker, cache=CACHE)
    assert again.image == made.image


async def test_loaded_image_has_the_digest_that_was_promised(docker: aiodocker.Docker, tmp_path: Path) -> None:
    archive = await base_archive(Base.BUSYBOX, tmp_path)
    one = await load(docker, archive, Base.BUSYBOX.value)
    assert one == await load(docker, await base_archive(Base.BUSYBOX, tmp_path / "again"), Base.BUSYBOX.value)


async def test_broken_archive_is_refused_with_its_name(docker: aiodocker.Docker, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"not a tar")
    with pytest.raises(ImageError, match=r"broken\.tar"):
        await load(docker, broken, "example/broken:1")


async def test_busybox_comes_from_its_package_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.adapters.registry.debian.is_static", lambda _: False)
    busybox = await static_busybox(tmp_path)
    assert busybox.parent == tmp_path
    assert busybox.read_bytes()[:4] == b"\x7fELF"
