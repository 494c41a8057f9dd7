import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import example_repo
from tests.sdk_centre import Centre, until


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    example_repo.make(tmp_path / "repo")
    return tmp_path / "repo"


@pytest.fixture
def running(repository: Path, tmp_path: Path) -> Iterator[Any]:
    """Start the repository's agent as its image does: only its own folder and vendor/ on the path."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**more: str) -> tuple[subprocess.Popen[bytes], http.client.HTTPConnection]:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{repository}:{repository / 'vendor'}", "LOGSHIP_PORT": "0"}
        env |= {"LOGSHIP_STATE_DIR": str(tmp_path / "state"), "LOGSHIP_SINK": f"file://{tmp_path}/out.ndjson", **more}
        env |= {"LOGSHIP_HOST": "127.0.0.1", "LOGSHIP_LINGER_S": "0.1"}
        log = tmp_path / f"log-{len(started)}"
        with log.open("w") as file:  # not a pipe: nobody would empty it, and a full one holds the agent up
            process = subprocess.Popen([sys.executable, "-m", "logship"], env=env, stdout=file)
        started.append(process)
        until(lambda: '"event": "started"' in log.read_text())
        events = (json.loads(line) for line in log.read_text().splitlines())
        port = next(event["port"] for event in events if event["event"] == "started")
        return process, http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_three_releases_are_commits_on_main(repository: Path) -> None:
    for version in ("1.1.0", "1.2.0"):
        example_repo.release(repository, version)
    subjects = example_repo.git(repository, "log", "--format=%s", "main").splitlines()
    assert [subject.partition(":")[0] for subject in subjects] == ["1.2.0", "1.1.0", "1.0.0"]
    assert example_repo.git(repository, "status", "--porcelain") == ""


def test_a_folder_with_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(RuntimeError, match="not empty"):
        example_repo.make(tmp_path)


def faults_of(connection: http.client.HTTPConnection, requests: int) -> int:
    faults = 0
    for _ in range(requests):
        connection.request("POST", "/logs", "x")
        response = connection.getresponse()
        response.read()
        assert response.status in (202, 500)
        faults += response.status == 500
    return faults


def test_only_the_last_release_fails_and_it_does_so_in_one_request_of_twenty(running: Any, repository: Path) -> None:
    example_repo.release(repository, "1.1.0")
    process, connection = running()
    assert faults_of(connection, 500) == 0
    process.send_signal(signal.SIGTERM)
    example_repo.release(repository, "1.2.0")
    _, connection = running()
    # 2,000 requests at 5 %: 100 expected, standard deviation 9.7; the bounds are more than four of them away.
    assert 55 <= faults_of(connection, 2000) <= 145


async def test_the_agent_reports_itself_and_drains_when_it_is_asked_to(running: Any) -> None:
    with Centre() as centre:
        names = {"AGENT": "logship", "ENVIRONMENT": "test", "INSTANCE": "i1", "REVISION": "3", "AGENT_TOKEN": "t"}
        process, _ = running(TIDEGATE_URL=centre.url, **{f"TIDEGATE_{name}": value for name, value in names.items()})
        await asyncio.to_thread(until, lambda: len(centre.asked) >= 2)
        body = centre.bodies[1]
        assert (body["agent"], body["version"], body["revision"], body["status"]) == ("logship", "1.0.0", 3, "ok")
        assert body["metrics"]["logship_spool_lines"] == 0
        centre.actions = [{"action": "drain", "reason": "the host goes away"}]
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert centre.bodies[-1]["status"] == "stopping"


async def test_sigterm_is_told_to_the_control_centre_and_ends_the_agent_with_0(running: Any) -> None:
    with Centre(interval_s=60.0) as centre:
        process, connection = running(TIDEGATE_URL=centre.url, TIDEGATE_AGENT="logship")
        assert faults_of(connection, 5) == 0
        await asyncio.to_thread(until, lambda: centre.asked)
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert {body["status"] for body in centre.bodies[1:]} == {"stopping"}
