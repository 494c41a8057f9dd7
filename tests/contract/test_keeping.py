"""A backup of a server in use, the state lost, the backup put back: as docs/how-to/operate.md has it."""

import json
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
import requests

from tests import postgres
from tests.served import Server, command, server
from tidegate.adapters.store.keeping import fence

WEB = "/v1/environments/staging/agents/web"


def add(here: Server, name: str) -> None:
    line = [{"stage": "build", "because": name}]
    assert requests.post(f"{here.url}{WEB}/events", json=line, headers=here.headers, timeout=20).status_code == 201


def told(here: Server) -> list[str]:
    answer = requests.get(f"{here.url}/v1/events", headers=here.headers, timeout=20)
    return [one["because"] for one in answer.json()["events"] if one["kind"] == "stage"]


@pytest.mark.timeout(240)
def test_a_backup_of_a_running_server_is_put_back_after_the_disk_was_lost(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with server(tmp_path) as here:
        (tmp_path / "state" / "agents.key").write_text("ab" * 32 + "\n")
        add(here, "before")
        head = json.loads(here.run("audit", "verify", "--json")[1])["head"]
        assert here.run("state", "backup", str(kept), here=True)[0] == 0
        assert here.run("state", "backup", str(kept), here=True)[0] == 2, "a backup is never written over"
        add(here, "after")
        code, _, err = here.run("state", "restore", str(kept), "--yes", here=True)
        assert (code, "decides on this state now" in err) == (1, True)
        here.kill()
        environ = here.environ
    before = epoch(tmp_path)
    shutil.rmtree(tmp_path / "state")
    assert command(tmp_path, environ, "state", "restore", str(kept))[0] == 2, "--yes says that it is meant"
    code, _, err = command(tmp_path, environ, "state", "restore", str(kept), "--yes")
    assert code == 0, err
    assert command(tmp_path, environ, "audit", "verify", "--head", head)[0] == 0
    assert epoch(tmp_path) > before - 2, "gateways refuse whoever comes with a lower epoch"
    assert (tmp_path / "state" / "agents.key").read_text() == "ab" * 32 + "\n"
    with server(tmp_path) as again:
        assert told(again) == ["before"]
        add(again, "later")
        assert told(again) == ["before", "later"]


def epoch(folder: Path) -> int:
    connection = sqlite3.connect(folder / "state" / "t.db")
    try:
        return int(connection.execute("SELECT epoch FROM lease").fetchone()[0])
    finally:
        connection.close()


def test_a_damaged_backup_changes_nothing(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin", "TIDEGATE_STATE": str(tmp_path / "state" / "t.db"), "HOME": str(tmp_path)}
    environ["PYTHONPATH"] = str(Path(__file__).parents[2] / "src")
    assert command(tmp_path, environ, "token", "create", "ada", "--role", "viewer")[0] == 0
    kept = tmp_path / "kept"
    assert command(tmp_path, environ, "state", "backup", str(kept))[0] == 0
    (kept / "tidegate.db").write_bytes(b"SQLite format 3\x00" + b"rubbish" * 900)
    code, _, err = command(tmp_path, environ, "state", "restore", str(kept), "--yes")
    assert (code, "is damaged" in err) == (1, True)
    assert "ada" in command(tmp_path, environ, "token", "list")[1]
    assert command(tmp_path, environ, "state", "restore", str(tmp_path / "none"), "--yes")[0] == 1


@pytest.mark.timeout(240)
def test_a_database_server_is_dumped_restored_and_fenced(tmp_path: Path) -> None:
    if why := postgres.unavailable():
        pytest.skip(why)
    programs = max(postgres.PROGRAMS.glob("*/bin"))
    with postgres.server() as url:
        host = url.partition("host=")[2]
        with server(tmp_path, url) as here:
            add(here, "before")
            code, _, err = here.run("state", "backup", str(tmp_path / "kept"), here=True)
            assert (code, "pg_dump" in err) == (2, True)
            dump = subprocess.run(
                [programs / "pg_dump", "-h", host, "-U", "tidegate", "--clean", "--if-exists", "postgres"],
                check=True, capture_output=True,
            ).stdout  # fmt: skip
            add(here, "after")
            here.kill()
        subprocess.run(
            [programs / "psql", "-h", host, "-U", "tidegate", "-q", "-v", "ON_ERROR_STOP=1", "postgres"],
            input=dump, check=True, capture_output=True,
        )  # fmt: skip
        now = time.time()
        assert fence(url, now) >= int(now)
        with server(tmp_path, url) as again:
            assert told(again) == ["before"]
            assert again.run("audit", "verify")[0] == 0
