"""The SDK and the sidecar against the real control centre: enrolment, configuration, tasks, restart."""

import asyncio
import http.client
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_listener import KEY, TOKENS, free_port, until
from tests.unit.test_orders import Book
from tests.unit.test_registry import Memory
from tidegate.control.asking import Orders
from tidegate.control.centre import Centre
from tidegate.control.registry import Registry
from tidegate.control.tokens import Grant
from tidegate.controller.clock import WallClock
from tidegate.model.heartbeat import AgentStatus
from tidegate.model.order import ConfigText, Configure, Order, Restart, RunState, RunTask, Selector, Work
from tidegate.sdk import Agent, AsyncAgent, Identity
from tidegate.sdk.sidecar import main as sidecar
from tidegate.server.agents import ENROL_PATH
from tidegate.server.listener import LOOPBACK, Listener

ROOT = Path(__file__).parents[2]


class Place:
    """A control centre with orders, on a free port."""

    def __init__(self) -> None:
        self.port, self.book, self.stop = free_port(), Book(), asyncio.Event()
        self.registry = Registry(Memory(), WallClock())
        self.registry.orders = Orders(self.book, self.registry.records, self.registry)
        self.centre = Centre(self.registry, self._listen)

    async def _listen(self, registry: Registry, stop: asyncio.Event) -> None:
        await Listener(lambda: TOKENS, ports=(self.port,), desk=self.centre.open_desk).run(registry, stop)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def order(self, work: Work, id_: str) -> None:
        self.book.kept[id_] = Order(id_, Selector("mailer", "prod"), work, time.time(), "anna", "to see")

    def identity(self, instance: str = "m1", **more: Any) -> Identity:
        return Identity("mailer", "prod", instance, 0, "1.4.0", self.url, **more)

    def environ(self, instance: str, **more: str) -> dict[str, str]:
        named = {"AGENT": "mailer", "ENVIRONMENT": "prod", "INSTANCE": instance, "URL": self.url, "HOST": "north"}
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            **{f"TIDEGATE_{name}": v for name, v in named.items()},
            **more,
        }


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    running = asyncio.create_task(place.centre.run(place.stop))
    await until(lambda: place.registry.listening().since)
    yield place
    place.stop.set()
    await asyncio.wait_for(running, 10)


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[None]:
    """An agent with threads beside the loop that its control centre runs on."""
    await asyncio.to_thread(agent.start)
    try:
        yield
    finally:
        await asyncio.to_thread(agent.stop)


def enrolment(seconds: float = 60.0) -> str:
    return TOKENS.enrolment(KEY, time.time() + seconds)


async def test_an_agent_enrols_once_and_keeps_its_credential(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "state" / "credential"
    first = place.identity(enrolment=enrolment(), credential_file=str(file))
    async with running(Agent(identity=first, interval_s=0.3)):
        await until(lambda: "m1" in place.registry.pulses_of(KEY))
    kept = file.read_text()
    assert kept.startswith(Grant.INSTANCE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    late = place.identity(enrolment=enrolment(-1), credential_file=str(file))
    async with running(Agent(identity=late, interval_s=0.3)):
        await until(lambda: place.registry.pulses_of(KEY)["m1"].runs == 2)
    assert file.read_text() == kept
    # A credential that is good no more is enrolled for again.
    file.write_text("tgi_AAAA")
    async with running(Agent(identity=first, interval_s=0.3)):
        await until(lambda: place.registry.pulses_of(KEY)["m1"].runs == 3)
    assert file.read_text() == kept


async def test_a_credential_is_for_its_instance_and_an_enrolment_token_for_enrolling_only(place: Place) -> None:
    credential = TOKENS.credential(KEY, "m1")
    for token, instance in ((credential, "m2"), (enrolment(), "m3"), ("", "m4")):
        agent = Agent(identity=place.identity(instance, token=token), interval_s=0.3)
        await asyncio.to_thread(agent._beats.exchange)
    assert not place.registry.pulses_of(KEY)


@pytest.mark.parametrize(
    ("token", "body", "status"),
    [
        ("", b'{"instance": "m1"}', 401),
        (TOKENS.make(KEY), b'{"instance": "m1"}', 401),
        (TOKENS.credential(KEY, "m1"), b'{"instance": "m1"}', 401),
        (TOKENS.enrolment(KEY, 1.0), b'{"instance": "m1"}', 401),
        (TOKENS.enrolment(KEY, 1e11), b"nonsense", 400),
        (TOKENS.enrolment(KEY, 1e11), b"{}", 422),
        (TOKENS.enrolment(KEY, 1e11), b'{"instance": "a\\nb"}', 422),
        (TOKENS.enrolment(KEY, 1e11), b'{"instance": "m1"}', 200),
    ],
    ids=["none", "an agent's", "a credential", "expired", "nonsense", "nobody", "a name of two lines", "good"],
)
async def test_what_is_no_enrolment_is_refused(place: Place, token: str, body: bytes, status: int) -> None:
    def ask() -> int:
        connection = http.client.HTTPConnection(LOOPBACK, place.port, timeout=10)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", ENROL_PATH, body, headers)
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    assert await asyncio.to_thread(ask) == status


async def test_orders_reach_an_agent_with_threads(place: Place) -> None:
    agent = Agent(identity=place.identity(token=TOKENS.make(KEY), attributes={"host.name": "north"}), interval_s=0.3)
    given: list[object] = []

    @agent.task
    def clean(days: int) -> str:
        return f"{days} days"

    @agent.on_configure
    def configure(config: dict[str, Any]) -> None:
        given.append(config)

    async with running(agent):
        await until(lambda: place.registry.records.host_of((KEY, "m1")) == "north")
        place.order(RunTask("clean", '{"days": 3}'), "o1")
        place.order(RunTask("unknown"), "o2")
        place.order(Configure({"c.json": ConfigText('{"level": "debug"}', "application/json")}), "o3")
        await until(lambda: len([run for run in place.book.saved.values() if run.state.ended]) == 2)
        await until(lambda: (r := place.registry.records.get((KEY, "m1"))) and r.remote.status == "applied")
        place.order(Restart(), "o4")
        await until(agent.stopping.is_set)
    runs = {run.order: run for run in place.book.saved.values()}
    assert (runs["o1"].state, runs["o1"].detail) == (RunState.DONE, "3 days")
    assert runs["o1"].delay_s is not None
    assert 0 <= runs["o1"].delay_s < 10
    assert runs["o2"].state is RunState.FAILED
    assert "no task 'unknown'" in runs["o2"].detail
    assert given == [{"level": "debug"}]
    assert place.registry.pulses_of(KEY)["m1"].status is AgentStatus.STOPPING


async def test_orders_reach_an_agent_with_asyncio(place: Place) -> None:
    agent = AsyncAgent(identity=place.identity(token=TOKENS.make(KEY)), interval_s=0.3)

    @agent.task
    async def clean() -> str:
        return "done"

    async with agent:
        await until(lambda: "m1" in place.registry.pulses_of(KEY))
        place.order(RunTask("clean"), "o1")
        await until(lambda: place.book.saved and all(run.state.ended for run in place.book.saved.values()))
    (run,) = place.book.saved.values()
    assert (run.state, run.detail) == (RunState.DONE, "done")


async def test_a_sidecar_reports_for_an_agent_that_cannot_be_changed(place: Place) -> None:
    silent = socket.create_server((LOOPBACK, 0))
    at = f"{LOOPBACK}:{silent.getsockname()[1]}"
    process = subprocess.Popen(
        (
            sys.executable,
            "-m",
            "tidegate.sdk.sidecar",
            "--every",
            "0.3",
            "--failures",
            "2",
            "--version",
            "6.2",
            "--tcp",
            at,
        ),
        env=place.environ("redis", TIDEGATE_AGENT_TOKEN=TOKENS.make(KEY)),
    )
    try:
        await until(lambda: "redis" in place.registry.pulses_of(KEY), 20)
        pulse = place.registry.pulses_of(KEY)["redis"]
        assert (pulse.status, pulse.version) == (AgentStatus.OK, "6.2")
        assert place.registry.records.host_of((KEY, "redis")) == "north"
        silent.close()
        await until(lambda: place.registry.pulses_of(KEY)["redis"].status is AgentStatus.FAILING)
        assert place.registry.pulses_of(KEY)["redis"].message == f"{at}: ConnectionRefusedError"
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, 10) == 0
    assert place.registry.pulses_of(KEY)["redis"].status is AgentStatus.STOPPING


def test_a_sidecar_without_a_control_centre_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert sidecar(["--tcp", "127.0.0.1:1"]) == 2
    assert "TIDEGATE_URL is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (["--command", "true"], ""),
        (["--command", "sh", "-c", "exit 3"], "sh ended with 3"),
        (["--timeout", "0.2", "--command", "sleep", "5"], "sleep did not end within 0.2 s"),
        (["--http", "file:///etc/passwd"], "file:///etc/passwd is no http address"),
        (["--command", "there-is-no-such-program"], "there-is-no-such-program: FileNotFoundError"),
        (["--tcp", "nonsense"], "nonsense: ValueError"),
    ],
)
def test_what_a_sidecar_sees(look: list[str], why: str) -> None:
    from tidegate.sdk import sidecar as module

    assert module.look(module._parser().parse_args(look)) == why
    assert threading.active_count() >= 1
