"""A proxy before an engine's socket that kills a controller with SIGKILL at an exact call: before it, or after it took
effect and before its answer came back.

What counts as a call is whatever changes something: a POST, PUT or DELETE of the Engine API, and a commit of the
gateway's files through the shell that is held open in its container.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

CHUNK = 1 << 16
HEAD = re.compile(rb"(POST|PUT|DELETE) (?:/v[0-9.]+)?(/[^ ?]*)")
IGNORED = re.compile(r"^/(containers/[^/]+/exec|exec/|containers/[^/]+/(wait|attach))")
COMMIT = b"mv -f $s/"


class Proxy:
    """Listens on `path`, forwards to `target`. `arm` says where to kill whom; `calls` is what was seen since."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.target = target
        self.calls: list[str] = []
        self._lock = threading.Lock()
        self._point: tuple[int, str] | None = None
        self._victim: int | None = None
        self._killed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.path}"

    def arm(self, victim: int, call: int, when: str) -> None:
        """Kill this process at its n-th call from now on, counted from 1; `when` is before or after."""
        with self._lock:
            self.calls, self._point, self._victim = [], (call, when), victim
            self._killed.clear()

    def watch(self) -> None:
        """Only count from now on."""
        with self._lock:
            self.calls, self._point, self._victim = [], None, None
            self._killed.clear()

    def close(self) -> None:
        """Listen no more; connections that are open go on until either side ends them."""
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX)
        try:
            engine.connect(str(self.target))
        except OSError:
            client.close()
            return
        due = threading.Event()
        """Set when the kill is due as soon as the engine has answered on this connection."""

        def upwards(data: bytes) -> bool:
            call = _call_of(data)
            return call is None or self._passes(call, due)

        def downwards(data: bytes) -> bool:
            return not due.is_set() or self._kill()

        threading.Thread(target=_pump, args=(engine, client, downwards), daemon=True).start()
        _pump(client, engine, upwards)

    def _passes(self, call: str, due: threading.Event) -> bool:
        """Note a call. False when the caller is dead now and it must not reach the engine."""
        with self._lock:
            self.calls.append(call)
            point, number = self._point, len(self.calls)
        if self._killed.is_set():
            return False
        if point == (number, "before"):
            return self._kill()
        if point == (number, "after"):
            due.set()
        return True

    def _kill(self) -> bool:
        with self._lock:
            if self._victim is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._victim, signal.SIGKILL)
            self._killed.set()
        return False


def _call_of(data: bytes) -> str | None:
    """What a piece of a client's stream begins to do, if that changes something."""
    if COMMIT in data:
        return "gateway commit"
    found = HEAD.match(data)
    if found is None:
        return None
    path = found[2].decode()
    return None if IGNORED.match(path) else f"{found[1].decode()} {path}"


def _pump(source: socket.socket, sink: socket.socket, passes: Callable[[bytes], bool]) -> None:
    try:
        while (data := source.recv(CHUNK)) and passes(data):
            sink.sendall(data)
        if data:  # the caller was killed: nothing of it may arrive any more
            sink.shutdown(socket.SHUT_RDWR)
            source.shutdown(socket.SHUT_RDWR)
        else:
            sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
