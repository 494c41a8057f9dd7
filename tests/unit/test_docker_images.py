"""Which image is meant, what a pull may need, and what to log in with."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tidegate.adapters.platform.docker.credentials import credentials, full_reference, registry_of
from tidegate.adapters.platform.docker.images import is_same, pull_reference
from tidegate.adapters.platform.docker.pull import UNKNOWN_SIZE, estimate
from tidegate.model.errors import ImageError
from tidegate.model.release import Image

FACTS = {"Id": "sha256:c", "RepoDigests": ["reg:5000/shop@sha256:m"]}


@pytest.mark.parametrize(
    ("image", "same"),
    [
        (Image("shop:1"), True),
        (Image("shop:1", "sha256:c"), True),
        (Image("shop:1", "sha256:x"), False),
        (Image("shop:1", "", "sha256:m"), True),
        (Image("shop:1", "sha256:x", "sha256:m"), True),
        (Image("shop:1", "sha256:x", "sha256:y"), False),
    ],
)
def test_the_content_decides_whether_an_image_is_the_one(image: Image, same: bool) -> None:
    assert is_same(image, FACTS) is same


@pytest.mark.parametrize(
    ("image", "asked"),
    [
        (Image("reg:5000/shop:1"), "reg:5000/shop:1"),
        (Image("reg:5000/shop:1", "sha256:c", "sha256:m"), "reg:5000/shop@sha256:m"),
        (Image("shop", "", "sha256:m"), "shop@sha256:m"),
        (Image("shop@sha256:m", "", "sha256:m"), "shop@sha256:m"),
    ],
)
def test_a_known_digest_is_what_is_pulled(image: Image, asked: str) -> None:
    assert pull_reference(image) == asked


@pytest.mark.parametrize(
    ("reference", "registry", "full"),
    [
        ("busybox", "docker.io", "docker.io/library/busybox"),
        ("team/app:1", "docker.io", "docker.io/team/app:1"),
        ("docker.io/team/app:1", "docker.io", "docker.io/team/app:1"),
        ("localhost/app", "localhost", "localhost/app"),
        ("reg:5000/app:1", "reg:5000", "reg:5000/app:1"),
        ("ghcr.example/a/b@sha256:1", "ghcr.example", "ghcr.example/a/b@sha256:1"),
    ],
)
def test_registry_of_a_reference(reference: str, registry: str, full: str) -> None:
    assert registry_of(reference) == registry
    assert full_reference(reference) == full


def test_need_is_estimated_from_the_same_repository() -> None:
    here = [
        {"RepoTags": ["reg:5000/shop:1"], "Size": 300},
        {"RepoTags": ["reg:5000/shop:2"], "Size": 500},
        {"RepoTags": ["other:1"], "Size": 9000},
        {"RepoTags": None, "Size": 1},
    ]
    assert estimate("reg:5000/shop:3", here) == 500
    assert estimate("reg:5000/new:1", here) == UNKNOWN_SIZE


def write(folder: Path, config: object) -> Path:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_no_config_means_anonymous(tmp_path: Path) -> None:
    assert await credentials("reg:5000/shop:1", tmp_path) is None


async def test_auths_of_that_registry_only(tmp_path: Path) -> None:
    write(tmp_path, {"auths": {"https://reg:5000": {"auth": encoded("ada:pa:ss")}}})
    assert await credentials("reg:5000/shop:1", tmp_path) == {"username": "ada", "password": "pa:ss"}
    assert await credentials("other:5000/shop:1", tmp_path) is None


async def test_the_hub_goes_by_its_old_address_and_tokens_count(tmp_path: Path) -> None:
    write(tmp_path, {"auths": {"https://index.docker.io/v1/": {"identitytoken": "tok"}}})
    assert await credentials("team/app:1", tmp_path) == {"identitytoken": "tok"}


async def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread -r host\nprintf \'{"Username":"bot","Secret":"for %s"}\' "$host"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    write(tmp_path, {"credHelpers": {"reg:5000": "test"}, "auths": {"reg:5000": {"auth": encoded("a:b")}}})
    assert await credentials("reg:5000/shop:1", tmp_path) == {"username": "bot", "password": "for reg:5000"}
    write(tmp_path, {"credsStore": "test"})
    assert await credentials("reg:5000/shop:1", tmp_path) == {"username": "bot", "password": "for reg:5000"}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ({"auths": {"reg:5000": {"auth": encoded("s3cret-without-colon")}}}, "not base64 of user:password"),
        ({"credHelpers": {"reg:5000": "absent-helper"}}, "docker-credential-absent-helper"),
    ],
)
async def test_a_broken_config_is_named_and_no_value_is_told(tmp_path: Path, config: object, says: str) -> None:
    write(tmp_path, config)
    with pytest.raises(ImageError, match=says) as caught:
        await credentials("reg:5000/shop:1", tmp_path)
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"
