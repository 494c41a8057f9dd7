"""An agent for tests of evidence: answers HTTP on 8080 with its version, a little wrong and a little slow as all are.

ERRORS: share of requests that fail. LATENCY_MS: median of what an answer takes (lognormal). LEAK_KB_S: memory lost a
second. CRASH_AFTER: seconds after which it exits. FAULT_AFTER: seconds after which ERRORS and LATENCY_MS hold; 1 % and
15 ms until then. BAD_INSTANCE: a share of errors for the one instance that finds /trouble/VERSION.bad not there yet.
"""

import os
import random
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

began = time.monotonic()
version = os.environ["VERSION"]
errors, latency = float(os.environ["ERRORS"]), float(os.environ["LATENCY_MS"])
leak, crash, fault = (float(os.environ[name]) for name in ("LEAK_KB_S", "CRASH_AFTER", "FAULT_AFTER"))
bad = os.environ.get("BAD_INSTANCE", "")
if bad:
    try:
        os.close(os.open(f"/trouble/{version}.bad", os.O_CREAT | os.O_EXCL))
        errors = float(bad)
    except FileExistsError:
        pass
print(f"{version} begins, {errors:.0%} errors, {latency:g} ms", flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status, faulty = 200, time.monotonic() - began >= fault
        if self.path != "/ready":
            time.sleep((latency if faulty else 15.0) / 1000 * random.lognormvariate(0, 0.3))
            if random.random() < (errors if faulty else 0.01):
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


def lose_memory():
    kept = []
    while True:
        kept.append(bytearray(os.urandom(int(leak * 256))))
        time.sleep(0.25)


def exit_later():
    time.sleep(crash)
    print(f"{version} cannot go on", flush=True)
    os._exit(1)


for wanted, work in ((leak, lose_memory), (crash, exit_later)):
    if wanted:
        threading.Thread(target=work, daemon=True).start()
server = Server(("", 8080), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
time.sleep(0.2)
sys.exit(0)
