"""A sink that counts what arrives, each record once: where the example agent ships to, in the demo and in the tests.

    python sink.py --port 9000 --out records.ndjson

POST anything as newline-delimited JSON with an "id" each: 200 {"new": n, "repeated": n}. GET /stats: the totals.
--fail-first N and --delay-s make it as bad as real sinks are.
"""

import argparse
import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO


class Sink:
    """The records that arrived. `lines` is kept only where the caller wants to look at them."""

    def __init__(self, out: BinaryIO | None = None, fail_first: int = 0, delay_s: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._out = out
        self._to_fail, self._delay_s = fail_first, delay_s
        self.lines: list[str] = []
        self.repeated = self.batches = self.refused = 0

    def take(self, data: bytes) -> tuple[int, int]:
        """Count a batch: (new, repeated). Raises ValueError or KeyError when it is not one."""
        records = [json.loads(line) for line in data.splitlines()]
        time.sleep(self._delay_s)
        with self._lock:
            if self._to_fail > 0:
                self._to_fail -= 1
                self.refused += 1
                raise OSError("as asked for by --fail-first")
            fresh = {}
            for record in records:
                if record["id"] not in self._ids:
                    fresh[record["id"]] = record
            self._ids.update(fresh)
            self.lines += [record.get("line", "") for record in fresh.values()]
            self.repeated += len(records) - len(fresh)
            self.batches += 1
            if self._out is not None:
                self._out.write(b"".join(json.dumps(record).encode() + b"\n" for record in fresh.values()))
                self._out.flush()
            return len(fresh), len(records) - len(fresh)

    def stats(self) -> dict[str, int]:
        """The totals so far."""
        with self._lock:
            return {
                "unique": len(self._ids),
                "repeated": self.repeated,
                "batches": self.batches,
                "refused": self.refused,
            }


def serve(sink: Sink, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """Serve on a thread; the caller shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in two small writes would wait for the peer's delayed acknowledgement (40 ms) on each request.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            try:
                new, repeated = sink.take(data)
            except OSError as problem:
                return self._answer(503, {"error": str(problem)})
            except (ValueError, KeyError, TypeError) as problem:
                return self._answer(400, {"error": f"not newline-delimited JSON with ids: {problem}"})
            return self._answer(200, {"new": new, "repeated": repeated})

        def do_GET(self) -> None:
            self._answer(200, sink.stats()) if self.path == "/stats" else self._answer(404, {"error": "GET /stats"})

        def _answer(self, code: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode() + b"\n"
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """The totals say enough."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server((host, port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def main() -> int:
    """Run until SIGTERM, then print the totals."""
    parser = argparse.ArgumentParser(description="A sink that counts log records, each once.")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--out", type=Path, help="append each new record to this file")
    parser.add_argument("--fail-first", type=int, default=0, help="answer 503 to so many batches first")
    parser.add_argument("--delay-s", type=float, default=0.0, help="take so long for each batch")
    given = parser.parse_args()
    out = given.out.open("ab") if given.out else None
    sink = Sink(out, given.fail_first, given.delay_s)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = serve(sink, given.host, given.port)
    print(json.dumps({"event": "listening", "port": server.server_address[1]}), flush=True)
    while not stop.wait(0.2):
        pass
    server.shutdown()
    print(json.dumps(sink.stats()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
