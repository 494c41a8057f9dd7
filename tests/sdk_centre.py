"""A control centre of a few lines on a real socket: it keeps what it was sent and answers what the test put in."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Centre:
    """Use it with `with`; `asked` holds (headers, body) of each heartbeat in order."""

    def __init__(self, interval_s: float = 0.2) -> None:
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.actions: list[dict[str, Any]] = []  # handed out once each
        self.failures: list[tuple[int, dict[str, str]]] = []  # answered first, once each
        self.raw: bytes | None = None
        centre = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/agents/heartbeat"
                centre.asked.append((dict(self.headers), body))
                if centre.failures:
                    code, headers = centre.failures.pop(0)
                    return self.answer(code, b'{"title": "not now"}', headers)
                actions, centre.actions = centre.actions, []
                good = {"status": "OK", "interval_s": interval_s, "next": actions, "received_at": time.time()}
                return self.answer(200, centre.raw if centre.raw is not None else json.dumps(good).encode(), {})

            def answer(self, code: int, data: bytes, headers: dict[str, str]) -> None:
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, body in self.asked]

    def completed(self) -> dict[str, dict[str, Any]]:
        return {item["task"]: item for body in self.bodies for item in body.get("completed", [])}

    def __enter__(self) -> "Centre":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for a condition with a deadline; the assertion names what never came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
