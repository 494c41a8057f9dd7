"""A small HTTP server for /health, /ready and /metrics, for agents that have none of their own."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tidegate.sdk.metrics import CONTENT_TYPE, Metrics


class Endpoint:
    """Serves on a daemon thread until `close`. `port` is the one really bound (ask for 0 to get a free one)."""

    def __init__(self, address: tuple[str, int], metrics: Metrics, ready: Callable[[], bool]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10.0  # seconds without a byte: a stuck prober must not keep a thread

            def do_GET(self) -> None:
                match self.path.partition("?")[0]:
                    case "/health":
                        self._answer(200, "application/json", '{"status": "ok"}\n')
                    case "/ready":
                        is_ready = ready()
                        text = json.dumps({"ready": is_ready}) + "\n"
                        self._answer(200 if is_ready else 503, "application/json", text)
                    case "/metrics":
                        self._answer(200, CONTENT_TYPE, metrics.render())
                    case _:
                        self._answer(404, "text/plain; charset=utf-8", "here are /health, /ready and /metrics\n")

            def _answer(self, code: int, content_type: str, text: str) -> None:
                data = text.encode()
                self.send_response(code)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Probes come every second: they are no news."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(address, Handler)
        self.port: int = self._server.server_address[1]
        Thread(target=self._server.serve_forever, args=(0.1,), name="tidegate-endpoint", daemon=True).start()

    def close(self) -> None:
        """Stop serving; waits at most a moment for the accept loop."""
        self._server.shutdown()
        self._server.server_close()
