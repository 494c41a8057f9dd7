"""An agent for tests of alerts: answers HTTP on 8080 with its version; /metrics says web_burning 1 where BURNING=1."""

import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION, METRICS = os.environ["VERSION"], f"# TYPE web_burning gauge\nweb_burning {os.environ['BURNING']}\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = (METRICS if self.path == "/metrics" else VERSION).encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing for each request."""


server = ThreadingHTTPServer(("", 8080), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
