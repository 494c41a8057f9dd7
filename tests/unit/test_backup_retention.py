"""Retention lets the oldest backup go, and never the one that is about to be restored. The script itself is run."""

import os
import subprocess
from pathlib import Path

import pytest

from tidegate.core.backups import _MEASURE


@pytest.mark.parametrize(("protect", "left"), [("", ["r2", "r3", "r4"]), ("r1", ["r1", "r2", "r3", "r4"])])
def test_retention_leaves_what_is_asked_for(tmp_path: Path, protect: str, left: list[str]) -> None:
    for name in ("r1", "r2", "r3", "r4", "r5.part"):
        (tmp_path / name).mkdir()
    variables = {"HOME_OF": str(tmp_path), "KEEP": "3", "VOLUMES": "", "PROTECT": protect, "PATH": os.environ["PATH"]}
    done = subprocess.run(["sh", "-euc", _MEASURE], env=variables, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert sorted(one.name for one in tmp_path.iterdir()) == left
