"""Reports for an agent that cannot be changed: looks at it the way its users do, and sends heartbeats on its behalf.

    python -m tidegate.sdk.sidecar --http http://127.0.0.1:9100/health --every 5
    python -m tidegate.sdk.sidecar --tcp 127.0.0.1:6379
    python -m tidegate.sdk.sidecar --command pg_isready -q

Who it is comes from the environment, as for every agent (TIDEGATE_URL and so on). A look that fails is `failing` after
`--failures` in a row, `degraded` before.
"""

import argparse
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

from tidegate.sdk.agent import Agent
from tidegate.sdk.wire import Status


def main(arguments: Sequence[str]) -> int:
    """Until told to stop; 2 for a command line that makes no sense."""
    asked = _parser().parse_args(arguments)
    agent = Agent(version=asked.version, interval_s=asked.every)
    if not agent.identity.url:
        print("sidecar: TIDEGATE_URL is not set: there is nobody to report to", file=sys.stderr)
        return 2
    failures = 0
    with agent:
        while not agent.stopping.is_set():
            why = look(asked)
            failures = failures + 1 if why else 0
            status = Status.OK if not failures else Status.DEGRADED if failures < asked.failures else Status.FAILING
            agent.status(status, why)
            agent.stopping.wait(asked.every)
    return 0


def look(asked: argparse.Namespace) -> str:
    """Why it is not well, or nothing."""
    try:
        if asked.http:
            return _http(asked.http, asked.timeout)
        if asked.tcp:
            host, _, port = asked.tcp.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), asked.timeout).close()
            return ""
        done = subprocess.run(asked.command, capture_output=True, timeout=asked.timeout, check=False)
        return "" if done.returncode == 0 else f"{asked.command[0]} ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        return f"{asked.command[0]} did not end within {asked.timeout:g} s"
    except (OSError, ValueError) as problem:
        return f"{asked.http or asked.tcp or asked.command[0]}: {type(problem).__name__}"


def _http(url: str, timeout_s: float) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        return f"{url} is no http address"
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - the scheme was looked at
            answer.read(65536)
            return ""
    except urllib.error.HTTPError as refused:
        return f"{url} answered {refused.code}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tidegate.sdk.sidecar", description=__doc__.split("\n\n")[0])
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--http", default="", metavar="URL", help="an answer below 400 is well")
    way.add_argument("--tcp", default="", metavar="HOST:PORT", help="a connection is well")
    way.add_argument(
        "--command", nargs=argparse.REMAINDER, default=[], metavar="WORD", help="exit code 0 is well; last"
    )
    parser.add_argument("--every", type=float, default=5.0, metavar="S", help="seconds between looks (5)")
    parser.add_argument("--timeout", type=float, default=2.0, metavar="S", help="seconds for a look (2)")
    parser.add_argument("--failures", type=int, default=3, metavar="N", help="looks in a row that make it failing (3)")
    parser.add_argument("--version", default="", help="the version that it reports")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
