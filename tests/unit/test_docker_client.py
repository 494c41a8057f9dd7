"""API versions, and errors of an engine that is not there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.docker_support import Secrets, desired, goals, revision
from tidegate.adapters.platform.docker.client import Engine, negotiate
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.model.errors import EngineError, UnreachableError


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [("1.41", "1.12", "v1.41"), ("1.40", "1.12", "v1.40"), ("1.52", "1.44", "v1.47"), ("1.47", "", "v1.47")],
)
def test_negotiate(newest: str, oldest: str, spoken: str) -> None:
    assert negotiate(newest, oldest) == spoken


def test_an_engine_too_old_or_too_new_is_refused_with_both_ranges() -> None:
    with pytest.raises(EngineError, match=r"API 1\.12 to 1\.39, Tidegate 1\.40 to 1\.47"):
        negotiate("1.39", "1.12")
    with pytest.raises(EngineError, match=r"API 1\.50 to 1\.60"):
        negotiate("1.60", "1.50")


async def test_an_absent_engine_is_an_observation_and_an_error_that_says_where(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/no.sock"
    platform = DockerPlatform(Engine(url), Secrets())
    try:
        observed = await platform.observe(desired(*goals(revision())))
        assert not observed.reachable
        assert str(tmp_path) in observed.detail
        with pytest.raises(UnreachableError, match=r"no\.sock"):
            await platform.logs("shop.prod.r1.0", 5)
    finally:
        await platform.close()


async def test_an_engine_that_never_answers_is_given_up_within_the_deadline(tmp_path: Path) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)
        writer.close()

    server = await asyncio.start_unix_server(silent, tmp_path / "s.sock")
    platform = DockerPlatform(
        Engine(f"unix://{tmp_path}/s.sock"), Secrets(), DockerOptions(observe_deadline_s=0.3, deadline_s=0.3)
    )
    try:
        begin = time.monotonic()
        observed = await platform.observe(desired())
        assert not observed.reachable
        assert "0.3 s" in observed.detail
        assert time.monotonic() - begin < 3
    finally:
        await platform.close()
        server.close()
