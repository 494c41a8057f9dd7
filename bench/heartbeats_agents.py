"""Simulated agents for bench/heartbeats.py: identities multiplexed over real connections, heartbeats by a timer.

python -m bench.heartbeats_agents PLAN (a JSON object; see Plan). A JSON line a second on stdout; whoever is named on
stdin, a line each, falls silent. The bytes are written by hand: a client library would be what is measured.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import random
import sys
import time
from collections import deque
from dataclasses import dataclass

from tidegate.control.opamp.messages import opamp_pb2


@dataclass(frozen=True)
class Plan:
    """`ramp_s`: over how long they come the first time."""

    port: int
    token: str
    agents: int
    connections: int
    interval_s: float
    ramp_s: float
    websocket: bool
    core: int


def varint(number: int) -> bytes:
    """Protobuf's encoding of a whole number."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Agent:
    """One identity. `stopped`: it says nothing any more."""

    __slots__ = ("asked", "last", "line", "number", "sequence", "stopped", "uid")

    def __init__(self, number: int) -> None:
        self.number, self.uid = number, number.to_bytes(15, "big") + b"\1"
        self.sequence, self.stopped, self.asked, self.last = 0, False, True, 0.0
        self.line: Line | None = None

    def message(self) -> bytes:
        """The next message: the full state first, and when it was asked for."""
        bare = b"\x0a\x10" + self.uid + b"\x10" + varint(self.sequence) + b"\x20\x81\x40"  # capabilities 8193
        self.sequence += 1
        if not self.asked:
            return bare
        self.asked = False
        full = opamp_pb2.AgentToServer()
        for name, value in (("service.instance.id", f"a{self.number}"), ("service.version", "1.4.0")):
            full.agent_description.identifying_attributes.add(key=name).value.string_value = value
        host = full.agent_description.non_identifying_attributes.add(key="host.name")
        host.value.string_value = f"host-{self.number % 5000}"
        return bare + full.SerializeToString()


class Line(asyncio.Protocol):
    """A connection: one message at a time, the others wait in order. It comes back with back-off and jitter."""

    def __init__(self, crowd: Crowd, agents: list[Agent]) -> None:
        self.crowd, self.agents = crowd, agents
        self.waiting: deque[Agent] = deque()
        self.sent_at, self.talking, self.failures = 0.0, None, 0
        self.transport: asyncio.Transport | None = None
        self.ready, self.buffer = False, b""
        self.connecting, self.wait_s = False, 0.0

    async def connect(self) -> None:
        """Until it is connected; a refusal by the other side waits as long as it asks."""
        if self.connecting:
            return
        self.connecting = True
        while self.transport is None:
            wait, self.wait_s = self.wait_s, 0.0
            await asyncio.sleep(wait)
            try:
                await self.crowd.loop.create_connection(lambda: self, "127.0.0.1", self.crowd.plan.port)
            except OSError:
                self.failures += 1
                self.crowd.failures += 1
                self.wait_s = min(10.0, 0.5 * 2**self.failures) * random.uniform(0.5, 1.0)
        self.connecting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer = transport, b""
        if self.crowd.plan.websocket:
            transport.write(self.crowd.upgrade)
        else:
            self.ready = True
            self.next()

    def connection_lost(self, problem: Exception | None) -> None:
        self.transport, self.ready = None, False
        if self.talking is not None:
            self.waiting.appendleft(self.talking)
            self.talking = None
        self.crowd.reconnects += 1
        self.crowd.spawn(self.connect())

    def say(self, agent: Agent) -> None:
        self.waiting.append(agent)
        self.next()

    def next(self) -> None:
        if not self.ready or self.talking is not None or not self.waiting or self.transport is None:
            return
        agent = self.talking = self.waiting.popleft()
        body = agent.message()
        self.sent_at = time.perf_counter()
        agent.last = time.time()
        self.transport.write(self.crowd.wrapped(body))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.ready:
            if b"\r\n\r\n" not in self.buffer:
                return
            if not self.buffer.startswith(b"HTTP/1.1 101"):
                self.refused(self.buffer)
                return
            self.buffer = self.buffer.partition(b"\r\n\r\n")[2]
            self.ready, self.failures = True, 0
            self.next()
        while (answer := self.crowd.unwrapped(self)) is not None:
            agent, self.talking, self.failures = self.talking, None, 0
            assert agent is not None
            self.crowd.answered(agent, answer, time.perf_counter() - self.sent_at)
            self.next()

    def refused(self, head: bytes) -> None:
        """Come back when asked to; what was being said is said again then."""
        self.crowd.refused += 1
        asked = head.lower().partition(b"retry-after: ")[2].partition(b"\r\n")[0]
        self.wait_s = float(asked or 1) * random.uniform(1.0, 1.5)
        self.ready = False
        if self.transport is not None:
            self.transport.abort()


class Crowd:
    """All of them."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.loop = plan, asyncio.get_running_loop()
        self.agents = [Agent(number) for number in range(plan.agents)]
        shares = [self.agents[start :: plan.connections] for start in range(plan.connections)]
        self.lines = [Line(self, share) for share in shares]
        for line in self.lines:
            for agent in line.agents:
                agent.line = line
        host = f"Host: 127.0.0.1:{plan.port}\r\nAuthorization: Bearer {plan.token}\r\n"
        self.head = (
            f"POST /v1/opamp HTTP/1.1\r\n{host}Content-Type: application/x-protobuf\r\nContent-Length: ".encode()
        )
        self.upgrade = (
            f"GET /v1/opamp HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()
        self.latencies: list[float] = []
        self.failures = self.reconnects = self.sent = self.refused = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: object) -> None:
        task = self.loop.create_task(work)  # type: ignore[arg-type]
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def wrapped(self, body: bytes) -> bytes:
        if not self.plan.websocket:
            return self.head + str(len(body)).encode() + b"\r\n\r\n" + body
        size = len(body) + 1
        head = bytes([0x82, 0x80 | size]) if size < 126 else b"\x82\xfe" + size.to_bytes(2, "big")
        return head + b"\0\0\0\0\0" + body  # a mask of zeroes changes nothing; then OpAMP's own header

    def unwrapped(self, line: Line) -> bytes | None:
        data = line.buffer
        if self.plan.websocket:
            return self._frame(line, data)
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return None
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < size:
            return None
        line.buffer = rest[size:]
        if not head.startswith(b"HTTP/1.1 200"):
            line.refused(head)
            return None
        return rest[:size]

    def _frame(self, line: Line, data: bytes) -> bytes | None:
        if len(data) < 2 or len(data) < 2 + (data[1] & 0x7F) or (data[1] == 126 and len(data) < 4):
            return None
        start, size = (4, int.from_bytes(data[2:4], "big")) if data[1] == 126 else (2, data[1])
        if len(data) < start + size:
            return None
        payload, line.buffer = data[start : start + size], data[start + size :]
        if data[0] & 0xF == 9:  # ping
            assert line.transport is not None
            line.transport.write(bytes([0x8A, 0x80 | size]) + b"\0\0\0\0" + payload)
            return self.unwrapped(line)
        return payload[1:]

    def answered(self, agent: Agent, answer: bytes, seconds: float) -> None:
        self.sent += 1
        self.latencies.append(seconds)
        if b"\x30\x01" in answer[18:] and opamp_pb2.ServerToAgent.FromString(answer).flags & 1:
            agent.asked = True
            assert agent.line is not None
            agent.line.say(agent)

    async def run(self) -> None:
        for line in self.lines:
            self.spawn(line.connect())
        now = self.loop.time()
        due = [(now + self.plan.ramp_s * random.random(), agent.number) for agent in self.agents]
        heapq.heapify(due)
        tell_at = now + 1.0
        self.spawn(self.obey())
        while True:
            now = self.loop.time()
            while due and due[0][0] <= now:
                at, number = heapq.heappop(due)
                agent = self.agents[number]
                if agent.stopped:
                    continue
                assert agent.line is not None
                agent.line.say(agent)
                heapq.heappush(due, (at + self.plan.interval_s, number))
            if now >= tell_at:
                self.tell()
                tell_at += 1.0
            await asyncio.sleep(0.005)

    async def obey(self) -> None:
        reader = asyncio.StreamReader()
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while text := await reader.readline():
            agent = self.agents[int(text)]
            agent.stopped = True
            print(json.dumps({"silent": f"a{agent.number}", "last": agent.last}), flush=True)

    def tell(self) -> None:
        latencies, self.latencies = sorted(self.latencies), []
        p99 = latencies[int(len(latencies) * 0.99)] * 1000 if latencies else None
        open_ = sum(1 for line in self.lines if line.ready)
        waiting = sum(len(line.waiting) for line in self.lines)
        print(
            json.dumps({
                "at": time.time(), "open": open_, "sent": self.sent, "p99_ms": p99, "waiting": waiting,
                "failures": self.failures, "reconnects": self.reconnects, "refused": self.refused,
            }),
            flush=True,
        )  # fmt: skip


async def main() -> None:
    """Until the process is killed."""
    await Crowd(Plan(**json.loads(sys.argv[1]))).run()


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    os.sched_setaffinity(0, {plan["core"]})
    asyncio.run(main())
