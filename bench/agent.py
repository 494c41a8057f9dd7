"""The agent of the benches: answers quickly, says its version, logs each request's moment to a file of its own.

It reads VERSION, and LOG_TO (a folder; empty: no log) from its environment. Runs in a container with only the standard
library, so its text is the container's command.
"""

import asyncio
import os
import re
import signal
import time

VERSION = os.environ["VERSION"]
FOLDER = os.environ.get("LOG_TO")
LOG = os.open(f"{FOLDER}/{VERSION}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY) if FOLDER else None
HEAD = f"HTTP/1.1 200 OK\r\nx-agent-version: {VERSION}\r\ncontent-length: {len(VERSION)}\r\n".encode()
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    buffer = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self.buffer, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < whole:
                return
            if LOG is not None and not self.buffer.startswith(b"GET /ready"):
                os.write(LOG, f"{time.time():.6f}\n".encode())
            self.buffer = self.buffer[whole:]
            self.transport.write(HEAD + b"\r\n" + VERSION.encode())


async def main():
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Connection, "", 8080, backlog=1024)
    await stop.wait()
    server.close()
    await asyncio.sleep(0.1)


asyncio.run(main())
