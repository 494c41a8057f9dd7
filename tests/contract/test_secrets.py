"""References to secrets: every source, and errors without values."""

import asyncio
import time
from pathlib import Path

import pytest

from tidegate.adapters.command import Limits
from tidegate.adapters.source.secrets import Secrets
from tidegate.model.errors import SecretError
from tidegate.model.workload import SecretRef, Workload

VALUE = "hunter2-do-not-show"


def workload(source: str, reference: str) -> Workload:
    return Workload(secrets=(SecretRef("TOKEN", source, reference),))


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    (tmp_path / "token").write_text(VALUE + "\n")
    (tmp_path / "script").write_text(f"#!/bin/sh\necho {VALUE}\n")
    (tmp_path / "script").chmod(0o755)
    environ = {"PATH": "/usr/bin:/bin", "SECRET": VALUE}
    return Secrets(tmp_path, environ, Limits(deadline_s=2.0, out_bytes=1000))


@pytest.mark.parametrize(
    ("source", "reference"),
    [("file", "token"), ("environment", "SECRET"), ("command", "cat token"), ("command", "./script '$SECRET' ; true")],
)
async def test_a_reference_becomes_its_value(secrets: Secrets, source: str, reference: str) -> None:
    assert await secrets.resolve(workload(source, reference)) == {"TOKEN": VALUE}


@pytest.mark.parametrize(
    ("text", "expected"), [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("line\nline", "line\nline")]
)
async def test_only_one_newline_is_not_part_of_it(secrets: Secrets, text: str, expected: str) -> None:
    (secrets.folder / "token").write_bytes(text.encode())
    assert await secrets.resolve(workload("file", "token")) == {"TOKEN": expected}


@pytest.mark.parametrize(
    ("source", "reference", "expected"),
    [
        ("file", "absent", "No such file"),
        ("file", ".", "Is a directory"),
        ("file", "/dev/zero", "larger than 1000 bytes"),
        ("environment", "ABSENT", "not set"),
        ("command", "no-such-program", "No such file"),
        ("command", "", "is empty"),
        ("command", "cat 'token", "quotes"),
        ("command", "sh -c 'cat token; cat token >&2; exit 3'", "ended with 3"),
        ("command", "sh -c 'cat token; sleep 60'", "no end within 2 s"),
        ("command", "cat /dev/zero", "more than 1000 bytes"),
        ("command", "true", "it is empty"),
        ("command", "printf 'a\\377'", "not text"),
        ("command", "printf 'a\\0b'", "NUL"),
        ("vault", "x", "no source of secrets"),
    ],
)
async def test_an_error_names_the_reference_and_never_the_value(
    secrets: Secrets, source: str, reference: str, expected: str
) -> None:
    with pytest.raises(SecretError) as caught:
        await secrets.resolve(workload(source, reference))
    told = f"{caught.value.message} {caught.value.hint}"
    assert expected in told
    assert f"secret TOKEN (from {source} {reference})" in told
    assert VALUE not in told
    assert VALUE not in repr(caught.value.__cause__)
    assert VALUE not in repr(secrets)


async def test_nothing_of_a_command_is_left_behind(secrets: Secrets) -> None:
    mark = secrets.folder / "alive"
    began = time.monotonic()
    with pytest.raises(SecretError, match="no end"):
        await secrets.resolve(workload("command", f"sh -c '(sleep 4; touch {mark}) & sleep 60'"))
    assert time.monotonic() - began < 4
    await asyncio.sleep(max(0.0, began + 4.5 - time.monotonic()))
    assert not mark.exists()
