"""Trusted programs of ours that read an untrusted tree: linters and searches for secrets. They run nothing of it.

Each gets a copy of the tree, a home of its own, and none of the controller's environment.
"""

import asyncio
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from tidegate.adapters.command import Limits, TooLongError, TooMuchError, run
from tidegate.model.errors import EngineError
from tidegate.model.work import Program, Result, RunPrograms
from tidegate.ports import SourceControl, Tell

OUT_BYTES = 64 << 20
HISTORY = ".tidegate-history"
"""Folder beside the tree that holds what each commit of the change added."""
READ_BYTES = 4 << 20


async def run_programs(source: SourceControl, job: RunPrograms, tell: Tell) -> Result:
    """All of them at once, each on the same copy of the tree. Raises SourceError."""
    archive = await source.archive(job.checkout.repository, job.checkout.commit)
    added: Mapping[str, bytes] = {}
    if job.history:
        added = await source.additions(job.checkout.repository, job.checkout.commit, job.since)
    with tempfile.TemporaryDirectory(prefix="tidegate-scan-") as scratch:
        tree = Path(scratch) / "tree"
        await asyncio.to_thread(_unpack, archive, added, tree)
        paths = await asyncio.to_thread(_paths, tree)
        ran = await asyncio.gather(*(_run(program, tree, job.bounds.timeout_s, tell) for program in job.programs))
        outputs = {name: content for name in job.reads if (content := _read(tree / name, tree)) is not None}
    parts = {program.name: one for program, one in zip(job.programs, ran, strict=True)}
    return Result(outputs=outputs, parts=parts, facts={"paths": "\n".join(paths)})


def _unpack(archive: bytes, added: Mapping[str, bytes], tree: Path) -> None:
    tree.mkdir()
    try:
        with tarfile.open(fileobj=BytesIO(archive), mode="r:") as packed:
            packed.extractall(tree, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise EngineError(
            f"the checkout cannot be unpacked: {error}", hint="a link in it leads outside of it"
        ) from error
    for name, content in added.items():
        path = tree / HISTORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _paths(tree: Path) -> list[str]:
    found = (path.relative_to(tree) for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(str(path) for path in found if path.parts[0] != HISTORY)


def _read(path: Path, tree: Path) -> bytes | None:
    if not path.is_file() or not path.resolve().is_relative_to(tree.resolve()) or path.stat().st_size > READ_BYTES:
        return None
    return path.read_bytes()


async def _run(program: Program, tree: Path, timeout_s: float, tell: Tell) -> Result:
    path = find_program(program.argv[0])
    if not path:
        return Result(facts={"missing": program.argv[0]})
    began = time.monotonic()
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(tree.parent), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    if program.home:
        environment["HOME"] = os.environ.get("HOME", str(tree.parent))
    try:
        done = await run((path, *program.argv[1:]), environment, str(tree), Limits(timeout_s, OUT_BYTES))
    except TooLongError:
        return Result(timed_out=True, took_s=time.monotonic() - began)
    except (TooMuchError, OSError) as error:
        return Result(exit_code=126, log=(f"{program.argv[0]}: {error}",), took_s=time.monotonic() - began)
    lines = tuple(done.err.splitlines()[-20:])
    tell(f"{program.name}: exit code {done.code}")
    for line in lines:
        tell(f"{program.name}: {line}")
    return Result(exit_code=done.code, outputs={"stdout": done.out}, log=lines, took_s=time.monotonic() - began)


def find_program(name: str) -> str:
    """Its path: beside our own Python first, then as the shell would find it; empty when it is not there."""
    ours = Path(sys.prefix) / "bin" / name
    return str(ours) if os.access(ours, os.X_OK) else shutil.which(name) or ""
