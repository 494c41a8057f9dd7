"""Real OpAMP clients against the real listener: opentelemetry-opamp-client, @elastic/opamp-client-node, curl."""

# ruff: noqa: F811 (fixtures are imported by their names)

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._opamp.agent import OpAMPAgent
from opentelemetry._opamp.callbacks import MessageData, OpAMPCallbacks
from opentelemetry._opamp.client import OpAMPClient
from opentelemetry._opamp.proto import opamp_pb2

from tests.unit.test_listener import KEY, TOKENS, until
from tests.unit.test_opamp_listener import LOOPBACK, Opamp, full, opamp  # noqa: F401 (fixture)
from tidegate.control.opamp.encoding import ConfigOffer, Content
from tidegate.model.heartbeat import AgentStatus
from tidegate.model.record import ConfigStatus, Protocol
from tidegate.server.agents import OPAMP_PATH

CLIENTS = Path(__file__).parents[1] / "clients"
OFFER = ConfigOffer(b"d" * 32, {"settings.json": Content(b'{"level": "debug"}', "application/json")})


class Applies(OpAMPCallbacks):
    """Takes every configuration, and says so."""

    def __init__(self) -> None:
        self.configs: list[Any] = []
        self.errors: list[Any] = []
        self.failures: list[Exception] = []

    def on_message(self, agent: OpAMPAgent, client: OpAMPClient, message: MessageData) -> None:
        if message.remote_config is None:
            return
        self.configs += [config for _, config in client.decode_remote_config(message.remote_config)]
        client.update_effective_config({"settings.json": self.configs[-1]}, "application/json")
        status = client.update_remote_config_status(
            message.remote_config.config_hash, opamp_pb2.RemoteConfigStatuses_APPLIED
        )
        if status is not None:
            agent.send(client.build_remote_config_status_response_message(status))
            agent.send(client.build_full_state_message())

    def on_connect_failed(self, agent: OpAMPAgent, client: OpAMPClient, error: Exception) -> None:
        self.failures.append(error)

    def on_error(self, agent: OpAMPAgent, client: OpAMPClient, error_response: Any) -> None:
        self.errors.append(error_response)


def python_agent(port: int, callbacks: OpAMPCallbacks, interval_s: float = 0.6, token: str = "") -> OpAMPAgent:
    client = OpAMPClient(
        endpoint=f"http://{LOOPBACK}:{port}{OPAMP_PATH}",
        headers={"Authorization": f"Bearer {token or TOKENS.make(KEY)}"},
        timeout_millis=5000,
        agent_identifying_attributes={"service.name": "mailer", "service.version": "1.0.0"},
        agent_non_identifying_attributes={"host.name": "north"},
    )
    return OpAMPAgent(interval=interval_s, callbacks=callbacks, client=client, initial_backoff=0.1)


async def test_the_python_client(opamp: Opamp) -> None:
    opamp.wanted.offer = OFFER
    callbacks = Applies()
    agent = python_agent(opamp.port, callbacks)
    agent.start()
    try:
        await until(lambda: opamp.registry.pulses_of(KEY))
        (instance,) = opamp.registry.pulses_of(KEY)
        await until(lambda: opamp.record(instance).remote.status is ConfigStatus.APPLIED)
        await until(lambda: opamp.record(instance).effective)
        assert callbacks.configs[0] == {"level": "debug"}
        assert opamp.record(instance).effective[0].name == "settings.json"
        assert opamp.record(instance).attributes["host.name"] == "north"
        # It keeps an interval of its own and cannot say which; after a few heartbeats it is known.
        await until(lambda: opamp.registry.pulses_of(KEY)[instance].interval_s < 5)
    finally:
        await asyncio.to_thread(agent.stop, 5)
    pulse = opamp.registry.pulses_of(KEY)[instance]
    assert pulse.status is AgentStatus.STOPPING
    assert (pulse.runs, callbacks.errors) == (1, [])


async def test_the_python_client_is_refused_with_a_wrong_token(opamp: Opamp) -> None:
    callbacks = Applies()
    agent = python_agent(opamp.port, callbacks, token="tga_wrong")
    agent.start()
    try:
        await until(lambda: callbacks.failures)
        assert "401" in str(callbacks.failures[0])
    finally:
        await asyncio.to_thread(agent.stop, 5)
    assert not opamp.registry.pulses_of(KEY)


@pytest.fixture(scope="session")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client for Node, installed once a session."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node and npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "opamp.js"):
        shutil.copy(CLIENTS / name, folder)
    install = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent")
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=100)
    if done.returncode != 0 and not os.environ.get("TIDEGATE_REQUIRE_ENGINE"):
        pytest.skip(f"npm cannot install the client: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    return folder


async def test_the_node_client(opamp: Opamp, node_client: Path) -> None:
    opamp.wanted.offer = OFFER
    process = await asyncio.create_subprocess_exec(
        "node",
        "opamp.js",
        f"http://{LOOPBACK}:{opamp.port}{OPAMP_PATH}",
        TOKENS.make(KEY),
        "0.5",
        cwd=node_client,
        stdout=asyncio.subprocess.PIPE,
    )
    told: list[dict[str, Any]] = []

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            told.append(json.loads(line))

    reading = asyncio.create_task(read())
    try:
        await until(lambda: len(told) > 6, 30)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)
        await reading
    assert {"config": "settings.json", "body": '{"level": "debug"}'} in told
    sent = [one["sent"] for one in told if "sent" in one]
    assert sent[0] == 1
    assert not [one for one in told if "failed" in one]
    assert {one["flags"] for one in told if "flags" in one} == {0}
    record, pulse = opamp.record("node-1"), opamp.registry.pulses_of(KEY)["node-1"]
    assert (record.remote.status, record.protocol) == (ConfigStatus.APPLIED, Protocol.OPAMP)
    assert (pulse.version, pulse.gaps, pulse.runs) == ("2.0.0", 0, 1)
    assert pulse.status is AgentStatus.OK  # it ended without a word: that is silence, and not on purpose


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl(opamp: Opamp, tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(full(0).SerializeToString())
    headers = [f"Authorization: Bearer {TOKENS.make(KEY)}", "Content-Type: application/x-protobuf"]
    command = ["curl", "-sS", "--fail", "--max-time", "5", "--data-binary", f"@{tmp_path}/message"]
    for header in headers:
        command += ["-H", header]
    url = f"http://{LOOPBACK}:{opamp.port}{OPAMP_PATH}"
    done = await asyncio.create_subprocess_exec(*command, url, stdout=asyncio.subprocess.PIPE)
    answer, _ = await asyncio.wait_for(done.communicate(), 10)
    assert opamp_pb2.ServerToAgent.FromString(answer).capabilities
    assert "mailer-1" in opamp.registry.pulses_of(KEY)
