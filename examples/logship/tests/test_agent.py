"""The agent as a process, over its real sockets, against the real sink."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sink as sinks

HERE = Path(__file__).parents[1]


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.01)


class Agent:
    """One process of the agent; its log is read as it comes."""

    def __init__(self, state: Path, sink_url: str, **more: str) -> None:
        env = {**os.environ, "LOGSHIP_SINK": sink_url, "LOGSHIP_STATE_DIR": str(state), "LOGSHIP_PORT": "0"}
        env.pop("TIDEGATE_URL", None)
        env |= {"LOGSHIP_HOST": "127.0.0.1", "LOGSHIP_LINGER_S": "0.2", **more}
        self.process = subprocess.Popen([sys.executable, "-m", "logship"], cwd=HERE, env=env, stdout=subprocess.PIPE)
        self.log: list[dict[str, Any]] = []
        self.connections: list[http.client.HTTPConnection] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(json.loads(line))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == name]

    def port(self) -> int:
        until(lambda: self.events("started"))
        return int(self.events("started")[0]["port"])

    def connect(self) -> http.client.HTTPConnection:
        self.connections.append(http.client.HTTPConnection("127.0.0.1", self.port(), timeout=5))
        return self.connections[-1]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(15)
        self._reader.join(5)
        for connection in self.connections:
            connection.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    connection.request(method, path, body)
    response = connection.getresponse()
    data = response.read()
    return response.status, json.loads(data) if "json" in response.headers["Content-Type"] else data.decode()


class AgentTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.state = self.folder / "state"

    @contextlib.contextmanager
    def sink(self, **more: Any) -> Iterator[tuple[sinks.Sink, str]]:
        sink = sinks.Sink(**more)
        server = sinks.serve(sink)
        try:
            yield sink, f"http://127.0.0.1:{server.server_address[1]}/in"
        finally:
            server.shutdown()
            server.server_close()

    def agent(self, sink_url: str, **more: str) -> Agent:
        agent = Agent(self.state, sink_url, **more)
        self.addCleanup(lambda: agent._reader.join(5))
        self.addCleanup(agent.process.wait)
        self.addCleanup(agent.process.kill)
        return agent

    def test_lines_reach_the_sink_and_each_request_is_in_the_log(self) -> None:
        with self.sink() as (sink, url):
            agent = self.agent(url)
            connection = agent.connect()
            self.assertEqual(ask(connection, "POST", "/logs", "a\nb\n"), (202, {"accepted": 2}))
            self.assertEqual(ask(connection, "GET", "/")[1]["version"], "1.0.0")
            self.assertEqual(ask(connection, "GET", "/nowhere")[0], 404)
            self.assertEqual(ask(connection, "GET", "/ready")[0], 200)
            until(lambda: sorted(sink.lines) == ["a", "b"])
            self.assertIn("logship_lines_shipped_total 2", ask(connection, "GET", "/metrics")[1])
            self.assertEqual(agent.stop(), 0)
        requests = [(line["method"], line["status"]) for line in agent.events("request")]
        self.assertEqual(requests, [("POST", 202), ("GET", 200), ("GET", 404)])
        self.assertRegex(agent.events("request")[0]["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual({line["version"] for line in agent.log}, {"1.0.0"})

    def test_stopped_under_load_nothing_acknowledged_is_lost(self) -> None:
        with self.sink(delay_s=0.05) as (sink, url):
            agent = self.agent(url)
            acknowledged, port = [], agent.port()

            def send(who: int) -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                    for number in range(100_000):
                        if ask(connection, "POST", "/logs", f"{who}-{number}")[0] == 202:
                            acknowledged.append(f"{who}-{number}")

            threads = [threading.Thread(target=send, args=(who,)) for who in range(4)]
            for thread in threads:
                thread.start()
            until(lambda: len(acknowledged) > 300)
            self.assertEqual(agent.stop(), 0)
            for thread in threads:
                thread.join(10)
            self.assertEqual(set(acknowledged) - set(sink.lines), set())
            self.assertEqual(len(sink.lines), len(set(sink.lines)))

    def test_killed_with_the_sink_away_the_next_one_ships_what_was_acknowledged(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        agent = self.agent(f"http://127.0.0.1:{port}/in")
        connection = agent.connect()
        for number in range(50):
            self.assertEqual(ask(connection, "POST", "/logs", str(number))[0], 202)
        until(lambda: agent.events("sink_failing"))
        self.assertEqual(ask(connection, "GET", "/ready")[0], 200)  # the spool takes it
        agent.process.kill()
        agent.ended()
        with self.sink(fail_first=2) as (sink, url):
            second = self.agent(url)
            until(lambda: len(sink.lines) == 50)
            self.assertEqual(second.stop(), 0)
        self.assertEqual(second.events("adopted")[0]["lines"], 50)
        self.assertEqual(sorted(sink.lines, key=int), [str(number) for number in range(50)])

    def test_a_full_spool_says_503_and_not_ready_until_there_is_room(self) -> None:
        with self.sink(fail_first=10**9) as (sink, url):
            agent = self.agent(url, LOGSHIP_SPOOL_MB="0.002", LOGSHIP_STOP_S="0.1")
            connection = agent.connect()
            codes = [ask(connection, "POST", "/logs", "x" * 100)[0] for _ in range(30)]
            self.assertEqual(set(codes), {202, 503})
            accepted = codes.count(202)
            self.assertEqual(codes, [202] * accepted + [503] * (30 - accepted))
            sink._to_fail = 0
            until(lambda: len(sink.lines) == accepted)
            self.assertEqual(ask(connection, "POST", "/logs", "room again")[0], 202)
            self.assertEqual(agent.stop(), 0)

    def test_lines_left_at_the_end_are_told_by_the_exit_code_and_kept(self) -> None:
        with self.sink(fail_first=10**9) as (_, url):
            agent = self.agent(url, LOGSHIP_STOP_S="0.2")
            self.assertEqual(ask(agent.connect(), "POST", "/logs", "kept")[0], 202)
            self.assertEqual(agent.stop(), 1)
        self.assertEqual(agent.events("stopped")[0]["left_in_spool"], 1)
        self.assertEqual(len(list(self.state.glob("spool/*/*.ndjson"))), 1)

    def test_files_are_followed(self) -> None:
        log = self.folder / "app.log"
        log.write_text("before\n")
        with self.sink() as (sink, url):
            agent = self.agent(url, LOGSHIP_FILES=str(self.folder / "*.log"))
            until(lambda: sink.lines == ["before"])
            with log.open("a") as file:
                file.write("after\n")
            until(lambda: sink.lines == ["before", "after"])
            self.assertEqual(agent.stop(), 0)

    def test_bad_requests_are_refused_and_the_agent_goes_on(self) -> None:
        with self.sink() as (_, url):
            agent = self.agent(url, LOGSHIP_BODY_MB="0.001")
            for raw, expected in [
                (b"GARBAGE\r\n\r\n", b"400"),
                (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
                (b"POST /logs HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
                (b"POST /logs HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
                (b"POST /logs HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
                (b"POST /logs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
                (b"POST /logs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", b"413"),
                (b"POST /logs HTTP/1.1\r\nContent-Length: 99999\r\n\r\n", b"413"),
                (b"GET / HTTP/1.1\r\nX: " + b"y" * 40000 + b"\r\n\r\n", b"431"),
                (b"POST /logs HTTP/1.1\r\nContent-Length: 2\r\n\r\n\xff\xff", b"400"),
                (b"POST /logs HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"400"),
                (b"PUT /logs HTTP/1.1\r\n\r\n", b"405"),
                (b"POST /logs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"202"),
                (b"POST /logs HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab", b"100"),
            ]:
                with self.subTest(raw[:80]), socket.create_connection(("127.0.0.1", agent.port()), 5) as it:
                    it.sendall(raw)
                    self.assertEqual(it.recv(100).split()[1], expected)
            self.assertEqual(ask(agent.connect(), "GET", "/health")[0], 200)
            self.assertEqual(agent.stop(), 0)

    def test_it_says_what_is_wrong_and_ends(self) -> None:
        agent = self.agent("sink:9000")
        self.assertEqual(agent.ended(), 2)
        self.assertIn("LOGSHIP_SINK: expected", agent.events("bad_settings")[0]["reason"])
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            agent = self.agent("http://127.0.0.1:9/", LOGSHIP_PORT=port)
            self.assertEqual(agent.ended(), 1)
        self.assertIn(port, agent.events("cannot_start")[0]["reason"])
