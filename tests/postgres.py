"""A PostgreSQL server of the tests' own, where Debian's package is installed: unix socket only, removed at the end."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql")
DRIVER = "psycopg"


def unavailable() -> str:
    """Why no server can be started here, or an empty string."""
    if importlib.util.find_spec(DRIVER) is None:
        return "the tests on PostgreSQL need psycopg: pip install 'psycopg[binary]'"
    if not list(PROGRAMS.glob("*/bin/initdb")):
        return "the tests on PostgreSQL need a server: apt install postgresql"
    if os.geteuid() == 0 and not any(user.pw_name == "postgres" for user in pwd.getpwall()):
        return "a PostgreSQL server does not run as root, and there is no user postgres"
    return ""


@contextmanager
def server() -> Iterator[str]:
    """A running server; gives the URL of its empty database `postgres`. About three seconds."""
    programs = max(PROGRAMS.glob("*/bin"))
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tg-pg-"))
    try:
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        initdb = [programs / "initdb", "-D", data, "-U", "tidegate", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True)
        flags = ["-D", data, "-k", folder, "-c", "listen_addresses="]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([programs / "postgres", *flags], user=user, cwd=folder, stdout=log, stderr=log)
        try:
            _wait(programs, folder)
            yield f"postgresql+psycopg://tidegate@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)  # a fast end: a client that lingers is not waited for
            process.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(programs: Path, folder: Path) -> None:
    end = time.monotonic() + 20
    while subprocess.run([programs / "pg_isready", "-q", "-h", folder]).returncode:
        if time.monotonic() > end:
            raise RuntimeError(f"PostgreSQL did not answer:\n{(folder / 'log').read_text()}")
        time.sleep(0.05)
