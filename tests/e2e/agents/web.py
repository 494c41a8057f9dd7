"""An agent for tests of faults: answers HTTP on 8080 with its version, and fails as MODE says.

MODE: exit (says so and exits), deaf (never ready), hog (fills its memory), empty: well.
FAIL_EVERY=n makes every n-th request fail; a file /trouble/VERSION every third, as soon as it is there.
"""

import itertools
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

version, mode = os.environ["VERSION"], os.environ.get("MODE", "")
every = int(os.environ.get("FAIL_EVERY", "0")) or sys.maxsize
trouble = f"/trouble/{version}"
count = itertools.count(1)
print(f"{version} begins as {mode or 'well'}", flush=True)
if mode == "exit":
    for number in range(60):
        print(f"line {number}", flush=True)
    # On stdout as well: the engine copies two streams side by side, and lines of one moment may change places.
    print(f"{version} cannot find its configuration", flush=True)
    sys.exit(1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status = 200
        if self.path == "/ready":
            status = 503 if mode == "deaf" else 200
        elif next(count) % (3 if os.path.exists(trouble) else every) == 0:  # noqa: PTH110 - no need of more
            status = 500
        body = version.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-agent-version", version)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        """Nothing for each request."""


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def fill():
    print(f"{version} fills its memory", flush=True)
    kept = []
    while True:
        kept.append(bytearray(b"x") * (4 << 20))


if mode == "hog":
    fill()  # before it serves: what a candidate had in hand when the kernel ends it is lost, whoever delivers it
server = Server(("", 8080), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
time.sleep(0.2)
