"""Hostile input on real sockets: slow, oversized, packed, injected, misleading. It is refused, and the server lives."""

import gzip
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.served import Server, server

WEB = "/v1/environments/staging/agents/web"
TOO_LONG_S = 25.0


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("hostile")) as running:
        yield running


def raw(here: Server, *pieces: bytes) -> bytes:
    """Everything that is answered to these bytes until the server closes the connection, or TOO_LONG_S."""
    host, port = here.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=TOO_LONG_S) as connection:
        for piece in pieces:
            connection.sendall(piece)
        heard = b""
        try:
            while part := connection.recv(65536):
                heard += part
        except ConnectionResetError:
            pass
        return heard


def head(here: Server, method: str, path: str, *more: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {here.token}", *more]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


JSON = "Content-Type: application/json"
FIRST = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_who_is_slow_on_purpose_is_cut_off(here: Server) -> None:
    slow = {
        "a header": (b"GET /healthz HTTP/1.1\r\nHost: lo",),
        "a second header": (FIRST.encode(), b"GET /healthz HTTP/1.1\r\nHost: lo"),
        "a body": (head(here, "POST", f"{WEB}/undo", JSON, "Content-Length: 100"), b"{"),
        "nothing at all": (),
    }
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        heard = dict(zip(slow, pool.map(lambda pieces: raw(here, *pieces), slow.values()), strict=True))
    assert time.monotonic() - began < TOO_LONG_S
    assert heard["a header"] == heard["nothing at all"] == b""
    assert heard["a second header"].count(b"HTTP/1.1 ") == 1
    assert heard["a body"] == b"" or b" 408 " in heard["a body"].split(b"\r\n")[0]


def test_oversized_and_packed_bodies_are_refused(here: Server) -> None:
    large = b"%x\r\n" % 3_000_000 + b"a" * 3_000_000
    heard = raw(here, head(here, "POST", f"{WEB}/undo", JSON, "Transfer-Encoding: chunked"), large)
    assert b" 413 " in heard.split(b"\r\n")[0]
    bomb = gzip.compress(b"0" * 50_000_000)
    packed = here.headers | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert requests.post(here.url + f"{WEB}/undo", data=bomb, headers=packed, timeout=20).status_code == 415
    long = raw(here, head(here, "GET", "/healthz", "X-Long: " + "a" * 2_000_000))
    assert b" 400 " in long.split(b"\r\n")[0] or b" 431 " in long.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/environments/..%2f..%2fetc/agents/web", "/v1/environments/staging/agents/..", "/v1/agents/../tokens",
        "//v1//tokens", "/v1/environments/staging/agents/web%00",
        "/v1/environments/staging/agents/%0d%0aSet-Cookie:%20a",
        "/v1/releases/web/..%2f..%2f..%2fetc%2fpasswd", "/v1/intents/%2e%2e%2fx", "/V1/tokens", "/v1/tokens/",
        "/v1/environments/staging/agents/" + "a" * 9000, "/v1/environments/staging/agents/web;x=1",
        "/healthz/../v1/tokens",
        "/v1/environments/staging/agents/%ff%fe",
    ],
)  # fmt: skip
def test_tricks_with_paths_lead_nowhere(here: Server, path: str) -> None:
    heard = raw(here, head(here, "GET", path, "Connection: close"))
    assert heard.split(b" ")[1] in (b"400", b"403", b"404", b"405", b"422"), heard[:200]
    assert b"root:" not in heard
    assert b"\r\nset-cookie" not in heard.lower()


def test_headers_cannot_be_injected_nor_requests_smuggled(here: Server) -> None:
    heard = raw(
        here, head(here, "POST", f"{WEB}/undo", JSON, "Content-Length: 2", "Idempotency-Key: a\nX-Evil: 1"), b"{}"
    )
    assert b"x-evil" not in heard.lower()
    both = head(here, "POST", f"{WEB}/undo", JSON, "Content-Length: 4", "Transfer-Encoding: chunked")
    smuggled = raw(here, both + b"0\r\n\r\nGET /v1/tokens HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b'"standing"' not in smuggled
    twice = raw(here, head(here, "POST", f"{WEB}/undo", JSON, "Content-Length: 2", "Content-Length: 3"), b"{}")
    assert b" 400 " in twice.split(b"\r\n")[0]


def test_it_lives_and_has_lost_nothing(here: Server) -> None:
    assert requests.get(f"{here.url}/readyz", timeout=20).json()["deciding"]
    assert here.run("audit", "verify")[0] == 0
    assert "Traceback" not in (here.folder / "serve.log").read_text()
