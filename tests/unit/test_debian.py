"""What can be said of packages and programs without a network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tidegate.adapters.registry.debian import is_static, resolve
from tidegate.model.errors import ImageError


def test_a_program_with_a_loader_is_not_static(tmp_path: Path) -> None:
    assert not is_static(Path(sys.executable).resolve())
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert not is_static(script)


def elf(*kinds: int) -> bytes:
    """An ELF header followed by program headers of these types."""
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    head[32:40] = (64).to_bytes(8, "little")
    head[54:56] = (56).to_bytes(2, "little")
    head[56:58] = len(kinds).to_bytes(2, "little")
    return bytes(head) + b"".join(kind.to_bytes(4, "little") + bytes(52) for kind in kinds)


def test_the_interpreter_header_decides(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(elf(1, 2, 1))
    assert is_static(program)
    program.write_bytes(elf(1, 3, 1))
    assert not is_static(program)


async def test_without_apt_the_hint_says_what_else_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError) as caught:
        await resolve("python3-minimal")
    assert "docker load" in caught.value.hint
